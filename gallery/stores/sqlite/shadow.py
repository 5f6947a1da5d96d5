"""The SQLite store's second set of embeddings. The caller provides the transaction; see
gaitkeeper.gallery.stores.protocol.Store.
"""

from __future__ import annotations

import sqlite3

import numpy as np
import numpy.typing as npt

from gaitkeeper.gallery.errors import Conflict, FingerprintMismatch, ShadowBehind
from gaitkeeper.gallery.stores.encryption import Seals
from gaitkeeper.gallery.stores.sqlite.write import insert_embedding
from gaitkeeper.pipelines.fingerprint import Fingerprint

_MISSING = """
    FROM templates t WHERE t.collection = :collection
    AND NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.generation = :generation AND e.template = t.key)"""


def begin(db: sqlite3.Connection, collection: sqlite3.Row, fingerprint: Fingerprint) -> None:
    """Create a shadow generation, or find the one with this fingerprint."""
    name, wanted = collection["name"], str(fingerprint)
    if collection["fingerprint"] is None:
        raise Conflict(f"The collection {name!r} is empty: there is nothing to migrate.")
    if collection["fingerprint"] == wanted:
        raise Conflict(f"The collection {name!r} is pinned to {wanted} already.")
    there = _find(db, collection)
    if there is not None and there["fingerprint"] != wanted:
        raise Conflict(
            f"The collection {name!r} still has embeddings of {there['fingerprint']}. "
            f"Delete them first, which ends the way back: `gaitkeeper collections migrate {name} --drop`."
        )
    if there is None:
        db.execute(
            "INSERT INTO generations (collection, role, fingerprint, was_live) VALUES (?, 'shadow', ?, 0)",
            (collection["key"], wanted),
        )


def missing(db: sqlite3.Connection, collection: sqlite3.Row, limit: int) -> list[str]:
    """Ids of the oldest templates that have no embedding in the shadow."""
    keys = {"collection": collection["key"], "generation": _shadow(db, collection)["key"], "limit": limit}
    return [row[0] for row in db.execute(f"SELECT t.id {_MISSING} ORDER BY t.key LIMIT :limit", keys)]


def put(
    db: sqlite3.Connection,
    collection: sqlite3.Row,
    template: sqlite3.Row,
    fingerprint: Fingerprint,
    embedding: npt.NDArray[np.floating],
    sealing: Seals,
) -> None:
    """Set a template's embedding in the shadow."""
    shadow = _shadow(db, collection)
    if shadow["fingerprint"] != str(fingerprint):
        raise FingerprintMismatch.between(collection["name"], shadow["fingerprint"], fingerprint)
    shape = (shadow["parts"], shadow["dims"])
    if shape not in ((None, None), embedding.shape):
        raise FingerprintMismatch.shapes(collection["name"], shape, embedding.shape)
    db.execute("UPDATE generations SET parts = ?, dims = ? WHERE key = ?", (*embedding.shape, shadow["key"]))
    insert_embedding(db, shadow["key"], template["key"], template["id"], embedding, sealing, template["sealed_key"])


def flip(db: sqlite3.Connection, collection: sqlite3.Row, *, back: bool = False) -> None:
    """Swap the live generation and the shadow, if every template is in both. With ``back``, only if the shadow was live
    before.
    """
    shadow, name = _shadow(db, collection), collection["name"]
    if back and not shadow["was_live"]:
        raise Conflict(f"The collection {name!r} has no embeddings that were live before.")
    keys = {"collection": collection["key"], "generation": shadow["key"]}
    (behind,) = db.execute(f"SELECT count(*) {_MISSING}", keys).fetchone()
    if behind:
        raise ShadowBehind(
            f"{behind} template(s) of the collection {name!r} have no embedding of {shadow['fingerprint']} yet.",
            missing=behind,
        )
    for key, role in (
        (collection["generation"], "none"),
        (shadow["key"], "live"),
        (collection["generation"], "shadow"),
    ):
        db.execute("UPDATE generations SET role = ?, was_live = 1 WHERE key = ?", (role, key))


def drop(db: sqlite3.Connection, collection: sqlite3.Row) -> int:
    """Remove the shadow. Returns the number of its embeddings."""
    key = _shadow(db, collection)["key"]
    gone = db.execute("DELETE FROM embeddings WHERE generation = ?", (key,)).rowcount
    db.execute("DELETE FROM generations WHERE key = ?", (key,))
    return gone


def _find(db: sqlite3.Connection, collection: sqlite3.Row) -> sqlite3.Row | None:
    found: sqlite3.Row | None = db.execute(
        "SELECT * FROM generations WHERE collection = ? AND role = 'shadow'", (collection["key"],)
    ).fetchone()
    return found


def _shadow(db: sqlite3.Connection, collection: sqlite3.Row) -> sqlite3.Row:
    found = _find(db, collection)
    if found is None:
        raise Conflict(f"The collection {collection['name']!r} has no shadow.")
    return found
