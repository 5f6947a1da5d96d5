#!lua flags=allow-oom
local entry = unpack(ARGV)
-- include parts/collection
-- include parts/log
-- include parts/forget_sightings
local subjects = redis.call('ZRANGE', key'names', 0, -1)
local templates = redis.call('ZCARD', key'log')
local sightings = forget_sightings()
for _, subject in ipairs(subjects) do redis.call('UNLINK', key('of:' .. subject)) end
for _, generation in ipairs({live, shadow or nil}) do
    redis.call('UNLINK', key('g:' .. generation), key('e:' .. generation), key('leaves:' .. generation))
end
redis.call('UNLINK', base, key't', key'q', key's', key'names', key'log', key'gone', key'clips', key'expiry', key'todo',
           key'events')
log(entry, templates)
return {'ok', templates, #subjects, sightings}
