#!lua flags=no-writes,allow-stale
-- include parts/collection
return {'ok', table.concat(redis.call('HVALS', key('leaves:' .. live))), redis.call('HGET', base, 'secret') or ''}
