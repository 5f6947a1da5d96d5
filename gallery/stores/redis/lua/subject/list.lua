#!lua flags=no-writes,allow-stale
local after, limit = unpack(ARGV)
-- include parts/collection
local from = after == '' and '-' or '(' .. after
local reply = {'ok'}
for _, subject in ipairs(redis.call('ZRANGEBYLEX', key'names', from, '+', 'LIMIT', 0, limit)) do
    reply[#reply + 1] = {subject, redis.call('HGET', key's', subject), redis.call('ZCARD', key('of:' .. subject))}
end
return reply
