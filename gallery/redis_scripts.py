"""The Redis store's steps as Lua scripts, each of which Redis runs, and logs, all or nothing.

A collection ``C`` is kept under keys that share the hash tag ``{C}``, so that a cluster has them on one node:

``gaitkeeper:{C}``         hash: keeps_heatmaps, ttl, created, revision, trimmed, secret (hexadecimal), and ids of the
                           generations live and shadow
``…:g:G``                  hash: fingerprint, parts, dims, was_live of the generation G
``…:e:G``, ``…:leaves:G``  hashes by template: type and bytes of its embedding; its leaf of the digest
``…:t``, ``…:q``, ``…:s``  hashes: records by template, sequences by template, records by subject
``…:names``, ``…:of:S``    sorted sets: ids of all subjects; ids of the templates of subject S in order of enrolment
``…:log``, ``…:gone``      sorted sets: ids of templates there and of those gone, by the revision of their last change
``…:clips``, ``…:expiry``, ``…:todo``  templates by clip and track; by microsecond of expiry; missing in the shadow
``…:events``               stream: one entry a revision, for those who wait; it says nothing but that there is news
``…:audit``, ``…:auditkey``  stream: the log, which outlives the collection; key of the digests that name subjects in it
"""

from __future__ import annotations

_PRELUDE = """
local B = KEYS[1]
local function K(name) return B .. ':' .. name end
if redis.call('EXISTS', B) == 0 then return {'none'} end
local live = redis.call('HGET', B, 'live')
local shadow = redis.call('HGET', B, 'shadow')
"""

_READ = "#!lua flags=no-writes,allow-stale\n" + _PRELUDE
_FREE = "#!lua flags=allow-oom\n" + _PRELUDE  # what frees memory must work where there is none left
_WRITE = "#!lua\n" + _PRELUDE

_LOG = """
local function log(fields, templates)
    redis.call('XADD', K'audit', '*', 'entry', fields, 'templates', templates)
end
"""

_BUMP = """
local function bump()
    local revision = redis.call('HINCRBY', B, 'revision', 1)
    redis.call('XADD', K'events', 'MAXLEN', '~', 1000, revision .. '-0', 'news', 1)
    return revision
end
"""

_REMOVE = (
    _BUMP
    + """
local function drop_shadow()
    redis.call('UNLINK', K('g:' .. shadow), K('e:' .. shadow), K('leaves:' .. shadow), K'todo')
    redis.call('HDEL', B, 'shadow')
end
local function remove(id)
    local record = cjson.decode(redis.call('HGET', K't', id))
    redis.call('HDEL', K't', id)
    redis.call('HDEL', K'q', id)
    redis.call('HDEL', K('e:' .. live), id)
    redis.call('HDEL', K('leaves:' .. live), id)
    if shadow then
        redis.call('HDEL', K('e:' .. shadow), id)
        redis.call('HDEL', K('leaves:' .. shadow), id)
    end
    if record.clip_sha256 ~= cjson.null then
        redis.call('HDEL', K'clips', record.clip_sha256 .. ':' .. record.track)
    end
    redis.call('ZREM', K('of:' .. record.subject), id)
    redis.call('ZREM', K'log', id)
    redis.call('ZREM', K'expiry', id)
    redis.call('ZREM', K'todo', id)
    redis.call('ZADD', K'gone', bump(), id)
    return record.subject
end
-- What is gone is remembered for so many templates; who has followed less far than that must start anew.
local function settle(memory)
    local excess = redis.call('ZCARD', K'gone') - memory
    if excess > 0 then
        local last = redis.call('ZRANGE', K'gone', excess - 1, excess - 1, 'WITHSCORES')
        redis.call('HSET', B, 'trimmed', last[2])
        redis.call('ZREMRANGEBYRANK', K'gone', 0, excess - 1)
    end
    if redis.call('ZCARD', K'log') == 0 then
        redis.call('HDEL', K('g:' .. live), 'fingerprint', 'parts', 'dims')
        if shadow then drop_shadow() end
    end
end
local function forget_subject(id)
    redis.call('HDEL', K's', id)
    redis.call('ZREM', K'names', id)
end
"""
)

