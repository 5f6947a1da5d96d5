"""Embedded store: one SQLite file in WAL mode, for any number of threads and processes on one machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.stores.encoding import stamp
from gaitkeeper.gallery.stores.encryption import Seals, Vault, seals
from gaitkeeper.gallery.stores.protocol import Changes, Digest, Embedding, NewSubject, NewTemplate, xor_of
from gaitkeeper.gallery.stores.seen import EVERY
from gaitkeeper.gallery.stores.sighting_records import oldest
from gaitkeeper.gallery.stores.sqlite import pairs, seen, trust, write
from gaitkeeper.gallery.stores.sqlite import shadow as shadows
from gaitkeeper.gallery.stores.sqlite.file import Connections, file_of
from gaitkeeper.gallery.stores.sqlite.rows import change_of, collection_of, embedding_of, subject_of, template_of
from gaitkeeper.gallery.stores.sqlite.write import TEMPLATES, collection_row, subject_row
from gaitkeeper.gallery.types import Action, AuditReport, Collection, Erasure, Promises, Removal, Subject, Template
from gaitkeeper.gallery.types.pairs import Merge
from gaitkeeper.gallery.types.sightings import Known, NewSighting, SeenWalk, Sighting, Wanted
from gaitkeeper.pipelines.fingerprint import Fingerprint

_COLLECTIONS = """
    SELECT c.*, g.fingerprint, x.fingerprint AS shadow, x.was_live,
           (SELECT count(*) FROM embeddings e WHERE e.generation = x.key) AS shadowed,
           (SELECT count(*) FROM subjects s WHERE s.collection = c.key) AS subjects,
           (SELECT count(*) FROM templates t WHERE t.collection = c.key) AS templates
    FROM collections c JOIN generations g ON g.collection = c.key AND g.role = 'live'
                       LEFT JOIN generations x ON x.collection = c.key AND x.role = 'shadow'"""
_EMBEDDING = """
    SELECT e.data, e.dtype, g.parts, g.dims, s.sealed_key
    FROM templates t JOIN subjects s ON s.key = t.subject
                     JOIN generations g ON g.collection = t.collection AND g.role = 'live'
                     JOIN embeddings e ON e.generation = g.key AND e.template = t.key
    WHERE t.key = ?"""
_CHANGES = """
    SELECT c.revision, c.template, s.id AS subject, s.metadata, s.sealed_key, t.expires, t.camera, t.heading,
           e.data, e.dtype, g.fingerprint, g.parts, g.dims
    FROM changes c LEFT JOIN templates t ON t.collection = c.collection AND t.id = c.template
                   LEFT JOIN subjects s ON s.key = t.subject
                   LEFT JOIN embeddings e ON e.generation = :generation AND e.template = t.key
                   LEFT JOIN generations g ON g.key = :generation
    WHERE c.collection = :collection AND c.revision > :after ORDER BY c.revision LIMIT :limit"""


class SQLiteStore:
    """Implements :class:`gaitkeeper.gallery.stores.protocol.Store` in an SQLite file.

    A committed enrolment is synced to disk before the call returns. Erased rows are overwritten in the file, and the
    write-ahead log is emptied after each erasure. A new file is only readable by its owner.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``; the folder must exist.
        vault: encryption keys; None for no encryption.

    Raises:
        UnknownStore: the URL has no file name.
        StoreUnavailable, BadStore, BadStoreKey: as :func:`gaitkeeper.gallery.stores.open.open_store`.
    """

    def __init__(self, url: str, vault: Vault | None = None) -> None:
        self._vault = vault
        self._file = Connections(file_of(url))
        try:
            with self._file.reading() as db:
                for row in db.execute("SELECT name, secret FROM collections WHERE secret IS NOT NULL"):
                    seals(vault, row["secret"], row["name"])
        except BaseException:
            self.close()
            raise

    def promises(self) -> Promises:
        """See :class:`gaitkeeper.gallery.stores.protocol.Store`, here and below."""
        remark = f"Every enrolment is synced to {self._file.path} before it is acknowledged."
        return Promises(durable=True, encrypted=self._vault is not None, remarks=(remark,))

    def ensure_collection(
        self, name: str, *, keeps_heatmaps: bool = False, ttl_seconds: float | None = None
    ) -> Collection:
        with self._file.writing() as db:
            write.ensure_collection(db, self._vault, name, keeps_heatmaps, ttl_seconds)
            return _collection(db, name)

    def collection(self, name: str) -> Collection:
        with self._file.reading() as db:
            return _collection(db, name)

    def collections(self) -> list[Collection]:
        with self._file.reading() as db:
            return [collection_of(row) for row in db.execute(f"{_COLLECTIONS} ORDER BY c.name")]

    def set_ttl(self, collection: str, ttl_seconds: float | None) -> Collection:
        with self._file.writing() as db:
            key = collection_row(db, collection)["key"]
            db.execute("UPDATE collections SET ttl = ? WHERE key = ?", (ttl_seconds, key))
            return _collection(db, collection)

    def delete_collection(self, collection: str) -> Removal:
        with self._file.writing() as db:
            gone = _collection(db, collection)
            key = collection_row(db, collection)["key"]
            (sightings,) = db.execute("SELECT count(*) FROM sightings WHERE collection = ?", (key,)).fetchone()
            db.execute("DELETE FROM collections WHERE name = ?", (collection,))
            write.log(db, self._vault, Action.DELETE, collection, templates=gone.templates)
        return self._removal(collection, gone.templates, gone.subjects, sightings)

    def enroll(self, collection: str, subject: NewSubject, template: NewTemplate, seen: str | None = None) -> Template:
        with self._file.writing() as db:
            return write.enroll(db, self._vault, collection_row(db, collection), subject, template, seen)

    def update_subject(self, collection: str, subject: NewSubject) -> Subject:
        with self._file.writing() as db:
            owner = subject_row(db, collection, subject.id)
            write.upsert_subject(db, owner["collection"], subject)
            write.log(db, self._vault, Action.UPDATE, collection, subject.id)
            write.announce(db, owner["collection"], write.templates_of(db, owner["key"]))
            return subject_of(subject_row(db, collection, subject.id), collection)

    def subjects(self, collection: str, after: str = "", limit: int | None = None) -> list[Subject]:
        with self._file.reading() as db:
            rows = db.execute(
                f"{write.SUBJECTS} AND s.id > :after ORDER BY s.id LIMIT :limit",
                {
                    "collection": collection_row(db, collection)["key"],
                    "after": after,
                    "limit": -1 if limit is None else limit,
                },
            )
            return [subject_of(row, collection) for row in rows]

    def subject(self, collection: str, subject: str) -> Subject:
        with self._file.reading() as db:
            return subject_of(subject_row(db, collection, subject), collection)

    def templates(self, collection: str, subject: str) -> list[Template]:
        with self._file.reading() as db:
            owner = subject_row(db, collection, subject)
            rows = db.execute(
                f"{TEMPLATES} AND t.subject = :subject ORDER BY t.key",
                {"collection": owner["collection"], "subject": owner["key"]},
            )
            return [template_of(row, collection) for row in rows]

    def embedding(self, collection: str, template: str) -> Embedding:
        with self._file.reading() as db:
            row = _template_row(db, collection, template)
            found = db.execute(_EMBEDDING, (row["key"],)).fetchone()
            return embedding_of(found, template, self._seals(db, collection))

    def sequence(self, collection: str, template: str) -> bytes:
        with self._file.reading() as db:
            row = _template_row(db, collection, template)
            data = bytes(db.execute("SELECT data FROM sequences WHERE template = ?", (row["key"],)).fetchone()["data"])
            return self._seals(db, collection).open(row["sealed_key"], f"sequence {template}", data)

    def erase(self, collection: str, subject: str) -> Erasure:
        with self._file.writing() as db:
            owner = subject_row(db, collection, subject)
            gone = write.remove(db, owner["collection"], write.templates_of(db, owner["key"]))
            sightings = db.execute("DELETE FROM sightings WHERE subject = ?", (owner["key"],)).rowcount
            db.execute("DELETE FROM subjects WHERE key = ?", (owner["key"],))
            write.log(db, self._vault, Action.ERASE, collection, subject, gone)
        return Erasure(
            collection=collection,
            subject=subject,
            templates=gone,
            sightings=sightings,
            pending=not self._file.flush(),
        )

    def delete_template(self, collection: str, template: str) -> Removal:
        with self._file.writing() as db:
            row = _template_row(db, collection, template)
            write.remove(db, collection_row(db, collection)["key"], [row["key"]])
            write.log(db, self._vault, Action.DELETE_TEMPLATE, collection, row["subject"], 1)
        return self._removal(collection, 1, 0)

    def purge(self, collection: str, now: datetime) -> Removal:
        with self._file.writing() as db:
            row = collection_row(db, collection)
            seconds, sightings = row["sightings"], 0
            gone, emptied = write.purge(db, row["key"], stamp(now))
            if seconds is not None:
                sightings = seen.purge(db, row["key"], oldest(seconds, now))
            if gone:
                write.log(db, self._vault, Action.PURGE, collection, templates=gone)
        if not gone and not sightings:
            return Removal(collection=collection, templates=0, subjects=0, pending=False)
        return self._removal(collection, gone, emptied, sightings)

    def merge(self, collection: str, subject: str, other: str) -> Merge:
        with self._file.writing() as db:
            moved = pairs.merge(db, self._vault, collection, subject, other)
        pending = not self._file.flush()
        return Merge(collection=collection, subject=subject, other=other, templates=moved, pending=pending)

    def tell_apart(self, collection: str, subject: str, other: str) -> None:
        with self._file.writing() as db:
            pairs.tell_apart(db, self._vault, collection, subject, other)

    def apart(self, collection: str, subject: str) -> list[str]:
        with self._file.reading() as db:
            return pairs.apart(db, collection, subject)

    def changes(self, collection: str, after: str = "", limit: int = 1000) -> Changes:
        with self._file.reading() as db:
            row = collection_row(db, collection)
            generation, _, revision = after.partition(".")
            fresh = generation != str(row["generation"])
            found = db.execute(
                _CHANGES,
                {
                    "collection": row["key"],
                    "generation": row["generation"],
                    "after": 0 if fresh else int(revision),
                    "limit": limit,
                },
            ).fetchall()
            last = found[-1]["revision"] if found else 0 if fresh else int(revision)
            sealing = self._seals(db, collection)
            changes = tuple(change_of(change, sealing) for change in found)
            return Changes(changes, f"{row['generation']}.{last}", reset=fresh and after != "")

    def digest(self, collection: str) -> Digest:
        with self._file.reading() as db:
            generation = collection_row(db, collection)["generation"]
            leaves = [row[0] for row in db.execute("SELECT leaf FROM embeddings WHERE generation = ?", (generation,))]
            return Digest(len(leaves), xor_of(b"".join(leaves)), self._seals(db, collection).salt)

    def begin_shadow(self, collection: str, fingerprint: Fingerprint) -> Collection:
        with self._file.writing() as db:
            shadows.begin(db, collection_row(db, collection), fingerprint)
            return _collection(db, collection)

    def shadow_missing(self, collection: str, limit: int = 1000) -> list[str]:
        with self._file.reading() as db:
            return shadows.missing(db, collection_row(db, collection), limit)

    def put_shadow(
        self, collection: str, template: str, fingerprint: Fingerprint, embedding: npt.NDArray[np.floating]
    ) -> None:
        with self._file.writing() as db:
            row = _template_row(db, collection, template)
            shadows.put(db, collection_row(db, collection), row, fingerprint, embedding, self._seals(db, collection))

    def flip(self, collection: str, *, back: bool = False) -> Collection:
        with self._file.writing() as db:
            shadows.flip(db, collection_row(db, collection), back=back)
            write.log(db, self._vault, Action.FLIP, collection)
            return _collection(db, collection)

    def drop_shadow(self, collection: str) -> Removal:
        with self._file.writing() as db:
            gone = shadows.drop(db, collection_row(db, collection))
            write.log(db, self._vault, Action.DROP_SHADOW, collection)
        return self._removal(collection, gone, 0)

    def keep_sightings(self, collection: str, seconds: float | None) -> Removal:
        with self._file.writing() as db:
            gone = seen.keep(db, collection_row(db, collection), seconds)
            write.log(db, self._vault, Action.KEEP_SIGHTINGS, collection)
        return self._removal(collection, 0, 0, gone)

    def see(self, collection: str, sighting: NewSighting, most: int) -> Sighting | None:
        with self._file.writing() as db:
            return seen.see(db, collection_row(db, collection), self._seals(db, collection), sighting, most)

    def sightings(
        self, collection: str, wanted: Wanted = EVERY, before: tuple[datetime, str] | None = None, limit: int = 100
    ) -> list[Sighting]:
        with self._file.reading() as db:
            return seen.listed(db, collection_row(db, collection), wanted, before, limit)

    def sighting(self, collection: str, sighting: str) -> Sighting:
        with self._file.reading() as db:
            return seen.one(db, collection_row(db, collection), sighting)

    def thumbnail(self, collection: str, sighting: str) -> bytes:
        with self._file.reading() as db:
            return seen.thumbnail(db, collection_row(db, collection), self._seals(db, collection), sighting)

    def seen_walks(self, collection: str, until: datetime | None = None) -> list[tuple[Sighting, SeenWalk]]:
        with self._file.reading() as db:
            return seen.walks(db, collection_row(db, collection), self._seals(db, collection), until)

    def forget_sightings(
        self, collection: str, wanted: Wanted = EVERY, sightings: Sequence[str] | None = None
    ) -> Removal:
        with self._file.writing() as db:
            gone = seen.forget(db, collection_row(db, collection), wanted, sightings)
            write.log(db, self._vault, Action.FORGET_SIGHTINGS, collection)
        return self._removal(collection, 0, 0, gone)

    def known(self, collection: str, subjects: Sequence[str]) -> list[Known]:
        with self._file.reading() as db:
            row = collection_row(db, collection)
            return [seen.known(db, row, subject) for subject in subjects]

    def keep_picture(self, collection: str, subject: str, jpeg: bytes) -> bool:
        with self._file.writing() as db:
            return seen.keep_picture(db, collection_row(db, collection), self._seals(db, collection), subject, jpeg)

    def picture(self, collection: str, subject: str) -> bytes:
        with self._file.reading() as db:
            return seen.picture(subject_row(db, collection, subject), self._seals(db, collection))

    def rotate_key(self) -> int:
        assert self._vault is not None
        with self._file.writing() as db:
            done = sum(
                [trust.rotate(db, self._vault, row) for row in db.execute("SELECT * FROM collections").fetchall()]
            )
        self._file.flush()
        return done

    def note(self, collection: str, action: Action) -> None:
        with self._file.writing() as db:
            write.log(db, self._vault, action, collection_row(db, collection)["name"])

    def audit(self, collection: str) -> AuditReport:
        pending = not self._file.flush()
        with self._file.reading() as db:
            return trust.audit(db, self._vault, collection, pending=pending)

    def ping(self) -> None:
        with self._file.writing() as db:
            db.execute("SELECT count(*) FROM collections").fetchone()

    def close(self) -> None:
        self._file.close()

    def _seals(self, db: sqlite3.Connection, collection: str) -> Seals:
        return seals(self._vault, collection_row(db, collection)["secret"], collection)

    def _removal(self, collection: str, templates: int, subjects: int, sightings: int = 0) -> Removal:
        return Removal(
            collection=collection,
            templates=templates,
            subjects=subjects,
            sightings=sightings,
            pending=not self._file.flush(),
        )


def _collection(db: sqlite3.Connection, name: str) -> Collection:
    collection_row(db, name)
    return collection_of(db.execute(f"{_COLLECTIONS} WHERE c.name = ?", (name,)).fetchone())


def _template_row(db: sqlite3.Connection, collection: str, template: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(
        f"{TEMPLATES} AND t.id = :id", {"collection": collection_row(db, collection)["key"], "id": template}
    ).fetchone()
    if row is None:
        raise NotFound(f"The collection {collection!r} has no template {template!r}.", template=template)
    return row
