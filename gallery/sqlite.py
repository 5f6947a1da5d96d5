"""The embedded store: one SQLite file in WAL mode, shared by any number of threads and processes of one machine."""

from __future__ import annotations

import json
import sqlite3
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gallery.errors import ClipOfOtherSubject, FingerprintMismatch, NotFound, UnknownStore
from gallery.sqlite_file import Connections
from gallery.sqlite_rows import change_of, collection_of, embedding_of, subject_of, template_of
from gallery.store import Change, Embedding, NewSubject, NewTemplate
from gallery.types import Collection, Erasure, Subject, Template

_COLLECTIONS = """
    SELECT c.*, (SELECT count(*) FROM subjects s WHERE s.collection = c.key) AS subjects,
                (SELECT count(*) FROM templates t WHERE t.collection = c.key) AS templates
    FROM collections c"""
_BY_NAME = f"{_COLLECTIONS} WHERE c.name = ?"
_SUBJECTS = """
    SELECT s.*, (SELECT count(*) FROM templates t WHERE t.subject = s.key) AS templates
    FROM subjects s WHERE s.collection = :collection"""
_TEMPLATES = """
    SELECT t.id, s.id AS subject, t.fingerprint, t.clip_sha256, t.track, t.start, t."end", t.quality, t.has_heatmaps,
           t.created, t.parts, t.dims
    FROM templates t JOIN subjects s ON s.key = t.subject WHERE t.collection = :collection"""
_INSERT = """
    INSERT INTO templates (id, collection, subject, fingerprint, clip_sha256, track, start, "end", quality,
                           has_heatmaps, created, parts, dims, embedding)
    VALUES (:id, :collection, :subject, :fingerprint, :clip_sha256, :track, :start, :end, :quality,
            :has_heatmaps, :created, :parts, :dims, :embedding)"""
_CHANGES = """
    SELECT c.revision, c.template, s.id AS subject, t.fingerprint, t.embedding, t.parts, t.dims
    FROM changes c LEFT JOIN templates t ON t.id = c.template LEFT JOIN subjects s ON s.key = t.subject
    WHERE c.collection = ? AND c.revision > ? ORDER BY c.revision LIMIT ?"""


class SQLiteStore:
    """The :class:`gallery.store.Store` in an SQLite file.

    A committed enrolment is synced to disk before the call returns. Erased rows are overwritten in the file, and the
    write-ahead log is emptied after each erasure. A new file is readable by its owner alone.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``; the folder must be there.

    Raises:
        UnknownStore: the URL names no file.
        StoreUnavailable, BadStore: as :func:`gallery.stores.open_store`.
    """

    def __init__(self, url: str) -> None:
        scheme, _, name = url.partition(":///")
        if scheme != "sqlite" or not name or name == ":memory:":
            raise UnknownStore(f"{url!r} names no SQLite file: sqlite:///gallery.db expected.")
        self._file = Connections(Path(name).expanduser())

    def ensure_collection(self, name: str, *, keeps_heatmaps: bool = False) -> Collection:
        """See :class:`gallery.store.Store`, here and below."""
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO collections (name, keeps_heatmaps, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (name, keeps_heatmaps, _now()),
            )
            return collection_of(db.execute(_BY_NAME, (name,)).fetchone())

    def collection(self, name: str) -> Collection:
        with self._file.reading() as db:
            _key(db, name)
            return collection_of(db.execute(_BY_NAME, (name,)).fetchone())

    def collections(self) -> list[Collection]:
        with self._file.reading() as db:
            return [collection_of(row) for row in db.execute(f"{_COLLECTIONS} ORDER BY c.name")]

    def enroll(self, collection: str, subject: NewSubject, template: NewTemplate) -> Template:
        with self._file.writing() as db:
            pinned = _collection_row(db, collection)
            key = int(pinned["key"])
            _check_fits(db, pinned, template)
            known = db.execute(
                f"{_TEMPLATES} AND t.clip_sha256 = :clip AND t.track = :track",
                {"collection": key, "clip": template.clip_sha256, "track": template.track},
            ).fetchone()
            if known is not None:
                if known["subject"] != subject.id:
                    raise ClipOfOtherSubject(
                        f"Track {template.track} of this clip is already enrolled as {known['subject']!r}.",
                        subject=known["subject"],
                        template=known["id"],
                    )
                return template_of(known, collection, duplicate=True)
            db.execute("UPDATE collections SET fingerprint = ? WHERE key = ?", (str(template.fingerprint), key))
            return _insert(db, collection, key, _upsert_subject(db, key, subject), template)

    def subjects(self, collection: str) -> list[Subject]:
        with self._file.reading() as db:
            rows = db.execute(f"{_SUBJECTS} ORDER BY s.id", {"collection": _key(db, collection)})
            return [subject_of(row, collection) for row in rows]

    def subject(self, collection: str, subject: str) -> Subject:
        with self._file.reading() as db:
            return subject_of(_subject_row(db, collection, subject), collection)

    def templates(self, collection: str, subject: str) -> list[Template]:
        with self._file.reading() as db:
            owner = _subject_row(db, collection, subject)
            rows = db.execute(
                f"{_TEMPLATES} AND t.subject = :subject ORDER BY t.key",
                {"collection": owner["collection"], "subject": owner["key"]},
            )
            return [template_of(row, collection) for row in rows]

    def template(self, collection: str, template: str) -> Template:
        with self._file.reading() as db:
            row = db.execute(
                f"{_TEMPLATES} AND t.id = :id", {"collection": _key(db, collection), "id": template}
            ).fetchone()
            if row is None:
                raise _no_template(collection, template)
            return template_of(row, collection)

    def embedding(self, collection: str, template: str) -> Embedding:
        with self._file.reading() as db:
            row = db.execute(
                "SELECT id, embedding, parts, dims FROM templates WHERE collection = ? AND id = ?",
                (_key(db, collection), template),
            ).fetchone()
            if row is None:
                raise _no_template(collection, template)
            return embedding_of(row, row["id"])

    def sequence(self, collection: str, template: str) -> bytes:
        with self._file.reading() as db:
            row = db.execute(
                "SELECT q.data FROM sequences q JOIN templates t ON t.key = q.template"
                " WHERE t.collection = ? AND t.id = ?",
                (_key(db, collection), template),
            ).fetchone()
            if row is None:
                raise _no_template(collection, template)
            return bytes(row["data"])

    def erase(self, collection: str, subject: str) -> Erasure:
        with self._file.writing() as db:
            owner = _subject_row(db, collection, subject)
            gone = db.execute(
                "INSERT OR REPLACE INTO changes (collection, template)"
                " SELECT collection, id FROM templates WHERE subject = ? ORDER BY key",
                (owner["key"],),
            ).rowcount
            db.execute("DELETE FROM subjects WHERE key = ?", (owner["key"],))
            db.execute(
                "UPDATE collections SET fingerprint = NULL WHERE key = :c"
                " AND NOT EXISTS (SELECT 1 FROM templates WHERE collection = :c)",
                {"c": owner["collection"]},
            )
        return Erasure(collection=collection, subject=subject, templates=gone, pending=not self._file.flush())

    def changes(self, collection: str, after: int, limit: int = 1000) -> list[Change]:
        with self._file.reading() as db:
            return [change_of(row) for row in db.execute(_CHANGES, (_key(db, collection), after, limit))]

    def ping(self) -> None:
        with self._file.writing() as db:
            db.execute("SELECT count(*) FROM collections").fetchone()

    def close(self) -> None:
        self._file.close()


