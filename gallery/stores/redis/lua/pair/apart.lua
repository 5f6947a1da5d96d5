#!lua flags=no-writes,allow-stale
local subject = unpack(ARGV)
-- include parts/collection
-- include parts/apart
if redis.call('HEXISTS', key's', subject) == 0 then return {'subject'} end
return {'ok', list_apart(subject)}
