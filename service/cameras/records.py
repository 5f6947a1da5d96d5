"""The cameras in the service's state file."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from dataclasses import dataclass, field

from gaitkeeper.gallery.errors import Conflict, NotFound
from gaitkeeper.service.options import Rotation
from gaitkeeper.service.state import State


@dataclass(frozen=True)
class Record:
    """A camera as it was added.

    Attributes:
        revision: changes with every change of the camera.
        created: seconds since 1970.
        The others: as of :class:`gaitkeeper.service.schemas.Camera`.
    """

    name: str
    collection: str
    source: str
    secret: str | None = None
    rotate: Rotation | None = None
    fpir: float = 0.01
    where: dict[str, str] = field(default_factory=dict)
    on: bool = True
    revision: str = ""
    created: float = 0.0


class Records:
    """The cameras in a state file.

    Raises:
        StoreUnavailable: the file cannot be used; by every method.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def all(self) -> list[Record]:
        """All cameras, by name."""
        return [_read(row) for row in self._state.rows("SELECT * FROM cameras ORDER BY name")]

    def find(self, name: str) -> Record:
        """The camera of this name. Raises NotFound."""
        rows = self._state.rows("SELECT * FROM cameras WHERE name = ?", name)
        if not rows:
            raise NotFound(f"The camera {name!r} does not exist.")
        return _read(rows[0])

    def add(self, camera: Record, most_on: int) -> None:
        """Add a camera; at most ``most_on`` may be on. Raises Conflict."""
        with self._state.transaction() as db:
            if db.execute("SELECT 1 FROM cameras WHERE name = ?", (camera.name,)).fetchone():
                raise Conflict(f"The camera {camera.name!r} exists already.")
            _write(db, camera, most_on)

    def change(self, camera: Record, most_on: int) -> None:
        """Replace a camera; at most ``most_on`` may be on. Raises NotFound, Conflict."""
        with self._state.transaction() as db:
            if not db.execute("DELETE FROM cameras WHERE name = ?", (camera.name,)).rowcount:
                raise NotFound(f"The camera {camera.name!r} does not exist.")
            _write(db, camera, most_on)

    def remove(self, name: str) -> None:
        """Remove a camera. Raises NotFound."""
        with self._state.transaction() as db:
            if not db.execute("DELETE FROM cameras WHERE name = ?", (name,)).rowcount:
                raise NotFound(f"The camera {name!r} does not exist.")


def _write(db: sqlite3.Connection, camera: Record, most_on: int) -> None:
    (running,) = db.execute("SELECT count(*) FROM cameras WHERE is_on").fetchone()
    if camera.on and running >= most_on:
        raise Conflict(f"{running} cameras are on, which is the limit: switch one off, or set GAITKEEPER_CAMERAS.")
    options = json.dumps({"rotate": camera.rotate, "fpir": camera.fpir, "where": camera.where})
    created = camera.created or time.time()
    row = (camera.name, camera.collection, camera.source, camera.secret, options, camera.on, uuid.uuid4().hex, created)
    db.execute("INSERT INTO cameras VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def _read(row: sqlite3.Row) -> Record:
    columns = ("name", "collection", "source", "secret", "revision", "created")
    return Record(**{name: row[name] for name in columns}, **json.loads(row["options"]), on=bool(row["is_on"]))
