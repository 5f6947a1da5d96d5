#!lua flags=no-writes,allow-stale
local sighting = unpack(ARGV)
-- include parts/collection
local record = redis.call('HGET', key'sighting', sighting)
if not record then return {'sighting', redis.call('HGETALL', base)} end
return {'ok', redis.call('HGETALL', base), {sighting, redis.call('ZSCORE', key'sights', sighting), record,
        redis.call('HGET', key'sightkeys', sighting) or '', redis.call('HGET', key'faces', sighting) or ''}}
