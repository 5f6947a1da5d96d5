#!lua
-- `sealed_key` is the subject's, with which the picture is sealed.
local subject, picture, sealed_key, secret = unpack(ARGV)
-- include parts/collection
local record = redis.call('HGET', key's', subject)
if not record or redis.call('HEXISTS', base, 'sightings') == 0 then return {'off'} end
if secret ~= (redis.call('HGET', base, 'secret') or '') or sealed_key ~= (cjson.decode(record).key or '') then
    return {'key'}
end
redis.call('HSET', key'pictures', subject, picture)
return {'ok'}
