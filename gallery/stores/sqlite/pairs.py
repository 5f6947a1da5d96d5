"""Merging of two subjects, and pairs that were said to be different people, in the SQLite store. The caller provides
the transaction.
"""

from __future__ import annotations

import sqlite3

from gaitkeeper.gallery.stores.encryption import Seals, Vault, seals
from gaitkeeper.gallery.stores.merging import check_two, merged
from gaitkeeper.gallery.stores.sqlite.rows import subject_of
from gaitkeeper.gallery.stores.sqlite.write import (
    announce,
    collection_row,
    forget_apart,
    log,
    subject_row,
    templates_of,
    upsert_subject,
)
from gaitkeeper.gallery.types import Action

_SEALED = (
    (
        "embedding",
        "SELECT rowid AS place, data FROM embeddings WHERE template = ?",
        "UPDATE embeddings SET data = ? WHERE rowid = ?",
    ),
    (
        "sequence",
        "SELECT rowid AS place, data FROM sequences WHERE template = ?",
        "UPDATE sequences SET data = ? WHERE rowid = ?",
    ),
)
"""What is encrypted of a template; how to read and how to write it."""


def merge(db: sqlite3.Connection, vault: Vault | None, collection: str, subject: str, other: str) -> int:
    """See :meth:`gaitkeeper.gallery.stores.protocol.Pairs.merge`. Returns the number of moved templates."""
    own, gone = subject_row(db, collection, subject), subject_row(db, collection, other)
    remaining = merged(subject_of(own, collection), subject_of(gone, collection))
    sealing = seals(vault, collection_row(db, collection)["secret"], collection)
    key = sealing.subject_key(own["sealed_key"])
    moved = templates_of(db, gone["key"])
    if key is not None:
        for template in moved:
            _reseal(db, sealing, template, gone["sealed_key"], key)
        db.execute("UPDATE subjects SET sealed_key = ? WHERE key = ?", (key, own["key"]))
    upsert_subject(db, own["collection"], remaining)
    forget_apart(db, own["key"])
    db.execute("UPDATE templates SET subject = ? WHERE subject = ?", (own["key"], gone["key"]))
    db.execute("UPDATE sightings SET subject = ? WHERE subject = ?", (own["key"], gone["key"]))
    db.execute("DELETE FROM subjects WHERE key = ?", (gone["key"],))
    announce(db, own["collection"], templates_of(db, own["key"]))
    log(db, vault, Action.MERGE, collection, subject, len(moved))
    log(db, vault, Action.MERGED_AWAY, collection, other, len(moved))
    return len(moved)


def tell_apart(db: sqlite3.Connection, vault: Vault | None, collection: str, subject: str, other: str) -> None:
    """See :meth:`gaitkeeper.gallery.stores.protocol.Pairs.tell_apart`."""
    check_two(subject, other)
    one, two = subject_row(db, collection, subject), subject_row(db, collection, other)
    for pair in ((one["key"], two["key"]), (two["key"], one["key"])):
        db.execute("INSERT OR IGNORE INTO apart (subject, other) VALUES (?, ?)", pair)
    for name in (subject, other):
        log(db, vault, Action.TELL_APART, collection, name)


def apart(db: sqlite3.Connection, collection: str, subject: str) -> list[str]:
    """See :meth:`gaitkeeper.gallery.stores.protocol.Pairs.apart`."""
    owner = subject_row(db, collection, subject)["key"]
    rows = db.execute(
        "SELECT s.id FROM apart a JOIN subjects s ON s.key = a.other WHERE a.subject = ? ORDER BY s.id", (owner,)
    )
    return [row["id"] for row in rows]


def _reseal(db: sqlite3.Connection, sealing: Seals, template: int, old: bytes | None, new: bytes) -> None:
    """Encrypt a template's sequence and all its embeddings with the key of another subject."""
    (name,) = db.execute("SELECT id FROM templates WHERE key = ?", (template,)).fetchone()
    for what, read, write in _SEALED:
        associated = f"{what} {name}"
        for row in db.execute(read, (template,)).fetchall():
            data = sealing.seal(new, associated, sealing.open(old, associated, bytes(row["data"])))
            db.execute(write, (data, row["place"]))
