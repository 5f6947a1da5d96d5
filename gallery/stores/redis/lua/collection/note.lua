#!lua
local entry = unpack(ARGV)
-- include parts/collection
-- include parts/log
log(entry, 0)
return {'ok'}
