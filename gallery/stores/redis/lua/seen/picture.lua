#!lua flags=no-writes,allow-stale
local subject = unpack(ARGV)
-- include parts/collection
local record = redis.call('HGET', key's', subject)
if not record then return {'subject'} end
return {'ok', redis.call('HGET', base, 'secret') or '', record, redis.call('HGET', key'pictures', subject) or ''}
