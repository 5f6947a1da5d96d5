-- Delete a sighting. Returns 1, or 0 if there is none with this id.
local function forget_sighting(sighting)
    local record = redis.call('HGET', key'sighting', sighting)
    if not record then return 0 end
    local subject = cjson.decode(record).subject
    if subject ~= cjson.null then redis.call('ZREM', key('sightsof:' .. subject), sighting) end
    redis.call('ZREM', key'sights', sighting)
    for _, name in ipairs({'sighting', 'sightkeys', 'faces', 'walks'}) do redis.call('HDEL', key(name), sighting) end
    return 1
end
