"""Sightings and pictures of subjects in the SQLite store. The caller provides the transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.stores.encoding import micros, moment
from gaitkeeper.gallery.stores.encryption import Seals
from gaitkeeper.gallery.stores.sighting_records import fields_of, oldest, sealed_parts, sighting_of, walk_of
from gaitkeeper.gallery.types import LastSeen
from gaitkeeper.gallery.types.sightings import Known, NewSighting, SeenWalk, Sighting, Wanted

_WANTED = """
    FROM sightings x LEFT JOIN subjects s ON s.key = x.subject
    WHERE x.collection = :collection AND x.at > :oldest
      AND (:subject IS NULL OR s.id = :subject) AND (:camera IS NULL OR x.camera = :camera)
      AND (:verdict IS NULL OR x.verdict = :verdict)
      AND (:since IS NULL OR x.at >= :since) AND (:until IS NULL OR x.at < :until)
      AND (:ids IS NULL OR x.id IN (SELECT value FROM json_each(:ids)))"""
_ROW = "SELECT x.key, x.id, x.at, x.record, s.id AS subject, x.sealed_key"


def keep(db: sqlite3.Connection, collection: sqlite3.Row, seconds: float | None) -> int:
    """See :meth:`gaitkeeper.gallery.stores.seen.Seen.keep_sightings`. Returns the number of deleted sightings."""
    db.execute("UPDATE collections SET sightings = ? WHERE key = ?", (seconds, collection["key"]))
    if seconds is not None:
        return purge(db, collection["key"], oldest(seconds))
    db.execute("UPDATE subjects SET picture = NULL WHERE collection = ? AND picture IS NOT NULL", (collection["key"],))
    return db.execute("DELETE FROM sightings WHERE collection = ?", (collection["key"],)).rowcount


def see(
    db: sqlite3.Connection, collection: sqlite3.Row, sealing: Seals, new: NewSighting, most: int
) -> Sighting | None:
    """See :meth:`gaitkeeper.gallery.stores.seen.Seen.see`."""
    if collection["sightings"] is None:
        return None
    about = {"collection": collection["key"], "id": new.id, "subject": new.subject}
    subject = None
    if new.subject is not None:
        subject = db.execute(
            "SELECT key FROM subjects WHERE collection = :collection AND id = :subject", about
        ).fetchone()
        if subject is None:  # erased meanwhile
            return None
    former = db.execute("SELECT at FROM sightings WHERE collection = :collection AND id = :id", about).fetchone()
    at = micros(new.time) if former is None else former["at"]
    db.execute("DELETE FROM sightings WHERE collection = :collection AND id = :id", about)
    key = sealing.subject_key(None)
    thumbnail, walk = sealed_parts(new, new.id, sealing, key)
    fields = fields_of(new)
    db.execute(
        """INSERT INTO sightings (collection, id, at, subject, camera, verdict, record, sealed_key, thumbnail, walk)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, x''), nullif(?, x''))""",
        (
            collection["key"],
            new.id,
            at,
            None if subject is None else subject["key"],
            new.camera,
            new.verdict,
            json.dumps(fields),
            key,
            thumbnail,
            walk,
        ),
    )
    db.execute(
        "DELETE FROM sightings WHERE key IN (SELECT key FROM sightings WHERE collection = ?"
        " ORDER BY at DESC, id DESC LIMIT -1 OFFSET ?)",
        (collection["key"], most),
    )
    return sighting_of(collection["name"], new.id, at, new.subject, fields, collection["sightings"])


def listed(
    db: sqlite3.Connection,
    collection: sqlite3.Row,
    wanted: Wanted,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[Sighting]:
    """See :meth:`gaitkeeper.gallery.stores.seen.Seen.sightings`."""
    if collection["sightings"] is None:
        return []
    at, last = (None, None) if before is None else (micros(before[0]), before[1])
    rows = db.execute(
        f"{_ROW} {_WANTED} AND (:at IS NULL OR (x.at, x.id) < (:at, :last)) ORDER BY x.at DESC, x.id DESC LIMIT :limit",
        {**_values(collection, wanted), "at": at, "last": last, "limit": limit},
    )
    return [_sighting(row, collection) for row in rows]


def row_of(db: sqlite3.Connection, collection: sqlite3.Row, sighting: str) -> sqlite3.Row:
    """The row of a sighting, with its picture. Raises NotFound."""
    row: sqlite3.Row | None = None
    if collection["sightings"] is not None:
        row = db.execute(f"{_ROW}, x.thumbnail {_WANTED}", _values(collection, Wanted(), [sighting])).fetchone()
    if row is None:
        raise NotFound(f"The collection {collection['name']!r} has no sighting {sighting!r}.", sighting=sighting)
    return row


def one(db: sqlite3.Connection, collection: sqlite3.Row, sighting: str) -> Sighting:
    """See :meth:`gaitkeeper.gallery.stores.seen.Seen.sighting`."""
    return _sighting(row_of(db, collection, sighting), collection)


def thumbnail(db: sqlite3.Connection, collection: sqlite3.Row, sealing: Seals, sighting: str) -> bytes:
    """See :meth:`gaitkeeper.gallery.stores.seen.Seen.thumbnail`."""
    row = row_of(db, collection, sighting)
    if row["thumbnail"] is None:
        raise NotFound(f"The sighting {sighting!r} has no picture.", sighting=sighting)
    return sealing.open(row["sealed_key"], f"thumbnail {sighting}", row["thumbnail"])


def walks(
    db: sqlite3.Connection, collection: sqlite3.Row, sealing: Seals, until: datetime | None
) -> list[tuple[Sighting, SeenWalk]]:
    """See :meth:`gaitkeeper.gallery.stores.seen.Seen.seen_walks`."""
    if collection["sightings"] is None:
        return []
    rows = db.execute(
        f"{_ROW}, x.walk {_WANTED} AND x.walk IS NOT NULL ORDER BY x.at DESC, x.id DESC",
        _values(collection, Wanted(until=until)),
    )
    return [
        (
            _sighting(row, collection),
            walk_of(row["id"], json.loads(row["record"]), row["walk"], sealing, row["sealed_key"]),
        )
        for row in rows
    ]


def forget(db: sqlite3.Connection, collection: sqlite3.Row, wanted: Wanted, sightings: Sequence[str] | None) -> int:
    """See :meth:`gaitkeeper.gallery.stores.seen.Seen.forget_sightings`. Returns the number of deleted ones."""
    if collection["sightings"] is None:
        return 0
    rows = db.execute(f"{_ROW} {_WANTED}", _values(collection, wanted, sightings)).fetchall()
    db.executemany("DELETE FROM sightings WHERE key = ?", ((row["key"],) for row in rows))
    return len(rows)


def purge(db: sqlite3.Connection, collection: int, before: int) -> int:
    """Delete the sightings of a collection up to a time in microseconds since 1970. Returns their number."""
    return db.execute("DELETE FROM sightings WHERE collection = ? AND at <= ?", (collection, before)).rowcount


def known(db: sqlite3.Connection, collection: sqlite3.Row, subject: str) -> Known:
    """What is known about a subject; see :meth:`gaitkeeper.gallery.stores.seen.Seen.known`."""
    if collection["sightings"] is None:
        return Known()
    row = db.execute(
        """SELECT s.picture IS NOT NULL AS picture, x.at, x.camera
           FROM subjects s LEFT JOIN sightings x ON x.subject = s.key AND x.at > ?
           WHERE s.collection = ? AND s.id = ? ORDER BY x.at DESC, x.id DESC LIMIT 1""",
        (oldest(collection["sightings"]), collection["key"], subject),
    ).fetchone()
    if row is None:
        return Known()
    last = None if row["at"] is None else LastSeen(time=moment(row["at"]), camera=row["camera"])
    return Known(last, bool(row["picture"]))


def keep_picture(db: sqlite3.Connection, collection: sqlite3.Row, sealing: Seals, subject: str, jpeg: bytes) -> bool:
    """See :meth:`gaitkeeper.gallery.stores.seen.Seen.keep_picture`."""
    about = {"collection": collection["key"], "subject": subject}
    row = db.execute(
        "SELECT key, sealed_key FROM subjects WHERE collection = :collection AND id = :subject", about
    ).fetchone()
    if row is None or collection["sightings"] is None:
        return False
    sealed = sealing.seal(row["sealed_key"], f"picture {subject}", jpeg)
    db.execute("UPDATE subjects SET picture = ? WHERE key = ?", (sealed, row["key"]))
    return True


def picture(owner: sqlite3.Row, sealing: Seals) -> bytes:
    """The picture in a subject's row. Raises NotFound if there is none."""
    if owner["picture"] is None:
        raise NotFound(f"There is no picture of the subject {owner['id']!r}.", subject=owner["id"])
    return sealing.open(owner["sealed_key"], f"picture {owner['id']}", owner["picture"])


def _values(
    collection: sqlite3.Row, wanted: Wanted, sightings: Sequence[str] | None = None
) -> dict[str, str | int | None]:
    return {
        "ids": None if sightings is None else json.dumps(list(sightings)),
        "collection": collection["key"],
        "oldest": oldest(collection["sightings"]),
        "subject": wanted.subject,
        "camera": wanted.camera,
        "verdict": wanted.verdict,
        "since": None if wanted.since is None else micros(wanted.since),
        "until": None if wanted.until is None else micros(wanted.until),
    }


def _sighting(row: sqlite3.Row, collection: sqlite3.Row) -> Sighting:
    fields = json.loads(row["record"])
    return sighting_of(collection["name"], row["id"], row["at"], row["subject"], fields, collection["sightings"])
