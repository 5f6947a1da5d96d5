"""Processing of one live stream, independent of its transport: takes frames and emits events."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.errors import ClipError, TooLarge
from gaitkeeper.pipelines.live import Due, LiveWatch, Sight
from gaitkeeper.pipelines.pictures import Codec, Pictures
from gaitkeeper.pipelines.pipeline import Pipeline
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.upright import turned
from gaitkeeper.service.errors import BadMessage
from gaitkeeper.service.live.events import (
    Credit,
    Dropped,
    DropReason,
    Event,
    Person,
    Segment,
    Shown,
    Tracks,
    VerdictEvent,
)
from gaitkeeper.service.live.names import Name
from gaitkeeper.service.live.passing import Passing
from gaitkeeper.service.live.rates import Limits, Rates
from gaitkeeper.service.problems import PROBLEMS

Array = npt.NDArray[Any]
Tell = Callable[[Event | GaitkeeperError | None], None]
Show = Callable[[Array], None]

log = logging.getLogger("gaitkeeper")

CREDITS = 16
"""Maximum number of frames in transit or waiting."""
LAG = 0.25
"""Seconds after which a waiting frame is dropped if there is a newer one."""
AHEAD = 4
"""Maximum length of the queue between the two threads: decoded pictures, and markers of finished frames."""
REMEMBERED = 64
"""Maximum number of frames whose picture is not decoded yet, for example because the encoder reorders frames."""
DISORDER = 1.0
"""Seconds by which a frame may be older than an earlier received one. Beyond that, the sender's clock has jumped back.
"""
UNFORESEEN = GaitkeeperError("An internal error occurred.")
THINNED_HZ = 30.0


@dataclass(frozen=True, eq=False)
class Offered:
    """A received frame: encoded data, or a picture, RGB uint8 (H, W, 3)."""

    seq: int
    t: float
    codec: Codec | None
    data: bytes
    image: Array | None
    came: float


class Session:
    """Runs three threads: one decodes, one runs perception, and one identifies windows.

    Args:
        pipeline: decodes and runs perception.
        judge: identifies people.
        limits: the limits of this stream.
        tell: called with each event, from any thread. The last one is the error that ended the stream, or None.
        rotate: clockwise rotation of the pictures in degrees.
        show: called with every picture that is looked at, upright, RGB uint8 (H, W, 3); it must return at once.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        judge: Passing,
        limits: Limits,
        tell: Tell,
        rotate: int = 0,
        show: Show | None = None,
    ) -> None:
        self._pipeline, self._judge, self._limits, self._tell = pipeline, judge, limits, tell
        self._rotate, self._show = rotate, show
        self._lock = threading.Condition()
        self._waiting: deque[Offered] = deque()
        self._credit = 0
        self._rates = Rates(limits.rate)
        self._shown: deque[tuple[Offered, Array | None]] = deque()
        self._finishing = self._decoded = self._stopped = False
        self._codec: Codec | None = None
        self._pictures: Pictures | None = None
        self._coming: dict[int, Offered] = {}
        self._number = 0
        self._kept = -1.0
        self._names: dict[int, Name] = {}
        self._windows: dict[int, int] = {}
        self._came: dict[float, float] = {}
        self._due: dict[int, Due] = {}
        self._judging: Future[None] | None = None
        self._judges = ThreadPoolExecutor(1, thread_name_prefix="live-judge")
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        """Start. The first event gives the number of frames that may be sent."""
        self._thread.start()

    def offer(self, seq: int, t: float, codec: Codec | None, data: bytes = b"", image: Array | None = None) -> None:
        """Accept a frame, or emit an event with the reason for dropping it.

        Raises:
            BadMessage: the codec differs from that of the earlier frames.
        """
        with self._lock:
            if self._credit <= 0:
                self._drop("no_credit", seq)
                return
            if self._codec not in (None, codec):
                self.refund()
                raise BadMessage(f"This stream uses {self._codec}, but a frame has another codec.")
            self._codec = codec
            if not self._rates.admit():
                self._drop("rate", seq)
            elif len(data) > self._limits.message_bytes:
                self._drop("too_large", seq)
            elif not data and image is None:  # decoders read empty data as the end of the stream
                self._drop("undecodable", seq)
            else:
                self._credit -= 1
                self._waiting.append(Offered(seq, t, codec, data, image, time.monotonic()))
                self._lock.notify_all()
                return
            self.refund()

    def refund(self) -> None:
        """Return the credit of a frame that was not accepted."""
        with self._lock:
            if self._credit > 0:
                self._tell(Credit(frames=1))

    def finish(self) -> None:
        """Signal the end of the frames. Waiting frames are processed, tracks end, and the last event is emitted."""
        with self._lock:
            self._finishing = True
            self._lock.notify_all()

    def stop(self, seconds: float = 30.0) -> None:
        """Stop at once, and wait for the threads."""
        with self._lock:
            self._stopped = True
            self._lock.notify_all()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        """Main thread: runs perception on pictures, and ends the stream."""
        decoding = threading.Thread(target=self._decode_all, name="live-decode", daemon=True)
        try:
            watch = LiveWatch(self._pipeline.perception, self._pipeline.settings)
            with self._lock:
                self._credit = CREDITS
            self._tell(Credit(frames=CREDITS))
            decoding.start()
            while (shown := self._next_shown()) is not None:
                frame, image = shown
                if image is None:
                    with self._lock:
                        self._credit += 1
                    self._tell(Credit(frames=1))
                else:
                    self._see(watch, frame, image)
            if not self._stopped:
                self._submit(watch.end())
        except Exception as error:
            self._failed(error)
        finally:
            self._judges.shutdown(cancel_futures=self._stopped)
            with self._lock:
                self._stopped = True
                self._lock.notify_all()
            if decoding.ident is not None:
                decoding.join()
            left = [frame.seq for frame, image in self._shown if image is not None]
            left += [frame.seq for frame in (*self._coming.values(), *self._waiting)]
            if left:
                self._drop("closed", *left)
            self._tell(None)

    def _decode_all(self) -> None:
        """Decoder thread: decodes frames, a few ahead of the main thread."""
        try:
            while (frame := self._next()) is not None:
                if frame.image is not None:
                    self._hand_over(frame, frame.image)
                elif frame.codec == "jpeg" and self._is_late(frame):
                    self._drop("late", frame.seq)
                else:
                    self._decode(frame)
                self._hand_over(frame, None)
            if not self._stopped and self._pictures is not None:
                self._decode(None)
        except Exception as error:
            self._failed(error)
        finally:
            if self._pictures is not None:
                self._pictures.close()
            with self._lock:
                self._decoded = True
                self._lock.notify_all()

    def _next(self) -> Offered | None:
        with self._lock:
            self._lock.wait_for(lambda: self._waiting or self._finishing or self._stopped)
            return None if self._stopped or not self._waiting else self._waiting.popleft()

    def _hand_over(self, frame: Offered, image: Array | None) -> None:
        """Queue a picture for perception. Without a picture, mark the frame as finished."""
        image = None if image is None else turned(image, self._rotate)
        with self._lock:
            self._lock.wait_for(lambda: len(self._shown) < AHEAD or self._stopped)
            self._shown.append((frame, image))
            self._lock.notify_all()

    def _next_shown(self) -> tuple[Offered, Array | None] | None:
        with self._lock:
            self._lock.wait_for(lambda: self._shown or self._decoded or self._stopped)
            if self._stopped or not self._shown:
                return None
            self._lock.notify_all()
            return self._shown.popleft()

    def _decode(self, frame: Offered | None) -> None:
        """Decode a frame and queue its pictures. Without a frame, flush the decoder."""
        if self._pictures is None:
            assert self._codec is not None
            limits = self._limits
            self._pictures = self._pipeline.decoder.pictures(self._codec, limits.pixels, limits.message_bytes)
        number, self._number = self._number, self._number + 1
        if frame is not None:
            self._coming[number] = frame
        try:
            pictures = self._pictures.decode(frame.data if frame else b"", number)
        except ClipError as error:
            pictures = []
            if frame is not None:
                del self._coming[number]
                self._drop("too_large" if isinstance(error, TooLarge) else "undecodable", frame.seq)
                if self._pictures.broken or isinstance(error, TooLarge):
                    raise
        for picture in pictures:
            if (shown := self._coming.pop(picture.number, None)) is not None:
                self._hand_over(shown, picture.image)
        while len(self._coming) > (REMEMBERED if frame else 0):
            self._drop("no_picture", self._coming.pop(next(iter(self._coming))).seq)

    def _see(self, watch: LiveWatch, frame: Offered, image: Array) -> None:
        self._rates.note(frame.t)
        if self._is_late(frame):
            self._drop("late", frame.seq)
            return
        if frame.t < self._kept - DISORDER:
            self._tell(Segment(seq=frame.seq, t=frame.t, before=self._kept))
            self._kept, self._came = -1.0, {}
            self._rates.restart()
        if frame.t <= self._kept:
            self._drop("not_rising", frame.seq)
        elif self._rates.are_dense() and int(frame.t * THINNED_HZ) == int(self._kept * THINNED_HZ):
            self._drop("thinned", frame.seq)
        else:
            self._kept = frame.t
            self._came[frame.t] = frame.came
            self._came = {t: came for t, came in self._came.items() if frame.t - t < 10}
            if self._show is not None:
                self._show(image)
            self._report(frame, image, watch.see(image, frame.t))

    def _report(self, frame: Offered, image: Array, sight: Sight) -> None:
        with self._lock:
            for track in sight.anew:
                self._windows[track] = self._windows.get(track, 1) + 1
                if (name := self._names.get(track)) is not None and name.withdraw():
                    self._tell(_taken_back(track, frame.t, name.shown))
            people = [
                Person(
                    track=one.track,
                    box=tuple(round(float(edge), 1) for edge in one.box),
                    score=round(one.score, 3),
                    gait=round(one.gait, 2),
                    usable=one.usable,
                    shown=self._names.setdefault(one.track, Name()).shown,
                )
                for one in sight.people
            ]
        height, width, _ = image.shape
        self._tell(
            Tracks(
                seq=frame.seq,
                t=frame.t,
                width=width,
                height=height,
                latency=time.monotonic() - frame.came,
                people=people,
                ended=sight.ended,
            )
        )
        self._submit(sight.due)

    def _submit(self, due: Sequence[Due]) -> None:
        """Queue windows for identification. A later window replaces a waiting one of the same track."""
        with self._lock:
            self._due.update({one.track: one for one in due})
            if self._due and (self._judging is None or self._judging.done()):
                self._judging = self._judges.submit(self._judge_all)

    def _judge_all(self) -> None:
        while True:
            with self._lock:
                due, self._due = list(self._due.values()), {}
                if not due or self._stopped:
                    self._judging = None
                    return
            try:
                self._judge_some(due)
            except Exception as error:
                self._failed(error)

    def _judge_some(self, due: Sequence[Due]) -> None:
        windows = [(one, one.sequence(self._pipeline.perception.name)) for one in due]
        reasons = [_why_not(one, seq) for one, seq in windows]
        told = [pair for pair, reason in zip(windows, reasons, strict=True) if reason is None]
        people = iter(self._judge([seq for _, seq in told], [one.span for one, _ in told]) if told else [])
        for (one, seq), reason in zip(windows, reasons, strict=True):
            person = next(people) if reason is None else None
            with self._lock:
                if one.window != self._windows.get(one.track, 1) and not one.final:
                    continue  # the track has been restarted meanwhile
                name = self._names.setdefault(one.track, Name())
                changed = name.concluded(person, reason) if one.final else name.judged(person, reason)
                came = self._came.get(one.time)
                if one.final:
                    self._names.pop(one.track, None)
                    self._windows.pop(one.track, None)
            event = VerdictEvent(
                track=one.track,
                t=one.time,
                latency=None if came is None else time.monotonic() - came,
                gait=round(one.gait, 2),
                shown=name.shown,
                changed=changed,
                final=one.final,
                person=person,
            )
            self._judge.told(event, one, seq)
            if one.final:
                self._judge.ended(one.track, one.span)
            self._tell(event)

    def _is_late(self, frame: Offered) -> bool:
        with self._lock:
            newer = self._waiting or any(image is not None for _, image in self._shown)
            return bool(newer) and time.monotonic() - frame.came > LAG

    def _drop(self, reason: DropReason, *seqs: int) -> None:
        self._tell(Dropped(reason=reason, frames=list(seqs)))

    def _failed(self, error: Exception) -> None:
        """End the stream with an error. An unexpected one goes to the log, and the caller learns no details."""
        if not isinstance(error, GaitkeeperError):
            log.error("a live stream", exc_info=error)
            error = UNFORESEEN
        if PROBLEMS[error.code].private:
            log.error("%s: %s", error.code, error.detail)
        self._tell(error)
        with self._lock:
            self._stopped = True
            self._lock.notify_all()


def _why_not(due: Due, seq: GaitSequence) -> str | None:
    """The reason for not comparing a window, or None."""
    if not due.enough:
        return "too_short"
    return None if seq.quality.gait_cycles > 0 else "standing"


def _taken_back(track: int, t: float, shown: Shown) -> VerdictEvent:
    return VerdictEvent(track=track, t=t, latency=None, gait=0.0, shown=shown, changed=True, final=False, person=None)
