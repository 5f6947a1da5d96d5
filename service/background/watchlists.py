"""Watch lists: subjects of a collection, or unknown walkers, that raise an event when they are seen."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from gaitkeeper.gallery.errors import Conflict, NotFound, StoreUnavailable
from gaitkeeper.gallery.names import is_name, known_subject
from gaitkeeper.service.auth.access import is_permitted
from gaitkeeper.service.errors import BadWatchlist
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.schemas import NewWatchlist, Watchlist, WatchlistChange, WatchlistsReply


class Watchlists:
    """The watch lists of one service, in its state file. Thread-safe.

    Args:
        engine: galleries and state file.
        changed: called after every change.

    Raises:
        StoreUnavailable: the file cannot be used; by every method.
    """

    def __init__(self, engine: Engine, changed: Callable[[], None] = lambda: None) -> None:
        self._engine, self._state, self._changed = engine, engine.state, changed

    def names(self) -> list[str]:
        """Names of all watch lists."""
        return [row["name"] for row in self._state.rows("SELECT name FROM watchlists ORDER BY name")]

    def watching(self, collection: str, subject: str | None) -> list[str]:
        """Names of the lists of a collection that a subject is on, or of those that watch for unknown walkers."""
        if subject is None:
            query = "SELECT name FROM watchlists WHERE collection = ? AND unknown ORDER BY name"
            return [row["name"] for row in self._state.rows(query, collection)]
        query = (
            "SELECT name FROM watchlists JOIN watched ON watchlist = name "
            "WHERE collection = ? AND subject = ? ORDER BY name"
        )
        return [row["name"] for row in self._state.rows(query, collection, subject)]

    def list(self) -> WatchlistsReply:
        """The watch lists of the caller's collections."""
        rows = self._state.rows("SELECT * FROM watchlists ORDER BY name")
        return WatchlistsReply(watchlists=[self._shown(row) for row in rows if is_permitted(row["collection"])])

    def show(self, name: str) -> Watchlist:
        """One of them. Raises NotFound, BadWatchlist."""
        return self._shown(self._found(name))

    def add(self, new: NewWatchlist) -> Watchlist:
        """Add a watch list.

        Raises:
            Conflict: the name is taken.
            NotFound: the collection or a subject does not exist.
            BadWatchlist, BadCollection, BadSubject, Forbidden: a field is invalid or not allowed.
        """
        check_name(new.name)
        self._engine.gallery(new.collection)
        subjects = self._enrolled(new.collection, new.subjects)
        with self._state.transaction() as db:
            if db.execute("SELECT 1 FROM watchlists WHERE name = ?", (new.name,)).fetchone():
                raise Conflict(f"The watch list {new.name!r} exists already.")
            row = (new.name, new.collection, new.unknown, time.time())
            db.execute("INSERT INTO watchlists VALUES (?, ?, ?, ?)", row)
            _write(db, new.name, subjects)
        return self._settled(new.name)

    def change(self, name: str, change: WatchlistChange) -> Watchlist:
        """Change the people that a list watches for. Raises as :meth:`add`."""
        found = self._found(name)
        subjects = None if change.subjects is None else self._enrolled(found["collection"], change.subjects)
        with self._state.transaction() as db:
            unknown = found["unknown"] if change.unknown is None else change.unknown
            if not db.execute("UPDATE watchlists SET unknown = ? WHERE name = ?", (unknown, name)).rowcount:
                raise NotFound(f"The watch list {name!r} does not exist.")
            if subjects is not None:
                db.execute("DELETE FROM watched WHERE watchlist = ?", (name,))
                _write(db, name, subjects)
        return self._settled(name)

    def remove(self, name: str) -> None:
        """Remove a watch list. Raises NotFound, BadWatchlist."""
        self._found(name)
        with self._state.transaction() as db:
            db.execute("DELETE FROM watchlists WHERE name = ?", (name,))
        self._changed()

    def _settled(self, name: str) -> Watchlist:
        """The list as it is now, without those who were erased while it was written."""
        shown = self.show(name)
        gone = [one for one in shown.subjects if not self._is_there(shown.collection, one)]
        if gone:
            with self._state.transaction() as db:
                db.executemany("DELETE FROM watched WHERE watchlist = ? AND subject = ?", [(name, one) for one in gone])
            shown = self.show(name)
        self._changed()
        return shown

    def _is_there(self, collection: str, subject: str) -> bool:
        try:
            return self._engine.has(collection, subject)
        except StoreUnavailable:
            return True  # nothing can be erased while the store is unreachable

    def _enrolled(self, collection: str, subjects: Iterable[str]) -> set[str]:
        """The subjects in the form in which they are enrolled. Raises NotFound, BadSubject."""
        known = {known_subject(one) for one in subjects}
        for one in sorted(known):
            if not self._engine.has(collection, one):
                raise NotFound(f"The subject {one!r} does not exist in the collection {collection!r}.")
        return known

    def _found(self, name: str) -> sqlite3.Row:
        check_name(name)
        rows = self._state.rows("SELECT * FROM watchlists WHERE name = ?", name)
        if not rows or not is_permitted(rows[0]["collection"]):
            raise NotFound(f"The watch list {name!r} does not exist.")
        return rows[0]

    def _shown(self, row: sqlite3.Row) -> Watchlist:
        found = self._state.rows("SELECT subject FROM watched WHERE watchlist = ? ORDER BY subject", row["name"])
        return Watchlist(
            name=row["name"],
            collection=row["collection"],
            subjects=[one["subject"] for one in found],
            unknown=bool(row["unknown"]),
            created=datetime.fromtimestamp(row["created"], UTC),
        )


def check_name(name: str) -> None:
    """Raise BadWatchlist unless the name of a watch list is valid."""
    if not is_name(name):
        raise BadWatchlist(
            "A watch list's name has 1 to 64 ASCII letters, digits, '_', '-' and '.'. "
            "It does not start with '-' or '.'."
        )


def _write(db: sqlite3.Connection, name: str, subjects: Iterable[str]) -> None:
    db.executemany("INSERT INTO watched VALUES (?, ?)", [(name, one) for one in subjects])
