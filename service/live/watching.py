"""Watches a source until its end: sends its frames to a stream, and reconnects a lost camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import chain
from typing import Protocol

from gaitkeeper.service.errors import SourceUnavailable
from gaitkeeper.service.live.events import Credit, Dropped, Event, SourceEvent
from gaitkeeper.service.live.sources import Shot

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before the first attempt to reconnect a lost camera. The pause doubles with each attempt, up to the longest.
"""
STEADY = 10.0
"""Seconds that a connection must last to reset the pause."""


class Stream(Protocol):
    """A live stream, in this process or at a service."""

    def shoot(self, seq: int, shot: Shot) -> bool:
        """Send a frame. Returns whether it was sent."""

    def finish(self) -> None:
        """Signal the end of the frames."""

    def events(self) -> Iterator[Event]:
        """Iterate over events until the stream ends."""


class Watching:
    """One run over one source.

    After each reconnection the frames go into a new stream: the old stream has sent its last verdicts, and track
    numbers start at 1 again. Frame numbers continue, and timestamps continue by the clock.

    Args:
        source: opens the source and returns its frames.
        stream: opens a stream.
        retry_for: seconds to try to reconnect a lost camera; None for a source that can end, such as a file.
        wait: whether to wait as long for a camera that does not answer at the start.
    """

    def __init__(
        self,
        source: Callable[[], Iterator[Shot]],
        stream: Callable[[], AbstractContextManager[Stream]],
        retry_for: float | None,
        *,
        wait: bool = False,
    ) -> None:
        self._source, self._stream, self._retry_for, self._wait = source, stream, retry_for, wait
        self._stop = threading.Event()
        self._seq = 0
        self._last: tuple[float, float] | None = None  # timestamp of the last frame, and its time of arrival
        self._failed: Exception | None = None

    def stop(self) -> None:
        """Stop at the next frame."""
        self._stop.set()

    def events(self) -> Iterator[Event]:
        """Iterate over the events of the stream and of the source.

        Raises:
            SourceUnavailable: the source cannot be opened, or a lost camera could not be reconnected.
            SourceRefused: the camera refuses the user name and password.
            GaitkeeperError: a file cannot be used, or an error ended a stream.
        """
        tries = 0
        try:
            shots: Iterator[Shot] | None = self._opened()
        except SourceUnavailable as away:
            if self._retry_for is None or not self._wait:
                raise
            shots, tries = yield from self._back(self._retry_for, tries, away)
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
        """Iterate over the events of a stream. A separate thread sends the frames."""
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
                except Exception as error:  # the reader of the events raises it
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
        """Reconnect a lost camera. Returns its frames, or None after :meth:`stop`, and the number of attempts.

        Raises:
            SourceUnavailable: the camera was not back in time.
        """
        lost = time.monotonic()
        why = error.detail if isinstance(error, SourceUnavailable) else "The camera ended the connection."
        while (left := lost + retry_for - time.monotonic()) > 0:
            pause = min(FIRST_PAUSE * 2 ** min(tries, 30), LONGEST_PAUSE, left)
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
        """Open the source and wait for its first frame. Returns all frames.

        Raises:
            SourceUnavailable: the source gives no frame.
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
