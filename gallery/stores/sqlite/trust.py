"""Key rotation, and the check for leftovers of erased data, for an SQLite store."""

from __future__ import annotations

import sqlite3

from gaitkeeper.gallery.stores.audit import digest, gone
from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.sqlite.write import audit_key, log
from gaitkeeper.gallery.types import Action, AuditEntry, AuditReport

_LEFT = """
    SELECT 'template' AS what, count(*) AS number FROM templates WHERE subject NOT IN (SELECT key FROM subjects)
    UNION SELECT 'embedding', count(*) FROM embeddings WHERE template NOT IN (SELECT key FROM templates)
    UNION SELECT 'sequence', count(*) FROM sequences WHERE template NOT IN (SELECT key FROM templates)
    UNION SELECT 'sighting', count(*) FROM sightings
        WHERE subject IS NOT NULL AND subject NOT IN (SELECT key FROM subjects)"""

_SEALED = (
    (
        "SELECT key, sealed_key FROM subjects WHERE collection = ? AND sealed_key IS NOT NULL",
        "UPDATE subjects SET sealed_key = ? WHERE key = ?",
    ),
    (
        "SELECT key, sealed_key FROM sightings WHERE collection = ? AND sealed_key IS NOT NULL",
        "UPDATE sightings SET sealed_key = ? WHERE key = ?",
    ),
)
"""Queries that read, and that change, what a collection's key seals."""


def rotate(db: sqlite3.Connection, vault: Vault, collection: sqlite3.Row) -> bool:
    """Give a collection a new key, sealed by the first master key. Returns False if it has one or is not encrypted."""
    secret, name = collection["secret"], collection["name"]
    if secret is None or vault.is_current(secret):
        return False
    renewed = vault.renewed(secret)
    old, new = vault.sealing(secret), vault.sealing(renewed)
    for read, change in _SEALED:
        rows = db.execute(read, (collection["key"],)).fetchall()
        db.executemany(change, ((new.wrap(old.unwrap(row["sealed_key"])), row["key"]) for row in rows))
    db.execute("UPDATE collections SET secret = ? WHERE key = ?", (renewed, collection["key"]))
    if key := audit_key(db, name):
        db.execute("UPDATE audit_keys SET key = ? WHERE collection = ?", (vault.lock(vault.unlock(key)), name))
    log(db, vault, Action.ROTATE_KEY, name)
    return True


def audit(db: sqlite3.Connection, vault: Vault | None, collection: str, *, pending: bool) -> AuditReport:
    """A collection's log, and all data found that belongs to erased subjects or to no subject."""
    rows = db.execute(
        "SELECT at, actor, action, collection, subject, templates FROM audit WHERE collection = ? ORDER BY number",
        (collection,),
    )
    entries = tuple(AuditEntry(**dict(row)) for row in rows)
    erased, key = gone(entries), audit_key(db, collection)
    left = [f"{row['number']} {row['what']}(s) without an owner" for row in db.execute(_LEFT) if row["number"]]
    there = db.execute(
        "SELECT s.id FROM subjects s JOIN collections c ON c.key = s.collection WHERE c.name = ?", (collection,)
    )
    if erased:
        found = sum(digest(vault, key, row["id"]) in erased for row in there)
        left += [f"{found} subject(s) that the log says are erased"] if found else []
    return AuditReport(collection=collection, entries=entries, erased=len(erased), left=tuple(left), pending=pending)
