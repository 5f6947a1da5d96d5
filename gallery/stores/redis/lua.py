"""Common parts of the Redis store's Lua scripts. Redis runs and logs each script atomically.

All keys of a collection ``C`` share the hash tag ``{C}``, so a cluster keeps them on one node:

``gaitkeeper:{C}``         hash: keeps_heatmaps, ttl, created, revision, trimmed, secret (hexadecimal), and ids of the
                           generations live and shadow
``…:g:G``                  hash: fingerprint, parts, dims, was_live of the generation G
``…:e:G``, ``…:leaves:G``  hashes by template: type and bytes of its embedding; its leaf of the digest
``…:t``, ``…:q``, ``…:s``  hashes: records by template, sequences by template, records by subject
``…:names``, ``…:of:S``    sorted sets: ids of all subjects; ids of the templates of subject S in order of enrolment
``…:log``, ``…:gone``      sorted sets: ids of templates there and of those gone, by the revision of their last change
``…:clips``, ``…:expiry``, ``…:todo``  templates by clip and track; by microsecond of expiry; missing in the shadow
``…:events``               stream: one entry a revision, for those who wait; it says which write made it, by a digest
``…:audit``, ``…:auditkey``  stream: the log, which outlives the collection; key of the digests that name subjects in it
"""

from __future__ import annotations


def entry(place: int) -> str:
    """Prelude of a script that changes revisions. Its log entry is the argument at this position, from 1."""
    return f"\nlocal entry = ARGV[{place}]\n"


PRELUDE = """
local B = KEYS[1]
local function K(name) return B .. ':' .. name end
if redis.call('EXISTS', B) == 0 then return {'none'} end
local live = redis.call('HGET', B, 'live')
local shadow = redis.call('HGET', B, 'shadow')
"""

READ = "#!lua flags=no-writes,allow-stale\n" + PRELUDE

FREE = "#!lua flags=allow-oom\n" + PRELUDE  # scripts that free memory must also work when none is left

WRITE = "#!lua\n" + PRELUDE

LOG = """
local function log(fields, templates)
    redis.call('XADD', K'audit', '*', 'entry', fields, 'templates', templates)
end
"""

# Made from the script's own log entry, which is unique: see ``entry``.
BUMP = """
local function bump()
    local revision = redis.call('HINCRBY', B, 'revision', 1)
    redis.call('XADD', K'events', 'MAXLEN', '~', 1000, revision .. '-0', 'by', redis.sha1hex(entry))
    return revision
end
"""

# After a failover to a replica that lacks the last writes, other writes get the same revisions. The digest of the write
# that made a revision distinguishes the two, as long as the stream contains it.
STRAYED = """
local function maker(revision)
    local entry = redis.call('XRANGE', K'events', revision .. '-0', revision .. '-0')[1]
    return entry and entry[2][2] or ''
end
local function strayed(revision, by)
    if revision > tonumber(redis.call('HGET', B, 'revision')) then return true end
    local now = maker(revision)
    return by ~= '' and now ~= '' and by ~= now
end
"""

REMOVE = (
    BUMP
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

UPSERT = """
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
