#!lua flags=allow-oom
local template, memory, entry = unpack(ARGV)
-- include parts/collection
-- include parts/log
-- include parts/remove
if redis.call('HEXISTS', key't', template) == 0 then return {'template'} end
remove(template, entry)
settle(memory)
log(entry, 1)
return {'ok'}
