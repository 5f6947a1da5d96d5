#!lua flags=no-writes,allow-stale
-- What a write needs to know first: the collection, the subject's record, and the key of the log's digests.
local subject = unpack(ARGV)
-- include parts/collection
return {'ok', redis.call('HGETALL', base), redis.call('HGET', key's', subject) or '',
        redis.call('GET', key'auditkey') or ''}
