#!lua flags=allow-oom
-- `sightings` is a JSON list of ids.
local sightings = unpack(ARGV)
-- include parts/collection
-- include parts/forget_sighting
local gone = 0
for _, sighting in ipairs(cjson.decode(sightings)) do gone = gone + forget_sighting(sighting) end
return {'ok', gone}
