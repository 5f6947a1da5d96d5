#!lua flags=no-writes,allow-stale
local subject = unpack(ARGV)
-- include parts/collection
if redis.call('HEXISTS', key's', subject) == 0 then return {'subject'} end
local reply = {'ok', redis.call('HGETALL', key('g:' .. live))}
for _, template in ipairs(redis.call('ZRANGE', key('of:' .. subject), 0, -1)) do
    reply[#reply + 1] = {template, redis.call('HGET', key't', template)}
end
return reply
