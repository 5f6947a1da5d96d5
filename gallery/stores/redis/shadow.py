"""The Redis store's second set of embeddings; see gallery.stores.protocol.Store."""

from __future__ import annotations

import uuid

import numpy as np
import numpy.typing as npt

from gallery.errors import Conflict, ShadowBehind
from gallery.stores.encoding import bytes_of
from gallery.stores.protocol import leaf_of
from gallery.stores.redis import scripts
from gallery.stores.redis.calls import Calls, check_fits, no_template
from gallery.stores.redis.lua import BUMP, FREE, LOG, READ, REMOVE, WRITE, entry
from gallery.stores.redis.rows import key_of
from gallery.types import Action
from pipelines.fingerprint import Fingerprint

_BEGIN = (
    WRITE
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

_MISSING = (
    READ
    + """
if not shadow then return {'shadow'} end
return {'ok', redis.call('ZRANGE', K'todo', 0, ARGV[1] - 1)}
"""
)

_PUT = (
    WRITE
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

_FLIP = (
    WRITE
    + entry(2)
    + LOG
    + BUMP
    + """
if not shadow then return {'shadow'} end
if ARGV[1] == 'back' and redis.call('HGET', K('g:' .. shadow), 'was_live') ~= '1' then return {'never'} end
local missing = redis.call('ZCARD', K'todo')
if missing > 0 then return {'behind', missing, redis.call('HGET', K('g:' .. shadow), 'fingerprint')} end
redis.call('HSET', B, 'live', shadow, 'shadow', live)
redis.call('HSET', K('g:' .. shadow), 'was_live', 1)
bump()
log(entry, 0)
return {'ok'}
"""
)

_DROP = (
    FREE
    + LOG
    + REMOVE
    + """
if not shadow then return {'shadow'} end
local templates = redis.call('HLEN', K('leaves:' .. shadow))
drop_shadow()
log(ARGV[1], 0)
return {'ok', templates}
"""
)


def begin(calls: Calls, collection: str, fingerprint: Fingerprint) -> None:
    """Create a shadow generation, or find the one with this fingerprint."""
    args = (str(fingerprint), uuid.uuid4().hex)
    status, *details = calls.of_collection(collection, _BEGIN, *args, durable=True)
    if status == b"empty":
        raise Conflict(f"The collection {collection!r} is empty: it has nothing to move.")
    if status == b"pinned":
        raise Conflict(f"The collection {collection!r} is pinned to {fingerprint} already.")
    if status == b"other":
        raise Conflict(f"The collection {collection!r} has a shadow of {details[0].decode()}; drop that first.")


def missing(calls: Calls, collection: str, limit: int) -> list[str]:
    """Ids of the oldest templates that have no embedding in the shadow."""
    return [template.decode() for template in calls.of_shadow(collection, _MISSING, limit)[1]]


def put(
    calls: Calls, collection: str, template: str, fingerprint: Fingerprint, embedding: npt.NDArray[np.floating]
) -> None:
    """Set a template's embedding in the shadow."""
    dtype, data, float32 = bytes_of(embedding)
    status: bytes = b"key"
    while status == b"key":  # repeat if the keys have changed before the script runs
        _, _, _, secret, owner = calls.of_template(collection, template, scripts.TEMPLATE, "")
        sealing, key = calls.trust.seals(collection, secret), key_of(owner)
        sealed = dtype.encode() + sealing.seal(key, f"embedding {template}", data)
        leaf = leaf_of(sealing.salt, template, float32)
        args = (template, str(fingerprint), *embedding.shape, sealed, leaf, "" if key is None else key.hex())
        status, *details = calls.of_shadow(collection, _PUT, *args, durable=True)
    if status == b"template":
        raise no_template(collection, template)
    check_fits(status, details, collection, fingerprint, embedding)


def flip(calls: Calls, collection: str, *, back: bool = False) -> None:
    """Swap the live generation and the shadow. With ``back``, only if the shadow was live before."""
    args = ("back" if back else "", calls.trust.entry(Action.FLIP, collection))
    status, *details = calls.of_shadow(collection, _FLIP, *args, durable=True)
    if status == b"never":
        raise Conflict(f"The collection {collection!r} has no embeddings that were live before.")
    if status == b"behind":
        count, fingerprint = details[0], details[1].decode()
        raise ShadowBehind(
            f"{count} template(s) of the collection {collection!r} have no embedding of {fingerprint} yet.",
            missing=count,
        )


def drop(calls: Calls, collection: str) -> int:
    """Remove the shadow. Returns the number of its embeddings."""
    args = (calls.trust.entry(Action.DROP_SHADOW, collection),)
    templates: int = calls.of_shadow(collection, _DROP, *args, durable=True)[1]
    return templates
