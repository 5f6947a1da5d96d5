#!lua
-- `back` is not empty if only a generation that was live before may become live.
local back, entry = unpack(ARGV)
-- include parts/collection
-- include parts/log
-- include parts/bump
if not shadow then return {'shadow'} end
if back ~= '' and redis.call('HGET', key('g:' .. shadow), 'was_live') ~= '1' then return {'never'} end
local missing = redis.call('ZCARD', key'todo')
if missing > 0 then return {'behind', missing, redis.call('HGET', key('g:' .. shadow), 'fingerprint')} end
redis.call('HSET', base, 'live', shadow, 'shadow', live)
redis.call('HSET', key('g:' .. shadow), 'was_live', 1)
bump(entry)
log(entry, 0)
return {'ok'}
