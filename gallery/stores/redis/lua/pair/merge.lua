#!lua
-- `replaced` contains new values: each is the SHA-1 of the old value in hexadecimal, four bytes with the length of the
-- new one, and the new one. The status is changed if the data differs from that which the caller has read.
local subject, other, mine, theirs, secret, fields, replaced, entry, other_entry = unpack(ARGV)
-- include parts/collection
-- include parts/log
-- include parts/upsert
-- include parts/remove
local own, others = redis.call('HGET', key's', subject), redis.call('HGET', key's', other)
if not own then return {'subject'} end
if not others then return {'other'} end
if own ~= mine or others ~= theirs or secret ~= (redis.call('HGET', base, 'secret') or '') then return {'changed'} end
local new, at = {}, 1
while at <= #replaced do
    local digest, value
    digest, value, at = struct.unpack('>c40I4c0', replaced, at)
    new[digest] = value
end
local places = {key't', key'q', key('e:' .. live), shadow and key('e:' .. shadow) or nil}
local templates = redis.call('ZRANGE', key('of:' .. other), 0, -1)
local writes = {}
for _, template in ipairs(templates) do
    for _, place in ipairs(places) do
        local old = redis.call('HGET', place, template)
        local value = old and new[redis.sha1hex(old)]
        -- Without encryption only the records change, which name the subject.
        if old and not value and (secret ~= '' or place == places[1]) then return {'changed'} end
        if value then writes[#writes + 1] = {place, template, value} end
    end
end
for _, write in ipairs(writes) do redis.call('HSET', unpack(write)) end
forget_apart(subject)
upsert(subject, fields, '')
redis.call('ZUNIONSTORE', key('of:' .. subject), 2, key('of:' .. subject), key('of:' .. other))
redis.call('UNLINK', key('of:' .. other))
-- The other's sightings become the subject's own; its picture goes.
for _, sighting in ipairs(redis.call('ZRANGE', key('sightsof:' .. other), 0, -1)) do
    local record = cjson.decode(redis.call('HGET', key'sighting', sighting))
    record.subject = subject
    redis.call('HSET', key'sighting', sighting, cjson.encode(record))
end
redis.call('ZUNIONSTORE', key('sightsof:' .. subject), 2, key('sightsof:' .. subject), key('sightsof:' .. other))
redis.call('UNLINK', key('sightsof:' .. other))
forget_subject(other)
for _, template in ipairs(redis.call('ZRANGE', key('of:' .. subject), 0, -1)) do
    redis.call('ZADD', key'log', bump(entry), template)
end
log(entry, #templates)
log(other_entry, #templates)
return {'ok', #templates}
