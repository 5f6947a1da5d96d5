#!lua flags=no-writes,allow-stale
-- `data` is embedding or sequence to return that in addition to the template's record.
local template, data = unpack(ARGV)
-- include parts/collection
local record = redis.call('HGET', key't', template)
if not record then return {'template'} end
local reply = {'ok', redis.call('HGETALL', key('g:' .. live)), {template, record},
               redis.call('HGET', base, 'secret') or '', redis.call('HGET', key's', cjson.decode(record).subject)}
if data == 'embedding' then reply[6] = redis.call('HGET', key('e:' .. live), template) end
if data == 'sequence' then reply[6] = redis.call('HGET', key'q', template) end
return reply
