"""The operations of the Redis store as Lua scripts. For the keys see :mod:`gallery.stores.redis.lua`."""

from __future__ import annotations

from gallery.stores.redis.lua import BUMP, FREE, LOG, READ, REMOVE, STRAYED, UPSERT, WRITE, entry

ENSURE = (
    """#!lua
local B = KEYS[1]
local function K(name) return B .. ':' .. name end
"""
    + LOG
    + """
if redis.call('EXISTS', B) == 0 then
    redis.call('HSET', B, 'keeps_heatmaps', ARGV[1], 'created', ARGV[2], 'revision', 0, 'trimmed', 0, 'live', ARGV[3])
    if ARGV[4] ~= '' then redis.call('HSET', B, 'ttl', ARGV[4]) end
    redis.call('HSET', K('g:' .. ARGV[3]), 'was_live', 1)
    log(ARGV[6], 0)
end
if ARGV[5] ~= '' and redis.call('ZCARD', K'names') == 0 then redis.call('HSETNX', B, 'secret', ARGV[5]) end
return {'ok'}
"""
)


COLLECTION = (
    READ
    + """
local reply = {'ok', redis.call('HGETALL', B), redis.call('HGETALL', K('g:' .. live)), {}, 0,
               redis.call('ZCARD', K'names'), redis.call('ZCARD', K'log')}
if shadow then
    reply[4] = redis.call('HGETALL', K('g:' .. shadow))
    reply[5] = redis.call('HLEN', K('leaves:' .. shadow))
end
return reply
"""
)

SET_TTL = (
    WRITE
    + """
if ARGV[1] == '' then redis.call('HDEL', B, 'ttl') else redis.call('HSET', B, 'ttl', ARGV[1]) end
redis.call('HINCRBY', B, 'touched', 1)
return {'ok'}
"""
)

DELETE_COLLECTION = (
    FREE
    + LOG
    + """
local names = redis.call('ZRANGE', K'names', 0, -1)
local templates = redis.call('ZCARD', K'log')
for _, name in ipairs(names) do redis.call('UNLINK', K('of:' .. name)) end
for _, generation in ipairs({live, shadow or nil}) do
    redis.call('UNLINK', K('g:' .. generation), K('e:' .. generation), K('leaves:' .. generation))
end
redis.call('UNLINK', B, K't', K'q', K's', K'names', K'log', K'gone', K'clips', K'expiry', K'todo', K'events')
log(ARGV[1], templates)
return {'ok', templates, #names}
"""
)


ENROLL = (
    WRITE
    + entry(15)
    + LOG
    + BUMP
    + UPSERT
    + STRAYED
    + """
local subject, given, created, id, record, clip, expires = unpack(ARGV, 1, 7)
local fingerprint, parts, dims, embedding, leaf, sequence, secret = unpack(ARGV, 8, 14)
local generation, seen, by = unpack(ARGV, 16, 18)
local there = redis.call('HGET', K's', subject)
if secret ~= (redis.call('HGET', B, 'secret') or '')
    or there and cjson.decode(there).key ~= cjson.decode(given).key then return {'key'} end
local pinned = redis.call('HMGET', K('g:' .. live), 'fingerprint', 'parts', 'dims')
if pinned[1] then
    if pinned[1] ~= fingerprint then return {'fingerprint', pinned[1]} end
    if pinned[2] ~= parts or pinned[3] ~= dims then return {'shape', pinned[2], pinned[3]} end
end
local known = redis.call('HEXISTS', K't', id) == 1 and id
    or clip ~= '' and redis.call('HGET', K'clips', clip)
if known then
    redis.call('HINCRBY', B, 'touched', 1)  -- a write of our own, which is on disk only after the one found here is
    local there = redis.call('HGET', K't', known)
    local owner = cjson.decode(there).subject
    if owner ~= subject then return {known == id and 'id' or 'clip', owner, known} end
    return {'known', known, there}
end
if generation then
    local after = '(' .. seen
    if generation ~= live or strayed(tonumber(seen), by) or redis.call('ZCOUNT', K'log', after, '+inf') > 0
        or redis.call('ZCOUNT', K'gone', after, '+inf') > 0 then return {'overtaken'} end
end
redis.call('HSET', K('g:' .. live), 'fingerprint', fingerprint, 'parts', parts, 'dims', dims)
upsert(subject, given, created)
log(entry, 1)
local revision = bump()
redis.call('HSET', K't', id, record)
redis.call('HSET', K'q', id, sequence)
redis.call('HSET', K('e:' .. live), id, embedding)
redis.call('HSET', K('leaves:' .. live), id, leaf)
redis.call('ZADD', K('of:' .. subject), revision, id)
redis.call('ZADD', K'log', revision, id)
if clip ~= '' then redis.call('HSET', K'clips', clip, id) end
if expires ~= '' then redis.call('ZADD', K'expiry', expires, id) end
if shadow then redis.call('ZADD', K'todo', revision, id) end
return {'new'}
"""
)

UPDATE_SUBJECT = (
    WRITE
    + entry(3)
    + LOG
    + BUMP
    + UPSERT
    + """
if redis.call('HEXISTS', K's', ARGV[1]) == 0 then return {'subject'} end
upsert(ARGV[1], ARGV[2], '')
log(entry, 0)
for _, id in ipairs(redis.call('ZRANGE', K('of:' .. ARGV[1]), 0, -1)) do
    redis.call('ZADD', K'log', bump(), id)
end
return {'ok'}
"""
)

