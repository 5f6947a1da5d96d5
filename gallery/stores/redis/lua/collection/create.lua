#!lua
local keeps_heatmaps, created, generation, ttl, secret, entry = unpack(ARGV)
-- include parts/keys
-- include parts/log
if redis.call('EXISTS', base) == 0 then
    redis.call('HSET', base, 'keeps_heatmaps', keeps_heatmaps, 'created', created, 'revision', 0, 'trimmed', 0,
               'live', generation)
    if ttl ~= '' then redis.call('HSET', base, 'ttl', ttl) end
    redis.call('HSET', key('g:' .. generation), 'was_live', 1)
    log(entry, 0)
end
if secret ~= '' and redis.call('ZCARD', key'names') == 0 and redis.call('ZCARD', key'sights') == 0 then
    redis.call('HSETNX', base, 'secret', secret)
end
return {'ok'}
