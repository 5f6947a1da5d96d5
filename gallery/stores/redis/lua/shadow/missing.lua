#!lua flags=no-writes,allow-stale
local limit = unpack(ARGV)
-- include parts/collection
if not shadow then return {'shadow'} end
return {'ok', redis.call('ZRANGE', key'todo', 0, limit - 1)}
