#!lua flags=no-writes,allow-stale
-- include parts/collection
return {'ok', redis.call('HGETALL', key'sightkeys')}
