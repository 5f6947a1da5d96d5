#!lua flags=allow-oom
local name = unpack(ARGV)
return {redis.call('SREM', KEYS[1], name)}
