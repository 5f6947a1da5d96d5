"""Opening of an SQLite gallery file, and its connections."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaitkeeper.gallery.errors import BadStore, StoreUnavailable, UnknownStore
from gaitkeeper.gallery.stores.sqlite import schema
from gaitkeeper.gallery.stores.sqlite.schema import pragma

APPLICATION_ID = 0x47414954  # "GAIT", in the file's header
BUSY_SECONDS = 10.0


def file_of(url: str) -> Path:
    """The file of a URL ``sqlite:///relative.db`` or ``sqlite:////absolute.db``. Raises UnknownStore."""
    scheme, _, name = url.partition(":///")
    if scheme != "sqlite" or not name or name == ":memory:":
        raise UnknownStore(f"{url!r} is not the URL of an SQLite file, such as sqlite:///gallery.db.")
    return Path(name).expanduser()


class Connections:
    """Pool of connections to one gallery file. One thread at a time uses a connection.

    Raises:
        StoreUnavailable: the file cannot be opened or written.
        BadStore: the file is not an SQLite database, belongs to another program, or has a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # SQLite waits by polling; a lock within the process is fairer
        self._closed = False
        try:
            with self._connection() as connection:
                _check_ours(connection, path)
                _use_wal(connection, path)
                schema.migrate(connection, APPLICATION_ID)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Context manager: one consistent view of the file for any number of queries."""
        with self._connection() as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Context manager: one transaction. It is on disk when the block ends, and rolled back if the block raises."""
        with self._writing, self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def flush(self) -> bool:
        """Move everything from the write-ahead log to the file and empty the log. Returns False if other connections
        prevent it.
        """
        with self._connection() as connection:
            try:
                (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.OperationalError:
                return False
            return not busy

    def close(self) -> None:
        """Close idle connections now, and connections in use when they are returned."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"The gallery at {self.path} is closed.")
            connection = self._idle.pop() if self._idle else None
        with _translated(self.path):
            connection = connection or _connect(self.path)
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                with self._lock:
                    kept = not self._closed
                    if kept:
                        self._idle.append(connection)
                if not kept:
                    connection.close()


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Context manager that converts SQLite errors to those of the gallery."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise BadStore(f"{path} is damaged or not a gallery: {error}.") from error
        raise StoreUnavailable(f"The gallery at {path} cannot be used now: {error}.") from error


def _connect(path: Path) -> sqlite3.Connection:
    new = not path.exists()
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # in WAL mode NORMAL would lose the last commits in a power cut
        connection.execute("PRAGMA secure_delete = ON")  # erased rows are overwritten
        connection.execute("PRAGMA temp_store = MEMORY")  # keep temporary data in memory, not in files
        pragma(connection, "schema_version")  # create the file if it does not exist
        if new:
            path.chmod(0o600)  # while it is empty; its log inherits the mode
    except BaseException:
        connection.close()
        raise
    return connection


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Check before writing: a database of another program stays unchanged."""
    connection.execute("BEGIN")  # one view, because another process may be creating the tables
    application = pragma(connection, "application_id")
    version = pragma(connection, "user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    connection.execute("COMMIT")
    if application != APPLICATION_ID and (application or version or tables):
        raise BadStore(f"{path} is a database of another program, not a gallery.")
    if version > len(schema.MIGRATIONS):
        raise BadStore(
            f"{path} was written by a newer version of Gaitkeeper (schema {version}; this one reads up to "
            f"{len(schema.MIGRATIONS)})."
        )


def _use_wal(connection: sqlite3.Connection, path: Path) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait here for another process that does the same.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise StoreUnavailable(f"{path} is on a file system without write-ahead logging (SQLite uses {mode}).")
