#!lua
local subject, fields, entry = unpack(ARGV)
-- include parts/collection
-- include parts/log
-- include parts/bump
-- include parts/upsert
if redis.call('HEXISTS', key's', subject) == 0 then return {'subject'} end
upsert(subject, fields, '')
log(entry, 0)
for _, template in ipairs(redis.call('ZRANGE', key('of:' .. subject), 0, -1)) do
    redis.call('ZADD', key'log', bump(entry), template)
end
return {'ok'}
