#!lua
local ttl = unpack(ARGV)
-- include parts/collection
if ttl == '' then redis.call('HDEL', base, 'ttl') else redis.call('HSET', base, 'ttl', ttl) end
redis.call('HINCRBY', base, 'touched', 1)
return {'ok'}
