"""What the service itself remembers, beside the gallery: API keys, replies to repeat, jobs, and
messages to other programs. One SQLite file."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unicodedata import normalize

from gallery.errors import StoreUnavailable

SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL, collections TEXT,
    created REAL NOT NULL, revoked REAL
) STRICT;
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
    state TEXT NOT NULL, runs INTEGER NOT NULL, status INTEGER, body BLOB, created REAL NOT NULL, ended REAL
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
"""


class State:
    """The file, safe under threads; every change is durable when its transaction ends.

    Args:
        path: of the file, made where it is missing, for its owner alone.

    Raises:
        StoreUnavailable: it cannot be opened, here and in every method of those who use it.
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
            # A connection of its own for reads: who asks for a key does not wait until somebody's write is on disk.
            self._reader = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            self._reader.row_factory = sqlite3.Row
            self._reading = threading.Lock()
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            # What is forgotten here is overwritten, not only unlinked.
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, self._reading:
            self._reader.close()
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, for reads and writes that happen together or not at all."""
        with self._lock, _told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """What a query finds."""
        with self._reading, _told():
            return self._reader.execute(query, values).fetchall()

    def named(self, collection: str) -> set[str]:
        """The subjects of a collection that something kept here names."""
        rows = self.rows(
            "SELECT subject FROM named JOIN replies USING (owner, token) WHERE collection = ?1 UNION "
            "SELECT subject FROM job_named JOIN jobs ON jobs.id = job WHERE collection = ?1 UNION "
            "SELECT subject FROM messages WHERE collection = ?1 AND subject IS NOT NULL",
            collection,
        )
        return {row["subject"] for row in rows}

    def expire(self, jobs_before: float) -> None:
        """Drop the replies that are due, and the jobs that ended before a moment, in seconds since 1970."""
        with self.transaction() as db:
            db.execute("DELETE FROM replies WHERE expires < ? AND status IS NOT NULL", (time.time(),))
            db.execute("DELETE FROM jobs WHERE ended < ?", (jobs_before,))

    def withdraw(self, collection: str, subject: str) -> None:
        """Drop the jobs that would enrol a subject, and those that were to and failed; not one that is running."""
        with self.transaction() as db:
            asked = db.execute(
                "SELECT id, fields FROM jobs WHERE collection = ? AND kind = 'enroll' AND state <> 'running'",
                (collection,),
            ).fetchall()
            theirs = [row["id"] for row in asked if normalize("NFC", json.loads(row["fields"])["subject"]) == subject]
            db.executemany("DELETE FROM jobs WHERE id = ?", [(job,) for job in theirs])

    def forget(self, collection: str, subject: str | None = None) -> None:
        """Drop every kept reply, ended job and waiting message that names a subject of a collection, or all of it; then
        the jobs that wait, too."""
        with self.transaction() as db:
            if subject is None:
                db.execute("DELETE FROM replies WHERE collection = ?", (collection,))
                db.execute("DELETE FROM messages WHERE collection = ?", (collection,))
                db.execute("DELETE FROM jobs WHERE collection = ? AND state <> 'running'", (collection,))
            else:
                db.execute("DELETE FROM messages WHERE collection = ? AND subject = ?", (collection, subject))
                db.execute(
                    "DELETE FROM replies WHERE collection = ? AND (owner, token) IN "
                    "(SELECT owner, token FROM named WHERE subject = ?)",
                    (collection, subject),
                )
                db.execute(
                    "DELETE FROM jobs WHERE collection = ? AND id IN (SELECT job FROM job_named WHERE subject = ?)",
                    (collection, subject),
                )
        with self._lock, _told():
            # The write-ahead log would keep the old bytes until somebody else came by.
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(f"The service's own file cannot be used: {error}.") from error
