"""What the service itself remembers, beside the gallery: API keys, and replies to repeat. One SQLite file."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        self._lock = threading.RLock()
        with _told():
            try:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            except OSError as error:
                raise StoreUnavailable(f"{path} cannot be opened: {error.strerror}.") from error
            self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            # What is forgotten here is overwritten, not only unlinked.
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
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
        with self._lock, _told():
            return self._db.execute(query, values).fetchall()

    def forget(self, collection: str, subject: str | None = None) -> None:
        """Drop every reply that names a subject of a collection, or every one of the collection."""
        with self.transaction() as db:
            if subject is None:
                db.execute("DELETE FROM replies WHERE collection = ?", (collection,))
            else:
                db.execute(
                    "DELETE FROM replies WHERE collection = ? AND (owner, token) IN "
                    "(SELECT owner, token FROM named WHERE subject = ?)",
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
