#!lua
local template, fingerprint, parts, dims, embedding, leaf, sealed_key = unpack(ARGV)
-- include parts/collection
if not shadow then return {'shadow'} end
local record = redis.call('HGET', key't', template)
if not record then return {'template'} end
local owner = redis.call('HGET', key's', cjson.decode(record).subject)
if sealed_key ~= (cjson.decode(owner).key or '') then return {'key'} end
local pinned = redis.call('HMGET', key('g:' .. shadow), 'fingerprint', 'parts', 'dims')
if pinned[1] ~= fingerprint then return {'fingerprint', pinned[1]} end
if pinned[2] and (pinned[2] ~= parts or pinned[3] ~= dims) then return {'shape', pinned[2], pinned[3]} end
redis.call('HSET', key('g:' .. shadow), 'parts', parts, 'dims', dims)
redis.call('HSET', key('e:' .. shadow), template, embedding)
redis.call('HSET', key('leaves:' .. shadow), template, leaf)
redis.call('ZREM', key'todo', template)
return {'ok'}
