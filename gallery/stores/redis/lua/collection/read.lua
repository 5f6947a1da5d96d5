#!lua flags=no-writes,allow-stale
-- include parts/collection
local reply = {'ok', redis.call('HGETALL', base), redis.call('HGETALL', key('g:' .. live)), {}, 0,
               redis.call('ZCARD', key'names'), redis.call('ZCARD', key'log')}
if shadow then
    reply[4] = redis.call('HGETALL', key('g:' .. shadow))
    reply[5] = redis.call('HLEN', key('leaves:' .. shadow))
end
return reply