def _collection_row(db: sqlite3.Connection, name: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM collections WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound(f"There is no collection {name!r}.", collection=name)
    return row


def _key(db: sqlite3.Connection, collection: str) -> int:
    return int(_collection_row(db, collection)["key"])


def _subject_row(db: sqlite3.Connection, collection: str, subject: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(
        f"{_SUBJECTS} AND s.id = :id", {"collection": _key(db, collection), "id": subject}
    ).fetchone()
    if row is None:
        raise NotFound(f"The collection {collection!r} has no subject {subject!r}.", subject=subject)
    return row


def _no_template(collection: str, template: str) -> NotFound:
    return NotFound(f"The collection {collection!r} has no template {template!r}.", template=template)


def _check_fits(db: sqlite3.Connection, pinned: sqlite3.Row, template: NewTemplate) -> None:
    """Refuse what could not be compared with the collection's templates."""
    if pinned["fingerprint"] not in (None, str(template.fingerprint)):
        raise FingerprintMismatch.between(pinned["name"], pinned["fingerprint"], template.fingerprint)
    row = db.execute("SELECT parts, dims FROM templates WHERE collection = ? LIMIT 1", (pinned["key"],)).fetchone()
    if row is not None and tuple(row) != template.embedding.shape:
        raise FingerprintMismatch.shapes(pinned["name"], tuple(row), template.embedding.shape)


def _upsert_subject(db: sqlite3.Connection, key: int, subject: NewSubject) -> int:
    metadata = None if subject.metadata is None else json.dumps(dict(subject.metadata), sort_keys=True)
    row = db.execute(
        """INSERT INTO subjects (collection, id, display_name, metadata, created)
           VALUES (:collection, :id, :name, coalesce(:metadata, '{}'), :now)
           ON CONFLICT (collection, id) DO UPDATE SET display_name = coalesce(:name, display_name),
                                                      metadata = coalesce(:metadata, metadata)
           RETURNING key""",
        {"collection": key, "id": subject.id, "name": subject.display_name, "metadata": metadata, "now": _now()},
    ).fetchone()
    return int(row["key"])


def _insert(db: sqlite3.Connection, collection: str, key: int, subject: int, new: NewTemplate) -> Template:
    parts, dims = new.embedding.shape
    values = {
        "id": uuid.uuid4().hex,
        "collection": key,
        "subject": subject,
        "fingerprint": str(new.fingerprint),
        "clip_sha256": new.clip_sha256,
        "track": new.track,
        "start": new.start,
        "end": new.end,
        "quality": json.dumps(asdict(new.quality)),
        "has_heatmaps": new.has_heatmaps,
        "created": _now(),
        "parts": parts,
        "dims": dims,
        "embedding": np.ascontiguousarray(new.embedding, "<f4").tobytes(),
    }
    cursor = db.execute(_INSERT, values)
    db.execute("INSERT INTO sequences (template, data) VALUES (?, ?)", (cursor.lastrowid, new.sequence))
    db.execute("INSERT INTO changes (collection, template) VALUES (?, ?)", (key, values["id"]))
    row = db.execute(f"{_TEMPLATES} AND t.id = :id", {"collection": key, "id": values["id"]}).fetchone()
    return template_of(row, collection)


def _now() -> str:
    return datetime.now(UTC).isoformat()
