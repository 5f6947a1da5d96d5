#!lua
local fingerprint, generation = unpack(ARGV)
-- include parts/collection
local pinned = redis.call('HGET', key('g:' .. live), 'fingerprint')
if not pinned then return {'empty'} end
if pinned == fingerprint then return {'pinned'} end
if shadow then
    local there = redis.call('HGET', key('g:' .. shadow), 'fingerprint')
    if there ~= fingerprint then return {'other', there} end
    return {'ok'}
end
redis.call('HSET', base, 'shadow', generation)
redis.call('HSET', key('g:' .. generation), 'fingerprint', fingerprint, 'was_live', 0)
redis.call('ZUNIONSTORE', key'todo', 1, key'log')
return {'ok'}
