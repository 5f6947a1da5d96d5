"""Write operations of the SQLite store. The caller provides the transaction."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from gaitkeeper.gallery.errors import ClipOfOtherSubject, Conflict, FingerprintMismatch, NotFound, Overtaken
from gaitkeeper.gallery.stores import audit
from gaitkeeper.gallery.stores.encoding import bytes_of, expiry, stamp
from gaitkeeper.gallery.stores.encryption import Seals, Vault, seals
from gaitkeeper.gallery.stores.protocol import NewSubject, NewTemplate, leaf_of
from gaitkeeper.gallery.stores.sqlite.rows import template_of
from gaitkeeper.gallery.types import Action, Template

SUBJECTS = """
    SELECT s.*, (SELECT count(*) FROM templates t WHERE t.subject = s.key) AS templates
    FROM subjects s WHERE s.collection = :collection"""
TEMPLATES = """
    SELECT t.key, t.id, s.id AS subject, t.clip_sha256, t.track, t.start, t."end", t.quality, t.has_heatmaps, t.created,
           t.expires, t.camera, t.heading, s.sealed_key, g.key AS generation, g.fingerprint, g.parts, g.dims
    FROM templates t JOIN subjects s ON s.key = t.subject
                     JOIN generations g ON g.collection = t.collection AND g.role = 'live'
    WHERE t.collection = :collection"""


def collection_row(db: sqlite3.Connection, name: str) -> sqlite3.Row:
    """A collection with its live generation's key, fingerprint and shape. Raises NotFound."""
    row: sqlite3.Row | None = db.execute(
        "SELECT c.*, g.key AS generation, g.fingerprint, g.parts, g.dims FROM collections c"
        " JOIN generations g ON g.collection = c.key AND g.role = 'live' WHERE c.name = ?",
        (name,),
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no collection {name!r}.", collection=name)
    return row


def subject_row(db: sqlite3.Connection, collection: str, subject: str) -> sqlite3.Row:
    """A subject with the number of its templates. Raises NotFound."""
    row: sqlite3.Row | None = db.execute(
        f"{SUBJECTS} AND s.id = :id", {"collection": collection_row(db, collection)["key"], "id": subject}
    ).fetchone()
    if row is None:
        raise NotFound(f"The collection {collection!r} has no subject {subject!r}.", subject=subject)
    return row


def ensure_collection(
    db: sqlite3.Connection, vault: Vault | None, name: str, keeps_heatmaps: bool, ttl: float | None
) -> None:
    """Create a collection if it does not exist. An empty one is encrypted if there is a key."""
    made = db.execute(
        "INSERT INTO collections (name, keeps_heatmaps, ttl, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (name, keeps_heatmaps, ttl, stamp(datetime.now(UTC))),
    )
    if vault is not None:
        db.execute(
            "UPDATE collections AS c SET secret = ? WHERE name = ? AND secret IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM subjects WHERE collection = c.key)"
            " AND NOT EXISTS (SELECT 1 FROM sightings WHERE collection = c.key)",
            (vault.new_secret(), name),
        )
    if made.rowcount:
        log(db, vault, Action.CREATE, name)
        db.execute("INSERT INTO generations (collection, role, was_live) VALUES (?, 'live', 1)", (made.lastrowid,))


def log(
    db: sqlite3.Connection,
    vault: Vault | None,
    action: Action,
    collection: str,
    subject: str | None = None,
    templates: int = 0,
) -> None:
    """Log the action of this transaction."""
    if subject is not None:
        db.execute("INSERT OR IGNORE INTO audit_keys VALUES (?, ?)", (collection, audit.new_key(vault)))
        subject = audit.digest(vault, audit_key(db, collection), subject)
    db.execute(
        "INSERT INTO audit (at, actor, action, collection, subject, templates)"
        " VALUES (:at, :actor, :action, :collection, :subject, :templates)",
        audit.entry(action, collection, subject, templates),
    )


def audit_key(db: sqlite3.Connection, collection: str) -> bytes:
    """The stored key of the digests that name a collection's subjects in the log; empty if the log names none."""
    row = db.execute("SELECT key FROM audit_keys WHERE collection = ?", (collection,)).fetchone()
    return b"" if row is None else bytes(row["key"])


def enroll(
    db: sqlite3.Connection,
    vault: Vault | None,
    pinned: sqlite3.Row,
    subject: NewSubject,
    template: NewTemplate,
    seen: str | None,
) -> Template:
    """See :meth:`gaitkeeper.gallery.stores.protocol.Store.enroll`; ``pinned`` is the collection's row."""
    sealing = seals(vault, pinned["secret"], pinned["name"])
    _check_fits(pinned, template)
    known = db.execute(
        f"{TEMPLATES} AND (t.id = :id OR t.clip_sha256 = :clip AND t.track = :track)",
        {"collection": pinned["key"], "id": template.id, "clip": template.clip_sha256, "track": template.track},
    ).fetchone()
    if known is not None:
        if known["subject"] != subject.id:
            raise _other_subject(known, template)
        return template_of(known, pinned["name"], duplicate=True)
    if seen is not None and _happened_after(db, pinned, seen):
        raise Overtaken(f"The collection {pinned['name']!r} has changed in the meantime.")
    parts, dims = template.embedding.shape
    db.execute(
        "UPDATE generations SET fingerprint = ?, parts = ?, dims = ? WHERE key = ?",
        (str(template.fingerprint), parts, dims, pinned["generation"]),
    )
    owner = upsert_subject(db, pinned["key"], subject)
    key = sealing.subject_key(owner["sealed_key"])
    if key != owner["sealed_key"]:
        db.execute("UPDATE subjects SET sealed_key = ? WHERE key = ?", (key, owner["key"]))
    forget_apart(db, owner["key"])
    log(db, vault, Action.ENROLL, pinned["name"], subject.id, 1)
    return _insert(db, pinned, owner["key"], template, sealing, key)


def _happened_after(db: sqlite3.Connection, pinned: sqlite3.Row, cursor: str) -> bool:
    generation, _, revision = cursor.partition(".")
    later = "SELECT 1 FROM changes WHERE collection = ? AND revision > ? LIMIT 1"
    return generation != str(pinned["generation"]) or bool(
        db.execute(later, (pinned["key"], int(revision or 0))).fetchone()
    )


def _check_fits(pinned: sqlite3.Row, template: NewTemplate) -> None:
    """Reject an embedding that cannot be compared with the collection's templates."""
    if pinned["fingerprint"] not in (None, str(template.fingerprint)):
        raise FingerprintMismatch.between(pinned["name"], pinned["fingerprint"], template.fingerprint)
    shape = (pinned["parts"], pinned["dims"])
    if shape not in ((None, None), template.embedding.shape):
        raise FingerprintMismatch.shapes(pinned["name"], shape, template.embedding.shape)


def _other_subject(known: sqlite3.Row, template: NewTemplate) -> Conflict:
    if known["id"] == template.id:
        return Conflict(f"The template {template.id!r} is another subject's.", template=template.id)
    return ClipOfOtherSubject(
        f"Track {template.track} of this clip is already enrolled as {known['subject']!r}.",
        subject=known["subject"],
        template=known["id"],
    )


def upsert_subject(db: sqlite3.Connection, collection: int, subject: NewSubject) -> sqlite3.Row:
    """Create or change a subject. Returns its row key, and the sealed key of its data."""
    row: sqlite3.Row = db.execute(
        """INSERT INTO subjects (collection, id, display_name, metadata, legal_basis, created)
           VALUES (:collection, :id, nullif(:name, ''), coalesce(:metadata, '{}'), nullif(:basis, ''), :created)
           ON CONFLICT (collection, id) DO UPDATE SET
               display_name = nullif(coalesce(:name, display_name), ''),
               metadata = coalesce(:metadata, metadata),
               legal_basis = nullif(coalesce(:basis, legal_basis), '')
           RETURNING key, sealed_key""",
        {
            "collection": collection,
            "id": subject.id,
            "name": subject.display_name,
            "metadata": None if subject.metadata is None else json.dumps(dict(subject.metadata), sort_keys=True),
            "basis": subject.legal_basis,
            "created": stamp(subject.created or datetime.now(UTC)),
        },
    ).fetchone()
    return row


def forget_apart(db: sqlite3.Connection, subject: int) -> None:
    """Forget which subjects were said to be other people than this one, which has new templates."""
    db.execute("DELETE FROM apart WHERE subject = :key OR other = :key", {"key": subject})


def _insert(
    db: sqlite3.Connection,
    pinned: sqlite3.Row,
    subject: int,
    new: NewTemplate,
    sealing: Seals,
    sealed_key: bytes | None,
) -> Template:
    created = new.created or datetime.now(UTC)
    expires = expiry(new, pinned["ttl"], created)
    template = new.id or uuid.uuid4().hex
    key = db.execute(
        """INSERT INTO templates (id, collection, subject, clip_sha256, track, start, "end", quality, has_heatmaps,
                                  created, expires, camera, heading)
           VALUES (:id, :collection, :subject, :clip, :track, :start, :end, :quality, :heatmaps, :created, :expires,
                   :camera, :heading)""",
        {
            "id": template,
            "collection": pinned["key"],
            "subject": subject,
            "clip": new.clip_sha256,
            "track": new.track,
            "start": new.start,
            "end": new.end,
            "quality": json.dumps(asdict(new.quality)),
            "heatmaps": new.has_heatmaps,
            "created": stamp(created),
            "expires": None if expires is None else stamp(expires),
            "camera": new.camera,
            "heading": new.heading,
        },
    ).lastrowid
    assert key is not None
    insert_embedding(db, pinned["generation"], key, template, new.embedding, sealing, sealed_key)
    sequence = sealing.seal(sealed_key, f"sequence {template}", new.sequence)
    db.execute("INSERT INTO sequences (template, data) VALUES (?, ?)", (key, sequence))
    announce(db, pinned["key"], [key])
    row = db.execute(f"{TEMPLATES} AND t.key = :key", {"collection": pinned["key"], "key": key}).fetchone()
    return template_of(row, pinned["name"])


def insert_embedding(
    db: sqlite3.Connection,
    generation: int,
    key: int,
    template: str,
    embedding: npt.NDArray[np.floating],
    sealing: Seals,
    sealed_key: bytes | None,
) -> None:
    """Set a template's embedding in a generation, replacing an existing one."""
    dtype, data, float32 = bytes_of(embedding)
    db.execute(
        "INSERT OR REPLACE INTO embeddings (generation, template, leaf, dtype, data) VALUES (?, ?, ?, ?, ?)",
        (
            generation,
            key,
            leaf_of(sealing.salt, template, float32),
            dtype,
            sealing.seal(sealed_key, f"embedding {template}", data),
        ),
    )


def announce(db: sqlite3.Connection, collection: int, templates: Iterable[int]) -> None:
    """Report templates to followers, by their row keys."""
    db.executemany(
        "INSERT OR REPLACE INTO changes (collection, template) SELECT ?, id FROM templates WHERE key = ?",
        ((collection, key) for key in templates),
    )


def templates_of(db: sqlite3.Connection, subject: int) -> list[int]:
    """Row keys of a subject's templates, in order of enrolment."""
    return [row[0] for row in db.execute("SELECT key FROM templates WHERE subject = ? ORDER BY key", (subject,))]


def remove(db: sqlite3.Connection, collection: int, templates: Collection[int]) -> int:
    """Remove templates by their row keys. Returns their number.

    If the collection is empty afterwards, it is unpinned and its shadow is removed.
    """
    announce(db, collection, templates)
    db.executemany("DELETE FROM templates WHERE key = ?", ((key,) for key in templates))
    if db.execute("SELECT 1 FROM templates WHERE collection = ? LIMIT 1", (collection,)).fetchone() is None:
        db.execute(
            "UPDATE generations SET fingerprint = NULL, parts = NULL, dims = NULL WHERE collection = ?", (collection,)
        )
        db.execute("DELETE FROM generations WHERE collection = ? AND role = 'shadow'", (collection,))
    return len(templates)


def purge(db: sqlite3.Connection, collection: int, now: str) -> tuple[int, int]:
    """Remove expired templates, and subjects that lose their last template. Returns the numbers of both."""
    due = db.execute(
        "SELECT key, subject FROM templates WHERE collection = ? AND expires <= ? ORDER BY key", (collection, now)
    ).fetchall()
    gone = remove(db, collection, [row["key"] for row in due])
    emptied = [owner for owner in {row["subject"] for row in due} if not templates_of(db, owner)]
    db.executemany("DELETE FROM subjects WHERE key = ?", ((owner,) for owner in emptied))
    return gone, len(emptied)
