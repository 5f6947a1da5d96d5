#!lua flags=no-writes,allow-stale
return redis.call('SMEMBERS', KEYS[1])
