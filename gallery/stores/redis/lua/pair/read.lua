#!lua flags=no-writes,allow-stale
-- Two subjects, and everything that is stored of the templates of the second one.
local subject, other = unpack(ARGV)
-- include parts/collection
local mine, theirs = redis.call('HGET', key's', subject), redis.call('HGET', key's', other)
if not mine then return {'subject'} end
if not theirs then return {'other'} end
local templates = redis.call('ZRANGE', key('of:' .. other), 0, -1)
local reply = {'ok', redis.call('HGET', base, 'secret') or '',
               {subject, mine, redis.call('ZCARD', key('of:' .. subject))}, {other, theirs, #templates}}
for _, template in ipairs(templates) do
    reply[#reply + 1] = {template, redis.call('HGET', key't', template), redis.call('HGET', key'q', template),
                         redis.call('HGET', key('e:' .. live), template),
                         shadow and redis.call('HGET', key('e:' .. shadow), template) or ''}
end
return reply
