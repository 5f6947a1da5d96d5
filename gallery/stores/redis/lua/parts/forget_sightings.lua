-- Delete all sightings and pictures. Returns the number of sightings.
local function forget_sightings()
    local number = redis.call('ZCARD', key'sights')
    for _, subject in ipairs(redis.call('ZRANGE', key'names', 0, -1)) do
        redis.call('UNLINK', key('sightsof:' .. subject))
    end
    redis.call('UNLINK', key'sights', key'sighting', key'sightkeys', key'faces', key'walks', key'pictures')
    return number
end
