"""Merging of two subjects, and pairs that were said to be different people, in the Redis store; see
gaitkeeper.gallery.stores.protocol.Pairs.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.stores.encryption import Seals
from gaitkeeper.gallery.stores.merging import check_two, merged
from gaitkeeper.gallery.stores.redis.calls import Calls
from gaitkeeper.gallery.stores.redis.rows import key_of, subject_fields, subject_of
from gaitkeeper.gallery.types import Action


def merge(calls: Calls, collection: str, subject: str, other: str) -> int:
    """Merge two subjects. Returns the number of moved templates."""
    status: bytes = b"changed"
    while status == b"changed":  # repeat if the data has changed before the script runs
        _, secret, own, gone, *templates = _of_two(calls, collection, subject, other, "pair/read")
        remaining = merged(subject_of(own, collection), subject_of(gone, collection))
        sealing = calls.trust.seals(collection, secret)
        key = sealing.subject_key(key_of(own[1]))
        status, *details = _of_two(
            calls,
            collection,
            subject,
            other,
            "pair/merge",
            durable=True,
            mine=own[1],
            theirs=gone[1],
            secret=secret,
            fields=subject_fields(remaining, key),
            replaced=b"".join(_replaced(row, subject, sealing, key_of(gone[1]), key) for row in templates),
            entry=calls.entry(Action.MERGE, collection, subject),
            other_entry=calls.entry(Action.MERGED_AWAY, collection, other),
        )
    moved: int = details[0]
    return moved


def tell_apart(calls: Calls, collection: str, subject: str, other: str) -> None:
    """Store that two subjects are different people."""
    check_two(subject, other)
    entry, other_entry = (calls.entry(Action.TELL_APART, collection, name) for name in (subject, other))
    _of_two(calls, collection, subject, other, "pair/tell_apart", durable=True, entry=entry, other_entry=other_entry)


def apart(calls: Calls, collection: str, subject: str) -> list[str]:
    """Ids of the subjects that were said to be other people."""
    return sorted(name.decode() for name in calls.of_subject(collection, subject, "pair/apart")[1])


def _of_two(calls: Calls, collection: str, subject: str, other: str, script: str, **arguments: Any) -> list[Any]:
    """Run a script about two subjects. Raises NotFound if one of them does not exist."""
    reply = calls.of_subject(collection, subject, script, other=other, **arguments)
    if reply[0] == b"other":
        raise NotFound(f"The collection {collection!r} has no subject {other!r}.", subject=other)
    return reply


def _replaced(row: Sequence[bytes], subject: str, sealing: Seals, old: bytes | None, new: bytes | None) -> bytes:
    """The new values of a template's record, sequence and embeddings, in the form of the script ``pair/merge``."""
    return b"".join(
        struct.pack(">40sI", hashlib.sha1(before, usedforsecurity=False).hexdigest().encode(), len(after)) + after
        for before, after in _values(row, subject, sealing, old, new)
    )


def _values(
    row: Sequence[bytes], subject: str, sealing: Seals, old: bytes | None, new: bytes | None
) -> Iterator[tuple[bytes, bytes]]:
    name, (record, sequence, *embeddings) = row[0].decode(), row[1:]
    yield record, json.dumps(json.loads(record) | {"subject": subject}).encode()
    if new is None:
        return
    yield sequence, sealing.seal(new, f"sequence {name}", sealing.open(old, f"sequence {name}", sequence))
    for embedding in filter(None, embeddings):
        dtype, data = embedding[:2], embedding[2:]  # see gaitkeeper.gallery.stores.redis.rows.embedding_of
        what = f"embedding {name}"
        yield embedding, dtype + sealing.seal(new, what, sealing.open(old, what, data))