SUBJECTS = (
    READ
    + """
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local reply = {'ok'}
for _, id in ipairs(redis.call('ZRANGEBYLEX', K'names', from, '+', 'LIMIT', 0, ARGV[2])) do
    reply[#reply + 1] = {id, redis.call('HGET', K's', id), redis.call('ZCARD', K('of:' .. id))}
end
return reply
"""
)

SUBJECT = (
    READ
    + """
local record = redis.call('HGET', K's', ARGV[1])
if not record then return {'subject'} end
return {'ok', {ARGV[1], record, redis.call('ZCARD', K('of:' .. ARGV[1]))}}
"""
)

TEMPLATES = (
    READ
    + """
if redis.call('HEXISTS', K's', ARGV[1]) == 0 then return {'subject'} end
local reply = {'ok', redis.call('HGETALL', K('g:' .. live))}
for _, id in ipairs(redis.call('ZRANGE', K('of:' .. ARGV[1]), 0, -1)) do
    reply[#reply + 1] = {id, redis.call('HGET', K't', id)}
end
return reply
"""
)

# ARGV[2] names the data to return in addition to the template's record.
TEMPLATE = (
    READ
    + """
local record = redis.call('HGET', K't', ARGV[1])
if not record then return {'template'} end
local reply = {'ok', redis.call('HGETALL', K('g:' .. live)), {ARGV[1], record}, redis.call('HGET', B, 'secret') or '',
               redis.call('HGET', K's', cjson.decode(record).subject)}
if ARGV[2] == 'embedding' then reply[6] = redis.call('HGET', K('e:' .. live), ARGV[1]) end
if ARGV[2] == 'sequence' then reply[6] = redis.call('HGET', K'q', ARGV[1]) end
return reply
"""
)

ERASE = (
    FREE
    + entry(3)
    + LOG
    + REMOVE
    + """
if redis.call('HEXISTS', K's', ARGV[1]) == 0 then return {'subject'} end
local ids = redis.call('ZRANGE', K('of:' .. ARGV[1]), 0, -1)
for _, id in ipairs(ids) do remove(id) end
forget_subject(ARGV[1])
settle(ARGV[2])
log(entry, #ids)
return {'ok', #ids}
"""
)

DELETE_TEMPLATE = (
    FREE
    + entry(3)
    + LOG
    + REMOVE
    + """
if redis.call('HEXISTS', K't', ARGV[1]) == 0 then return {'template'} end
remove(ARGV[1])
settle(ARGV[2])
log(entry, 1)
return {'ok'}
"""
)

PURGE = (
    FREE
    + entry(4)
    + LOG
    + REMOVE
    + """
local ids = redis.call('ZRANGEBYSCORE', K'expiry', '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
local subjects = 0
for _, id in ipairs(ids) do
    local owner = remove(id)
    if redis.call('EXISTS', K('of:' .. owner)) == 0 then
        forget_subject(owner)
        subjects = subjects + 1
    end
end
settle(ARGV[2])
if #ids > 0 then log(entry, #ids) end
return {'ok', #ids, subjects}
"""
)

# A cursor contains the generation, its starting revision, the last revision seen, and the digest of the write that made
# the later of the two. Removals before the starting revision need not be reported.
CHANGES = (
    READ
    + STRAYED
    + """
local start, after, limit = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local seen = math.max(start, after)
local fresh = ARGV[1] ~= live or seen < tonumber(redis.call('HGET', B, 'trimmed')) or strayed(seen, ARGV[5])
if fresh then start, after = tonumber(redis.call('HGET', B, 'revision')), 0 end
local function range(name, from)
    return redis.call('ZRANGEBYSCORE', K(name), '(' .. from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
end
local come, gone = range('log', after), range('gone', math.max(start, after))
local changes, i, j = {}, 1, 1
while #changes < limit and (come[i] or gone[j]) do
    if come[i] and not (gone[j] and tonumber(gone[j + 1]) < tonumber(come[i + 1])) then
        local id, record = come[i], redis.call('HGET', K't', come[i])
        local subject = redis.call('HGET', K's', cjson.decode(record).subject)
        changes[#changes + 1] = {id, record, subject, redis.call('HGET', K('e:' .. live), id)}
        after, i = tonumber(come[i + 1]), i + 2
    else
        changes[#changes + 1] = {gone[j]}
        after, j = tonumber(gone[j + 1]), j + 2
    end
end
local secret = redis.call('HGET', B, 'secret') or ''
return {'ok', fresh and 1 or 0, live, start, after, maker(math.max(start, after)),
        redis.call('HGETALL', K('g:' .. live)), secret, changes}
"""
)

DIGEST = (
    READ
    + """
return {'ok', table.concat(redis.call('HVALS', K('leaves:' .. live))), redis.call('HGET', B, 'secret') or ''}
"""
)

# Camera data of earlier versions, which is no longer read.
DROP_STATISTICS = (
    FREE
    + """
redis.call('UNLINK', K'statistics')
return {'ok'}
"""
)

NOTE = (
    WRITE
    + LOG
    + """
log(ARGV[1], 0)
return {'ok'}
"""
)
