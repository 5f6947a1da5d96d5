#!lua flags=allow-oom
local entry = unpack(ARGV)
-- include parts/collection
-- include parts/log
-- include parts/drop_shadow
if not shadow then return {'shadow'} end
local templates = redis.call('HLEN', key('leaves:' .. shadow))
drop_shadow()
log(entry, 0)
return {'ok', templates}