ENSURE = (
    """#!lua
local B = KEYS[1]
local function K(name) return B .. ':' .. name end
"""
    + _LOG
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

# What has to be known before something is written: the collection, a subject's record, the key of the log's digests.
STATE = (
    _READ
    + """
return {'ok', redis.call('HGETALL', B), redis.call('HGET', K's', ARGV[1]) or '', redis.call('GET', K'auditkey') or ''}
"""
)

NEW_AUDIT_KEY = """#!lua
redis.call('SET', KEYS[1] .. ':auditkey', ARGV[1], 'NX')
return {redis.call('GET', KEYS[1] .. ':auditkey')}
"""

NOTE = (
    _WRITE
    + _LOG
    + """
log(ARGV[1], 0)
return {'ok'}
"""
)

COLLECTION = (
    _READ
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
    _WRITE
    + """
if ARGV[1] == '' then redis.call('HDEL', B, 'ttl') else redis.call('HSET', B, 'ttl', ARGV[1]) end
redis.call('HINCRBY', B, 'touched', 1)
return {'ok'}
"""
)

DELETE_COLLECTION = (
    _FREE
    + _LOG
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

_UPSERT = """
-- Fields that are absent stay, empty ones go.
local function upsert(id, given, created)
    local record = cjson.decode(redis.call('HGET', K's', id) or '{"metadata": "{}"}')
    for name, value in pairs(cjson.decode(given)) do
        if value == '' then record[name] = nil else record[name] = value end
    end
    record.created = record.created or created
    redis.call('HSET', K's', id, cjson.encode(record))
    redis.call('ZADD', K'names', 0, id)
end
"""

ENROLL = (
    _WRITE
    + _LOG
    + _BUMP
    + _UPSERT
    + """
local subject, given, created, id, record, clip, expires = unpack(ARGV, 1, 7)
local fingerprint, parts, dims, embedding, leaf, sequence, secret, entry = unpack(ARGV, 8, 15)
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
    _WRITE
    + _LOG
    + _BUMP
    + _UPSERT
    + """
if redis.call('HEXISTS', K's', ARGV[1]) == 0 then return {'subject'} end
upsert(ARGV[1], ARGV[2], '')
log(ARGV[3], 0)
for _, id in ipairs(redis.call('ZRANGE', K('of:' .. ARGV[1]), 0, -1)) do
    redis.call('ZADD', K'log', bump(), id)
end
return {'ok'}
"""
)

SUBJECTS = (
    _READ
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
    _READ
    + """
local record = redis.call('HGET', K's', ARGV[1])
if not record then return {'subject'} end
return {'ok', {ARGV[1], record, redis.call('ZCARD', K('of:' .. ARGV[1]))}}
"""
)

TEMPLATES = (
    _READ
    + """
if redis.call('HEXISTS', K's', ARGV[1]) == 0 then return {'subject'} end
local reply = {'ok', redis.call('HGETALL', K('g:' .. live))}
for _, id in ipairs(redis.call('ZRANGE', K('of:' .. ARGV[1]), 0, -1)) do
    reply[#reply + 1] = {id, redis.call('HGET', K't', id)}
end
return reply
"""
)

# ARGV[2] says what of the template is wanted beside its record.
TEMPLATE = (
    _READ
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
    _FREE
    + _LOG
    + _REMOVE
    + """
if redis.call('HEXISTS', K's', ARGV[1]) == 0 then return {'subject'} end
local ids = redis.call('ZRANGE', K('of:' .. ARGV[1]), 0, -1)
for _, id in ipairs(ids) do remove(id) end
forget_subject(ARGV[1])
settle(ARGV[2])
log(ARGV[3], #ids)
return {'ok', #ids}
"""
)

DELETE_TEMPLATE = (
    _FREE
    + _LOG
    + _REMOVE
    + """
if redis.call('HEXISTS', K't', ARGV[1]) == 0 then return {'template'} end
remove(ARGV[1])
settle(ARGV[2])
log(ARGV[3], 1)
return {'ok'}
"""
)

PURGE = (
    _FREE
    + _LOG
    + _REMOVE
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
if #ids > 0 then log(ARGV[4], #ids) end
return {'ok', #ids, subjects}
"""
)

# A cursor is the generation it was read from, the revision at its beginning, and the last revision it has seen: before
# its beginning nobody need be told of what is gone.
CHANGES = (
    _READ
    + """
local start, after, limit = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local fresh = ARGV[1] ~= live or math.max(start, after) < tonumber(redis.call('HGET', B, 'trimmed'))
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
return {'ok', fresh and 1 or 0, live, start, after, redis.call('HGETALL', K('g:' .. live)), secret, changes}
"""
)

DIGEST = (
    _READ
    + """
return {'ok', table.concat(redis.call('HVALS', K('leaves:' .. live))), redis.call('HGET', B, 'secret') or ''}
"""
)

BEGIN_SHADOW = (
    _WRITE
    + """
local pinned = redis.call('HGET', K('g:' .. live), 'fingerprint')
if not pinned then return {'empty'} end
if pinned == ARGV[1] then return {'pinned'} end
if shadow then
    local there = redis.call('HGET', K('g:' .. shadow), 'fingerprint')
    if there ~= ARGV[1] then return {'other', there} end
    return {'ok'}
end
redis.call('HSET', B, 'shadow', ARGV[2])
redis.call('HSET', K('g:' .. ARGV[2]), 'fingerprint', ARGV[1], 'was_live', 0)
redis.call('ZUNIONSTORE', K'todo', 1, K'log')
return {'ok'}
"""
)

SHADOW_MISSING = (
    _READ
    + """
if not shadow then return {'shadow'} end
return {'ok', redis.call('ZRANGE', K'todo', 0, ARGV[1] - 1)}
"""
)

PUT_SHADOW = (
    _WRITE
    + """
local id, fingerprint, parts, dims, embedding, leaf = unpack(ARGV, 1, 6)
if not shadow then return {'shadow'} end
local record = redis.call('HGET', K't', id)
if not record then return {'template'} end
local owner = redis.call('HGET', K's', cjson.decode(record).subject)
if ARGV[7] ~= (cjson.decode(owner).key or '') then return {'key'} end
local pinned = redis.call('HMGET', K('g:' .. shadow), 'fingerprint', 'parts', 'dims')
if pinned[1] ~= fingerprint then return {'fingerprint', pinned[1]} end
if pinned[2] and (pinned[2] ~= parts or pinned[3] ~= dims) then return {'shape', pinned[2], pinned[3]} end
redis.call('HSET', K('g:' .. shadow), 'parts', parts, 'dims', dims)
redis.call('HSET', K('e:' .. shadow), id, embedding)
redis.call('HSET', K('leaves:' .. shadow), id, leaf)
redis.call('ZREM', K'todo', id)
return {'ok'}
"""
)

FLIP = (
    _WRITE
    + _LOG
    + _BUMP
    + """
if not shadow then return {'shadow'} end
if ARGV[1] == 'back' and redis.call('HGET', K('g:' .. shadow), 'was_live') ~= '1' then return {'never'} end
local missing = redis.call('ZCARD', K'todo')
if missing > 0 then return {'behind', missing, redis.call('HGET', K('g:' .. shadow), 'fingerprint')} end
redis.call('HSET', B, 'live', shadow, 'shadow', live)
redis.call('HSET', K('g:' .. shadow), 'was_live', 1)
bump()
log(ARGV[2], 0)
return {'ok'}
"""
)

DROP_SHADOW = (
    _FREE
    + _LOG
    + _REMOVE
    + """
if not shadow then return {'shadow'} end
local templates = redis.call('HLEN', K('leaves:' .. shadow))
drop_shadow()
log(ARGV[1], 0)
return {'ok', templates}
"""
)

# ARGV: the old secret, the new one, the log's key, the log's entry, then subject, old key and new key of each in turn.
ROTATE = (
    _WRITE
    + _LOG
    + """
if redis.call('HGET', B, 'secret') ~= ARGV[1] or 3 * redis.call('ZCARD', K'names') ~= #ARGV - 4 then return {'key'} end
local records = {}
for i = 5, #ARGV, 3 do
    local record = redis.call('HGET', K's', ARGV[i])
    if not record then return {'key'} end
    record = cjson.decode(record)
    if record.key ~= ARGV[i + 1] then return {'key'} end
    record.key = ARGV[i + 2]
    records[i] = cjson.encode(record)
end
for i, record in pairs(records) do redis.call('HSET', K's', ARGV[i], record) end
redis.call('HSET', B, 'secret', ARGV[2])
redis.call('SET', K'auditkey', ARGV[3])
log(ARGV[4], 0)
return {'ok'}
"""
)

# Whether everything kept is of a template that is there, and that of a subject that is there.
BALANCE = (
    _READ
    + """
local templates, owned = redis.call('ZCARD', K'log'), 0
for _, name in ipairs(redis.call('ZRANGE', K'names', 0, -1)) do
    owned = owned + redis.call('ZCARD', K('of:' .. name))
end
return {'ok', {'template', redis.call('HLEN', K't') - owned, 'sequence', redis.call('HLEN', K'q') - templates,
               'embedding', redis.call('HLEN', K('e:' .. live)) - templates,
               'subject', redis.call('HLEN', K's') - redis.call('ZCARD', K'names')},
        redis.call('ZRANGE', K'names', 0, -1)}
"""
)
