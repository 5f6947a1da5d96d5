#!lua flags=no-writes,allow-stale
-- Count data without a template, and templates without a subject.
-- include parts/collection
local templates, owned = redis.call('ZCARD', key'log'), 0
for _, subject in ipairs(redis.call('ZRANGE', key'names', 0, -1)) do
    owned = owned + redis.call('ZCARD', key('of:' .. subject))
end
return {'ok', {'template', redis.call('HLEN', key't') - owned, 'sequence', redis.call('HLEN', key'q') - templates,
               'embedding', redis.call('HLEN', key('e:' .. live)) - templates,
               'subject', redis.call('HLEN', key's') - redis.call('ZCARD', key'names'),
               'sighting', redis.call('HLEN', key'sighting') - redis.call('ZCARD', key'sights')},
        redis.call('ZRANGE', key'names', 0, -1)}
