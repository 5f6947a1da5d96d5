"""The service's own state, separate from the gallery: API keys, sessions, stored replies, jobs, and webhook messages.

It is one SQLite file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unicodedata import normalize

from gaitkeeper.gallery.errors import StoreUnavailable

SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL, collections TEXT,
    created REAL NOT NULL, revoked REAL
) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
    digest BLOB PRIMARY KEY, key TEXT NOT NULL REFERENCES keys (id) ON DELETE CASCADE, expires REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replies (
    owner TEXT NOT NULL, token TEXT NOT NULL, request BLOB NOT NULL, collection TEXT NOT NULL, expires REAL NOT NULL,
    status INTEGER, body BLOB, PRIMARY KEY (owner, token)
) STRICT;
CREATE TABLE IF NOT EXISTS named (
    owner TEXT NOT NULL, token TEXT NOT NULL, subject TEXT NOT NULL, PRIMARY KEY (owner, token, subject),
    FOREIGN KEY (owner, token) REFERENCES replies (owner, token) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS named_subject ON named (subject);
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, collection TEXT NOT NULL, fields TEXT NOT NULL,
    state TEXT NOT NULL, runs INTEGER NOT NULL, status INTEGER, body BLOB, created REAL NOT NULL, ended REAL,
    file TEXT, outcome TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS job_named (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, subject TEXT NOT NULL, PRIMARY KEY (job, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_named_subject ON job_named (subject);
CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY, target TEXT NOT NULL, collection TEXT NOT NULL, subject TEXT, body BLOB NOT NULL,
    tries INTEGER NOT NULL, due REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS messages_due ON messages (target, due);
CREATE TABLE IF NOT EXISTS cameras (
    name TEXT PRIMARY KEY, collection TEXT NOT NULL, source TEXT NOT NULL, secret TEXT, options TEXT NOT NULL,
    is_on INTEGER NOT NULL, revision TEXT NOT NULL, created REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS watchlists (
    name TEXT PRIMARY KEY, collection TEXT NOT NULL, unknown INTEGER NOT NULL, created REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS watched (
    watchlist TEXT NOT NULL REFERENCES watchlists (name) ON DELETE CASCADE, subject TEXT NOT NULL,
    PRIMARY KEY (watchlist, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS watched_subject ON watched (subject);
CREATE TABLE IF NOT EXISTS retained (topic TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""


class State:
    """The state file. Thread-safe. Every change is durable when its transaction ends.

    Args:
        path: path of the file. It is created if missing, readable only by its owner.

    Raises:
        StoreUnavailable: the file cannot be opened. All methods that use it may raise this.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with _told():
            try:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            except OSError as error:
                raise StoreUnavailable(f"{path} cannot be opened: {error.strerror}.") from error
            self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            # A separate connection for reads: checking a key does not wait for a write to reach the disk.
            self._reader = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            self._reader.row_factory = sqlite3.Row
            self._reading = threading.Lock()
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            # Overwrite deleted data, do not only unlink it.
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.executescript(SCHEMA)
            self._add_columns()

    @property
    def clips(self) -> Path:
        """Folder of the jobs' clips, beside the file."""
        return self.path.with_suffix(".clips")

    def annotated(self, job: str) -> Path:
        """Path of the annotated clip of a job."""
        return self.clips / f"{job}.mp4"

    def annotated_bytes(self) -> int:
        """Bytes of all annotated clips that are kept."""
        total = 0
        for file in self.clips.glob("*.mp4"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                total += file.stat().st_size
        return total

    def _drop(self, jobs: Iterable[sqlite3.Row]) -> None:
        """Delete the annotated clips of jobs."""
        for row in jobs:
            self.annotated(row["id"]).unlink(missing_ok=True)

    def delete_job(self, job: str) -> None:
        """Delete a job with its result."""
        with self.transaction() as db:
            self._drop(db.execute("DELETE FROM jobs WHERE id = ? RETURNING id", (job,)).fetchall())

    def expire_jobs(self, before: float) -> None:
        """Delete jobs that ended before a time in seconds since 1970, with their results."""
        with self.transaction() as db:
            self._drop(db.execute("DELETE FROM jobs WHERE ended < ? RETURNING id", (before,)).fetchall())

    def _add_columns(self) -> None:
        """Add the columns that a file of version 0.2 lacks."""
        there = {row["name"] for row in self._db.execute("PRAGMA table_info(jobs)")}
        for column in {"file", "outcome"} - there:
            self._db.execute(f"ALTER TABLE jobs ADD COLUMN {column} TEXT")

    def close(self) -> None:
        """Close the file."""
        with self._lock, self._reading:
            self._reader.close()
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Context manager: the connection, for atomic reads and writes."""
        with self._lock, _told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The rows of a query."""
        with self._reading, _told():
            return self._reader.execute(query, values).fetchall()

    def named(self, collection: str) -> set[str]:
        """The subjects of a collection that are named in this file."""
        rows = self.rows(
            "SELECT subject FROM named JOIN replies USING (owner, token) WHERE collection = ?1 UNION "
            "SELECT subject FROM job_named JOIN jobs ON jobs.id = job WHERE collection = ?1 UNION "
            "SELECT subject FROM messages WHERE collection = ?1 AND subject IS NOT NULL UNION "
            "SELECT subject FROM watched JOIN watchlists ON watchlists.name = watchlist WHERE collection = ?1",
            collection,
        )
        return {row["subject"] for row in rows}

    def expire(self, jobs_before: float) -> None:
        """Delete expired replies and sessions, and jobs that ended before a time in seconds since 1970."""
        with self.transaction() as db:
            db.execute("DELETE FROM replies WHERE expires < ? AND status IS NOT NULL", (time.time(),))
            db.execute("DELETE FROM sessions WHERE expires < ?", (time.time(),))
        self.expire_jobs(jobs_before)

    def withdraw(self, collection: str, subject: str) -> None:
        """Delete queued and failed jobs that enrol a subject, but not a running one."""
        with self.transaction() as db:
            asked = db.execute(
                "SELECT id, fields FROM jobs WHERE collection = ? AND kind = 'enroll' AND state <> 'running'",
                (collection,),
            ).fetchall()
            theirs = [row["id"] for row in asked if subject in _subjects_in(json.loads(row["fields"]))]
            db.executemany("DELETE FROM jobs WHERE id = ?", [(job,) for job in theirs])

    def watch_instead(self, collection: str, gone: str, subject: str) -> None:
        """Put a subject on the watch lists of a collection that another one is on, which it was merged with."""
        with self.transaction() as db:
            db.execute(
                "UPDATE OR IGNORE watched SET subject = ? WHERE subject = ? "
                "AND watchlist IN (SELECT name FROM watchlists WHERE collection = ?)",
                (subject, gone, collection),
            )

    def forget(self, collection: str, subject: str | None = None) -> None:
        """Delete stored replies, ended jobs and queued messages that name a subject of a collection, or all of the
        collection's; in the latter case also queued jobs.
        """
        with self.transaction() as db:
            if subject is None:
                db.execute("DELETE FROM replies WHERE collection = ?", (collection,))
                db.execute("DELETE FROM messages WHERE collection = ?", (collection,))
                db.execute(
                    "DELETE FROM watched WHERE watchlist IN (SELECT name FROM watchlists WHERE collection = ?)",
                    (collection,),
                )
                gone = db.execute(
                    "DELETE FROM jobs WHERE collection = ? AND state <> 'running' RETURNING id", (collection,)
                )
            else:
                db.execute("DELETE FROM messages WHERE collection = ? AND subject = ?", (collection, subject))
                db.execute(
                    "DELETE FROM watched WHERE subject = ? "
                    "AND watchlist IN (SELECT name FROM watchlists WHERE collection = ?)",
                    (subject, collection),
                )
                db.execute(
                    "DELETE FROM replies WHERE collection = ? AND (owner, token) IN "
                    "(SELECT owner, token FROM named WHERE subject = ?)",
                    (collection, subject),
                )
                gone = db.execute(
                    "DELETE FROM jobs WHERE collection = ? AND id IN (SELECT job FROM job_named WHERE subject = ?) "
                    "RETURNING id",
                    (collection, subject),
                )
            self._drop(gone.fetchall())
        with self._lock, _told():
            # Otherwise the write-ahead log would keep the old bytes until its next checkpoint.
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _subjects_in(fields: dict[str, Any]) -> set[str]:
    """The subjects that a stored enrolment names, in composed form."""
    named = [fields["subject"], *(fields.get("subjects") or {}).values()]
    return {normalize("NFC", one) for one in named if one is not None}


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(f"The service's state file cannot be used: {error}.") from error
