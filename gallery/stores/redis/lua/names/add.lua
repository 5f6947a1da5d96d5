#!lua
local name = unpack(ARGV)
return {redis.call('SADD', KEYS[1], name)}
