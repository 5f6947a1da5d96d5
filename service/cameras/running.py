"""One camera that the service runs: it is watched until it is switched off, and looked for while it is lost."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.gallery.types import Identification, Verdict
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.cameras.addresses import opened_with
from gaitkeeper.service.cameras.records import Record
from gaitkeeper.service.errors import SourceRefused
from gaitkeeper.service.live.announcing import Announcer
from gaitkeeper.service.live.events import Dropped, Event, SourceEvent, Tracks
from gaitkeeper.service.live.local import LocalStream
from gaitkeeper.service.live.passing import Passing
from gaitkeeper.service.live.rates import Limits
from gaitkeeper.service.live.session import Tell
from gaitkeeper.service.live.sources import Shot, is_camera, shots_of
from gaitkeeper.service.live.watching import Watching
from gaitkeeper.service.metrics import Metrics
from gaitkeeper.service.options import StreamOptions, complete
from gaitkeeper.service.problems import PROBLEMS
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.schemas.cameras import CameraStateName

Array = npt.NDArray[Any]
Judged = Callable[[Identification, str], None]
"""Takes a verdict to tell of, and the id of the stream."""

log = logging.getLogger("gaitkeeper")

AGAIN = 60.0
"""Seconds after which a camera that failed is started again."""
LATEST = 10
"""Number of the latest verdicts that are remembered."""
AT_ONCE = 1e6
"""Frames a second that a camera may send. What was held up comes at once, and of H.264 no frame can be spared before it
is decoded. The credits of the stream bound what waits."""
RATED = 5.0
"""Seconds over which the frame rate is measured."""
WIDEST = 1280
"""Largest width of the picture that is shown, in pixels."""


@dataclass
class Status:
    """What a camera does now.

    Attributes:
        code, detail: the error, where it failed or is lost.
        since: seconds since 1970 when the state began.
        frames, dropped: numbers of frames that were looked at, and that were not.
        people: number of people in the latest picture.
        pictured: seconds since 1970 of the latest picture.
        verdicts: the latest, each with its time in seconds since 1970, newest first.
    """

    state: CameraStateName = "starting"
    code: str | None = None
    detail: str | None = None
    since: float = field(default_factory=time.time)
    frames: int = 0
    dropped: int = 0
    people: int = 0
    pictured: float | None = None
    verdicts: deque[tuple[float, Identification]] = field(default_factory=lambda: deque(maxlen=LATEST))


class RunningCamera:
    """Runs a camera in a thread of its own.

    Args:
        record: the camera.
        engine: pipeline, galleries and settings.
        judged: takes the verdicts to tell of.
        metrics: count frames and verdicts.
        changed: called when the state has changed, from the camera's thread.
    """

    def __init__(
        self, record: Record, engine: Engine, judged: Judged, metrics: Metrics, changed: Callable[[], None]
    ) -> None:
        self.record = record
        self.status = Status()
        self._engine, self._judged, self._metrics, self._changed = engine, judged, metrics, changed
        self._stop = threading.Event()
        self._watching: Watching | None = None
        self._stream: LocalStream | None = None
        self._image: Array | None = None
        self._came: deque[float] = deque(maxlen=600)
        self._thread = threading.Thread(target=self._run, name=f"camera {record.name}", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether its thread has ended."""
        return not self._thread.is_alive()

    @property
    def rate(self) -> float:
        """Frames a second that come from the source now."""
        now = time.monotonic()
        recent = [came for came in tuple(self._came) if now - came <= RATED]
        return round((len(recent) - 1) / (recent[-1] - recent[0]), 1) if len(recent) > 1 else 0.0

    def picture(self) -> bytes | None:
        """The latest picture that was looked at, as JPEG; None if there is none."""
        import cv2

        image = self._image
        if image is None:
            return None
        if image.shape[1] > WIDEST:
            height = round(image.shape[0] * WIDEST / image.shape[1])
            image = cv2.resize(image, (WIDEST, height), interpolation=cv2.INTER_AREA)
        return bytes(cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]))[1])

    def stop(self) -> None:
        """Ask it to stop: the people in the picture get their last verdicts. Returns at once."""
        self._stop.set()
        watching = self._watching
        if watching is not None:
            watching.stop()

    def join(self, until: float) -> bool:
        """Wait for its end after :meth:`stop`, until a time of ``time.monotonic``. Half of that is for last verdicts;
        then the stream is closed. Returns whether it has ended.
        """
        self._thread.join(max(0.0, (until - time.monotonic()) / 2))
        if self._thread.is_alive() and (stream := self._stream) is not None:
            stream.close()
        self._thread.join(max(0.0, until - time.monotonic()))
        return self.over

    def _run(self) -> None:
        while True:
            try:
                self._watch()
                self._enter("stopped")
                break
            except SourceRefused as error:  # trying on with a wrong password locks accounts
                self._enter("failed", error.code, error.detail)
                self._stop.wait()
            except GaitkeeperError as error:
                problem = PROBLEMS[error.code]
                if problem.private:
                    log.error("the camera %s: %s: %s", self.record.name, error.code, error.detail)
                self._enter("failed", error.code, problem.title if problem.private else error.detail)
            except Exception as error:
                # The message may contain the address with its password, so only the kind is logged.
                log.error("the camera %s failed unexpectedly: %s", self.record.name, type(error).__name__)
                self._enter("failed", "internal", PROBLEMS["internal"].title)
            if self._stop.wait(AGAIN):
                self._enter("stopped")
                break
            self._enter("starting")

    def _watch(self) -> None:
        """Watch the source until it ends or is switched off.

        Raises:
            GaitkeeperError: it cannot be watched.
        """
        record, settings = self.record, self._engine.settings
        source = opened_with(record.source, record.secret, settings)
        options = complete(
            StreamOptions,
            {
                "collection": record.collection,
                "rotate": record.rotate,
                "camera": record.name,
                "fpir": record.fpir,
                "where": record.where,
            },
        )
        self._judge(options)  # raises before the camera is opened
        endless = is_camera(record.source)

        def shots() -> Iterator[Shot]:
            return self._counted(shots_of(source, settings, self._engine.pipeline.decoder))

        watching = Watching(shots, lambda: self._opened(options), math.inf if endless else None, wait=True)
        self._watching = watching
        if self._stop.is_set():
            return
        for event in watching.events():
            self._take(event)

    def _judge(self, options: StreamOptions) -> Passing:
        return Passing.asked(self._engine.gallery(options["collection"]), options)

    def _opened(self, options: StreamOptions) -> LocalStream:
        settings = self._engine.settings

        def heard(tell: Tell) -> Tell:
            return Announcer(self._told, self._metrics, tell)

        self._stream = LocalStream(
            self._engine.pipeline,
            self._judge(options),
            replace(Limits.of(settings), rate=AT_ONCE),
            settings.turn_of(self.record.name, options["rotate"]),
            show=self._show,
            heard=heard,
        )
        return self._stream

    def _counted(self, shots: Iterator[Shot]) -> Iterator[Shot]:
        for shot in shots:
            self._came.append(time.monotonic())
            yield shot

    def _show(self, image: Array) -> None:
        self._image, self.status.pictured = image, time.time()

    def _told(self, person: Identification, stream: str) -> None:
        if person.verdict is not Verdict.INCONCLUSIVE:
            self.status.verdicts.appendleft((time.time(), person))
        self._judged(person, stream)
        self._changed()

    def _take(self, event: Event) -> None:
        status = self.status
        if isinstance(event, Tracks):
            status.frames += 1
            status.people = len(event.people)
            self._metrics.frame_seen(event.latency)
            if status.state != "running":
                self._enter("running")
        elif isinstance(event, Dropped):
            status.dropped += len(event.frames)
            self._metrics.frames_dropped(event.reason, len(event.frames))
        elif isinstance(event, SourceEvent) and event.state == "lost":
            self._enter("reconnecting", "source_unavailable", event.detail)

    def _enter(self, state: CameraStateName, code: str | None = None, detail: str | None = None) -> None:
        status = self.status
        news = (state, code) != (status.state, status.code)
        status.code, status.detail = code, detail
        if news:
            status.state, status.since = state, time.time()
            if code is not None:
                self._metrics.problem(code)
        if state != "running":
            status.people = 0
        if state in ("stopped", "failed"):
            self._image, status.pictured = None, None
        if news:
            self._changed()
