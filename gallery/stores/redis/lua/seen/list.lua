#!lua flags=no-writes,allow-stale
-- Look at `most` sightings of the times from low to high, newest first, after the one with the id `last` at the time
-- high. Returns the wanted ones among them, and the last one that was looked at. `walks` is not empty to return walks.
local low, high, last, most, subject, camera, verdict, walks = unpack(ARGV)
-- include parts/collection
local from = subject == '' and key'sights' or key('sightsof:' .. subject)
local skip = 0
if last ~= '' then
    for _, sighting in ipairs(redis.call('ZREVRANGEBYSCORE', from, high, high)) do
        if sighting >= last then skip = skip + 1 end
    end
end
local found = redis.call('ZREVRANGEBYSCORE', from, high, low, 'WITHSCORES', 'LIMIT', skip, most)
local reply = {'ok', redis.call('HGETALL', base), found[#found - 1] or '', found[#found] or ''}
for i = 1, #found, 2 do
    local sighting, at = found[i], found[i + 1]
    local record = redis.call('HGET', key'sighting', sighting)
    local fields = cjson.decode(record)
    if (camera == '' or fields.camera == camera) and (verdict == '' or fields.verdict == verdict) then
        local row = {sighting, at, record}
        if walks ~= '' then
            row[4] = redis.call('HGET', key'sightkeys', sighting) or ''
            row[5] = redis.call('HGET', key'walks', sighting) or ''
        end
        reply[#reply + 1] = row
    end
end
return reply
