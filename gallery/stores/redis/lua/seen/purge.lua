#!lua flags=allow-oom
local before, limit = unpack(ARGV)
-- include parts/collection
-- include parts/forget_sighting
local old = redis.call('ZRANGEBYSCORE', key'sights', '-inf', before, 'LIMIT', 0, limit)
for _, sighting in ipairs(old) do forget_sighting(sighting) end
return {'ok', #old}
