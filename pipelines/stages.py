"""Pipeline stages that run in parallel: one thread each, bounded queues between them, and measured occupancy."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

import numpy as np

T = TypeVar("T")

WINDOW = 30.0
SAMPLE_EVERY = 1.0


class Stage:
    """Occupancy and queue length of one stage, over all clips; thread-safe.

    Args:
        name: name of the stage.
        clock: monotonic clock in seconds.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._at_work = 0
        self._since = clock()
        self._busy = 0.0
        self._waiting = 0
        self._samples = deque([(self._since, 0.0)])

    @contextmanager
    def working(self, spent: dict[str, float] | None = None) -> Iterator[None]:
        """Count the block as the stage's work; its seconds are also added to ``spent`` under the stage's name."""
        began = time.perf_counter()
        self._change(+1)
        try:
            yield
        finally:
            self._change(-1)
            if spent is not None:
                spent[self.name] += time.perf_counter() - began

    def queued(self, items: int) -> None:
        """Add to the number of items that wait for the stage; negative values subtract."""
        with self._lock:
            self._waiting += items

    @property
    def waiting(self) -> int:
        """Items that wait for the stage."""
        return self._waiting

    @property
    def busy_seconds(self) -> float:
        """Seconds in which the stage was working, on one or more clips."""
        with self._lock:
            self._settle()
            return self._busy

    @property
    def occupancy(self) -> float:
        """Share of the last 30 s, or of the time since the start, in which the stage was working: 0 to 1."""
        with self._lock:
            now = self._settle()
            times, totals = zip(*self._samples, strict=True)
            start = max(now - WINDOW, times[0])
            before = float(np.interp(start, times, totals)) if start < times[-1] else totals[-1]
            return 0.0 if now <= start else min((self._busy - before) / (now - start), 1.0)

    def _change(self, by: int) -> None:
        with self._lock:
            self._settle()
            self._at_work += by

    def _settle(self) -> float:
        """Record the work until now, and return the current time."""
        now = self._clock()
        if now - self._samples[-1][0] >= SAMPLE_EVERY and self._samples[-1][0] < self._since:
            self._samples.append((self._since, self._busy))
        if self._at_work:
            self._busy += now - self._since
        self._since = now
        while len(self._samples) > 1 and self._samples[1][0] <= now - WINDOW:
            self._samples.popleft()
        return now


def metered(stream: Generator[T, None, None], stage: Stage, spent: dict[str, float]) -> Generator[T, None, None]:
    """The stream; the time to produce each item counts as the stage's work."""
    with closing(stream):
        while True:
            with stage.working(spent):
                item = next(stream, None)
            if item is None:
                return
            yield item


def ahead(stream: Generator[T, None, None], size: int, stage: Stage) -> Generator[T, None, None]:
    """Produce the stream in a thread of its own, up to ``size`` items ahead of the reader.

    Errors are raised where the reader would have met them. When the reading block ends, the thread ends, and the stream
    is closed. If an error may leave the block, close this generator, or the thread lives until the error is freed.

    Args:
        stream: items, which must not be None.
        size: maximum number of waiting items.
        stage: the stage that they wait for.
    """
    ready: queue.Queue[T | BaseException | None] = queue.Queue(size)
    stop = threading.Event()

    def put(item: T | BaseException | None) -> bool:
        stage.queued(1)
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        stage.queued(-1)
        return False

    def make() -> None:
        try:
            while not stop.is_set():
                item = next(stream, None)
                if not put(item) or item is None:
                    return
        except BaseException as error:  # passed to the consumer, which raises it
            put(error)

    worker = threading.Thread(target=make, name=f"before {stage.name}", daemon=True)
    worker.start()
    try:
        while True:
            item = ready.get()
            stage.queued(-1)
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        worker.join()
        stage.queued(-ready.qsize())
        stream.close()
