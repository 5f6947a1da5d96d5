#!lua flags=no-writes,allow-stale
-- `subjects` is a JSON list of ids. Returns for each whether there is a picture, and the newest sighting.
local subjects = unpack(ARGV)
-- include parts/collection
local reply = {'ok', redis.call('HGETALL', base)}
for _, subject in ipairs(cjson.decode(subjects)) do
    local newest = redis.call('ZRANGE', key('sightsof:' .. subject), -1, -1, 'WITHSCORES')
    local record = newest[1] and redis.call('HGET', key'sighting', newest[1]) or ''
    reply[#reply + 1] = {redis.call('HEXISTS', key'pictures', subject), newest[2] or '', record}
end
return reply
