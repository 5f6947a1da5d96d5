#!lua flags=allow-oom
local subject, memory, entry = unpack(ARGV)
-- include parts/collection
-- include parts/log
-- include parts/remove
if redis.call('HEXISTS', key's', subject) == 0 then return {'subject'} end
local templates = redis.call('ZRANGE', key('of:' .. subject), 0, -1)
for _, template in ipairs(templates) do remove(template, entry) end
local sightings = forget_subject(subject)
settle(memory)
log(entry, #templates)
return {'ok', #templates, sightings}
