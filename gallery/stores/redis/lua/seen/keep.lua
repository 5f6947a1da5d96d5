#!lua flags=allow-oom
-- `seconds` is empty to stop.
local seconds, entry = unpack(ARGV)
-- include parts/collection
-- include parts/log
-- include parts/forget_sightings
log(entry, 0)
if seconds ~= '' then
    redis.call('HSET', base, 'sightings', seconds)
    return {'ok', 0}
end
redis.call('HDEL', base, 'sightings')
return {'ok', forget_sightings()}
