"""A source watched until its end: its frames into a stream, and again when a camera that was lost is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import chain
from typing import Protocol

from service.errors import SourceUnavailable
from service.live.events import Credit, Dropped, Event, SourceEvent
from service.live.sources import Shot

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before the first new try of a camera that was lost, doubled from try to try up to the longest."""
STEADY = 10.0
"""Seconds that a camera must have stayed for the next pause to be the first again."""


class Stream(Protocol):
    """A live stream, here or at a service."""

    def shoot(self, seq: int, shot: Shot) -> bool:
        """Send a frame; whether it was sent."""

    def finish(self) -> None:
        """Say that no more frames come."""

    def events(self) -> Iterator[Event]:
        """Events until the stream is over."""


class Watching:
    """One source, watched once.

    Every time that a camera is back, its frames go into a new stream: what was seen before has had its last verdicts,
    and tracks are numbered from 1 again. Frames are numbered on, and their times go on by the clock.

    Args:
        source: opens the source; its frames.
        stream: opens a stream.
        retry_for: seconds for which to look for a camera that was lost; None for a source that may end, as a file.
    """

    def __init__(
        self,
        source: Callable[[], Iterator[Shot]],
        stream: Callable[[], AbstractContextManager[Stream]],
        retry_for: float | None,
    ) -> None:
        self._source, self._stream, self._retry_for = source, stream, retry_for
        self._stop = threading.Event()
        self._seq = 0
        self._last: tuple[float, float] | None = None  # seconds of the last frame, and when it came
        self._failed: Exception | None = None

    def stop(self) -> None:
        """Have it end at the next frame."""
        self._stop.set()

    def events(self) -> Iterator[Event]:
        """What comes of the frames, and of the source.

        Raises:
            SourceUnavailable: the source cannot be opened, or a camera was lost and did not come back.
            GaitkeeperError: a file cannot be used, or what ended a stream.
        """
        shots: Iterator[Shot] | None = self._opened()
        tries = 0
        while shots is not None:
            began = time.monotonic()
            yield from self._seen(shots)
            error = self._failed
            if error is not None and (self._retry_for is None or not isinstance(error, SourceUnavailable)):
                raise error
            if self._retry_for is None or self._stop.is_set():
                return
            tries = 0 if time.monotonic() - began >= STEADY else tries
            shots, tries = yield from self._back(self._retry_for, tries, error)

    def _seen(self, shots: Iterator[Shot]) -> Iterator[Event]:
        """What comes of frames; they are sent from a thread of their own."""
        self._failed = None
        withheld: list[int] = []
        with self._stream() as live:

            def feed() -> None:
                try:
                    for shot in shots:
                        if self._stop.is_set():
                            return
                        if not live.shoot(self._seq, shot):
                            withheld.append(self._seq)
                        self._seq += 1
                except Exception as error:  # raised where the events are read
                    self._failed = error
                finally:
                    live.finish()

            feeding = threading.Thread(target=feed, name="watch", daemon=True)
            feeding.start()
            for event in live.events():
                if withheld:
                    yield Dropped(reason="no_credit", frames=[withheld.pop(0) for _ in range(len(withheld))])
                if not isinstance(event, Credit):
                    yield event
            feeding.join()
        if withheld:
            yield Dropped(reason="no_credit", frames=withheld)

    def _back(
        self, retry_for: float, tries: int, error: Exception | None
    ) -> Generator[Event, None, tuple[Iterator[Shot] | None, int]]:
        """Look for a camera that was lost; its frames, or None where nobody wants them any more, and the tries made.

        Raises:
            SourceUnavailable: it was not back in time.
        """
        lost = time.monotonic()
        why = error.detail if isinstance(error, SourceUnavailable) else "The camera ended the connection."
        while (left := lost + retry_for - time.monotonic()) > 0:
            pause = min(FIRST_PAUSE * 2**tries, LONGEST_PAUSE, left)
            tries += 1
            yield SourceEvent(state="lost", tries=tries, wait=round(pause, 3), detail=why)
            if self._stop.wait(pause):
                return None, tries
            try:
                shots = self._opened()
            except SourceUnavailable as again:
                why = again.detail
                continue
            away = time.monotonic() - lost
            yield SourceEvent(state="back", tries=tries, wait=None, detail=f"The camera is back after {away:.0f} s.")
            return shots, tries
        raise SourceUnavailable(f"The camera was lost, and was not back within {retry_for:g} s. {why}") from error

    def _opened(self) -> Iterator[Shot]:
        """The frames of the source, the first of which has come.

        Raises:
            SourceUnavailable: there is none.
        """
        shots = self._source()
        first = next(shots, None)
        if first is None:
            raise SourceUnavailable("The source gives no pictures.")
        ahead = 0.0 if self._last is None else self._last[0] + time.monotonic() - self._last[1] - first.t
        return self._timed(chain([first], shots), ahead)

    def _timed(self, shots: Iterator[Shot], ahead: float) -> Iterator[Shot]:
        for shot in shots:
            moved = replace(shot, t=max(shot.t + ahead, 0.0)) if ahead else shot
            self._last = moved.t, time.monotonic()
            yield moved
