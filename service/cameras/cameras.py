"""The cameras of a service: the process that holds the lease runs those that are on."""

from __future__ import annotations

import builtins
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gaitkeeper.gallery.errors import NotFound, StoreUnavailable
from gaitkeeper.gallery.names import check_camera, check_metadata
from gaitkeeper.gallery.rates import check_rates
from gaitkeeper.gallery.types import Identification
from gaitkeeper.service.auth.access import is_permitted
from gaitkeeper.service.cameras.addresses import check_secret, checked_source
from gaitkeeper.service.cameras.records import Record, Records
from gaitkeeper.service.cameras.running import Judged, RunningCamera, Status
from gaitkeeper.service.live.sources import require_listed
from gaitkeeper.service.metrics import Metrics
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.schemas.cameras import Camera, CameraChange, CameraList, CameraVerdict, NewCamera

log = logging.getLogger("gaitkeeper")

PAUSE = 2.0
"""Seconds between two looks at the table: another process may have changed it."""
SECONDS_TO_STOP = 15.0
"""Seconds for all cameras to stop in when the service ends."""


class Lease:
    """The right to run the cameras of a state file, which one process has at a time. The system takes it back when the
    process ends, in whichever way.

    Args:
        path: file to lock.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.held = False

    def take(self) -> bool:
        """Take it if no other process has it. Returns whether this one has it now."""
        if not self.held:
            with suppress(BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.held = True
        return self.held

    def close(self) -> None:
        """Give it back."""
        os.close(self._file)


class Cameras:
    """The cameras of one service. Thread-safe.

    Args:
        engine: pipeline, galleries, settings and state file.
        judged: takes the verdicts to tell of, each with the id of its stream.
        metrics: count frames, verdicts and problems.
        changed: called when a camera was added, changed or removed, or its state has changed.
    """

    def __init__(
        self, engine: Engine, judged: Judged, metrics: Metrics, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._engine, self._judged, self._metrics, self._changed = engine, judged, metrics, changed
        self._records = Records(engine.state)
        self._lease = Lease(engine.state.path.with_suffix(".cameras"))
        self._lock = threading.Lock()
        self._running: dict[str, RunningCamera] = {}
        self._ending: list[RunningCamera] = []
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="cameras", daemon=True)
        self._thread.start()

    def close(self, seconds: float = SECONDS_TO_STOP) -> None:
        """Stop all cameras. They run again after the next start."""
        self._closing.set()
        self._wake.set()
        until = time.monotonic() + seconds
        self._thread.join()
        with self._lock:
            ending = [*self._running.values(), *self._ending]
        for one in ending:
            one.stop()
        # One after the other would give the last no time.
        waiting = [threading.Thread(target=one.join, args=(until,), daemon=True) for one in ending]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join()
        self._lease.close()

    def list(self) -> CameraList:
        """The cameras of the caller's collections."""
        return CameraList(cameras=[self._shown(one) for one in self._records.all() if is_permitted(one.collection)])

    def show(self, name: str) -> Camera:
        """One of them. Raises NotFound, BadCamera."""
        return self._shown(self._found(name))

    def add(self, new: NewCamera) -> Camera:
        """Add a camera. It is started if it is on.

        Raises:
            Conflict: the name is taken, or too many are on.
            BadSource, PasswordInSource, SourceNotAllowed, SecretMissing: the source or the secret cannot be used.
            BadCamera, BadCollection, BadFpir, BadSubject, NotFound, Forbidden: another field cannot.
        """
        record = self._checked(Record(**{**new.model_dump(), "source": checked_source(new.source)}))
        self._records.add(record, self._engine.settings.cameras)
        self._stir()
        return self.show(new.name)

    def change(self, name: str, change: CameraChange) -> Camera:
        """Change a camera. It is started again, unless it is off. Raises as :meth:`add`."""
        found = self._found(name)
        given: dict[str, Any] = change.model_dump(exclude_unset=True)
        nullable = ("secret", "rotate")
        given = {field: value for field, value in given.items() if value is not None or field in nullable}
        if "source" in given:
            given["source"] = checked_source(given["source"])
        changed = replace(found, **given)
        if given.keys() - {"on"} or changed.on:
            self._checked(changed)
        self._records.change(changed, self._engine.settings.cameras)
        self._stir()
        return self.show(name)

    def remove(self, name: str) -> None:
        """Stop and remove a camera. Raises NotFound, BadCamera."""
        self._records.remove(self._found(name).name)
        self._stir()

    def picture(self, name: str) -> bytes:
        """The latest picture of a camera, as JPEG. Raises NotFound, BadCamera."""
        found = self._found(name)
        with self._lock:
            running = self._running.get(found.name)
        jpeg = running.picture() if running is not None else None
        if jpeg is None:
            raise NotFound(f"There is no picture of the camera {name!r} now.")
        return jpeg

    @property
    def leads(self) -> bool:
        """Whether this process runs the cameras."""
        return self._lease.held

    def states(self) -> dict[str, int]:
        """Number of cameras by state; none while the state file cannot be read."""
        counted: dict[str, int] = {}
        try:
            records = self._records.all()
        except StoreUnavailable:  # the other metrics are worth reading all the more
            return counted
        for one in records:
            state = self._status(one).state
            counted[state] = counted.get(state, 0) + 1
        return counted

    def all(self) -> builtins.list[Camera]:
        """All cameras by name, whoever asks."""
        return [self._shown(one) for one in self._records.all()]

    def _found(self, name: str) -> Record:
        check_camera(name)
        found = self._records.find(name)
        if not is_permitted(found.collection):
            raise NotFound(f"The camera {name!r} does not exist.")
        return found

    def _checked(self, record: Record) -> Record:
        settings = self._engine.settings
        check_camera(record.name)
        check_metadata(record.where)
        check_rates(self._engine.gallery(record.collection), fpir=record.fpir)
        require_listed(record.source, settings.live_sources)
        check_secret(record.secret, record.source, settings)
        return record

    def _stir(self) -> None:
        self._reconcile()
        self._wake.set()
        self._changed()

    def _keep(self) -> None:
        """Start and stop cameras as the table says, until the service ends."""
        while not self._closing.is_set():
            try:
                self._reconcile()
            except StoreUnavailable as error:
                log.error("the cameras cannot be read: %s", error.detail)
            except Exception:
                log.exception("cameras")
            self._wake.wait(PAUSE)
            self._wake.clear()

    def _reconcile(self) -> None:
        with self._lock:
            if self._closing.is_set() or not self._lease.take():
                return
            wanted = {one.name: one for one in self._records.all() if one.on}
            for name, running in list(self._running.items()):
                record = wanted.get(name)
                if record is None or record.revision != running.record.revision:
                    running.stop()
                    self._ending.append(self._running.pop(name))
            self._ending = [one for one in self._ending if not one.over]
            ending = {one.record.name for one in self._ending}
            for name in wanted.keys() - self._running.keys() - ending:
                self._running[name] = RunningCamera(
                    wanted[name], self._engine, self._judged, self._metrics, self._changed
                )

    def _status(self, record: Record) -> Status:
        if not record.on:
            return Status("stopped")
        if not self._lease.held:
            return Status("elsewhere")
        with self._lock:
            running = self._running.get(record.name)
        return running.status if running is not None else Status("starting")

    def _shown(self, record: Record) -> Camera:
        status = self._status(record)
        with self._lock:
            running = self._running.get(record.name)
        known = running is not None and running.status is status
        return Camera(
            name=record.name,
            source=record.source,
            secret=record.secret,
            collection=record.collection,
            rotate=record.rotate,
            fpir=record.fpir,
            where=record.where,
            on=record.on,
            created=_moment(record.created),
            state=status.state,
            code=status.code,
            detail=status.detail,
            since=_moment(status.since) if known else None,
            rate=running.rate if known and running is not None else 0.0,
            frames=status.frames,
            dropped=status.dropped,
            people=status.people,
            picture=None if status.pictured is None else _moment(status.pictured),
            verdicts=[_verdict(at, one) for at, one in tuple(status.verdicts) if self._may_be_named(one)],
            learnt=f"/collections/{record.collection}/cameras",
        )

    def _may_be_named(self, person: Identification) -> bool:
        """Whether the verdict names no one, or someone who was not erased since."""
        subject = person.named
        try:
            return subject is None or self._engine.has(person.collection, subject)
        except StoreUnavailable:
            return True  # nothing can be erased while the store is unreachable


def _verdict(at: float, person: Identification) -> CameraVerdict:
    subject = person.named
    return CameraVerdict(
        at=_moment(at),
        verdict=person.verdict,
        subject=subject,
        confidence=person.candidates[0].confidence if subject is not None else None,
        track=person.track,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
