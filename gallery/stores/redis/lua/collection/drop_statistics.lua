#!lua flags=allow-oom
-- Earlier versions stored camera data here, which is no longer read.
-- include parts/collection
redis.call('UNLINK', key'statistics')
return {'ok'}
