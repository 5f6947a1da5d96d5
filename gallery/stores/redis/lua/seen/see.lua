#!lua
local sighting, at, subject, record, sealed_key, thumbnail, walk, most, secret = unpack(ARGV)
-- include parts/collection
-- include parts/forget_sighting
if redis.call('HEXISTS', base, 'sightings') == 0 then return {'off'} end
if secret ~= (redis.call('HGET', base, 'secret') or '') then return {'key'} end
if subject ~= '' and redis.call('HEXISTS', key's', subject) == 0 then return {'off'} end
at = redis.call('ZSCORE', key'sights', sighting) or at
forget_sighting(sighting)
redis.call('ZADD', key'sights', at, sighting)
redis.call('HSET', key'sighting', sighting, record)
if sealed_key ~= '' then redis.call('HSET', key'sightkeys', sighting, sealed_key) end
if thumbnail ~= '' then redis.call('HSET', key'faces', sighting, thumbnail) end
if walk ~= '' then redis.call('HSET', key'walks', sighting, walk) end
if subject ~= '' then redis.call('ZADD', key('sightsof:' .. subject), at, sighting) end
local excess = redis.call('ZCARD', key'sights') - most
if excess > 0 then
    for _, oldest in ipairs(redis.call('ZRANGE', key'sights', 0, excess - 1)) do forget_sighting(oldest) end
end
return {'ok', at}
