"""Limits the number of concurrent uploads, so that neither many callers nor slow ones exhaust memory and disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GRACE_SECONDS = 2.0
SLOW = 64 * 1024
"""Bytes per second. A slower upload can lose its place when others wait."""


class Upload:
    """An upload in progress.

    Attributes:
        came: bytes received so far.
    """

    def __init__(self, leave: Callable[[], None]) -> None:
        self.came, self.began, self.leave = 0, time.monotonic(), leave

    def rate(self, now: float) -> float:
        """Mean bytes per second since the start; infinite for an upload that has just started."""
        age = now - self.began
        return self.came / age if age >= GRACE_SECONDS else float("inf")


class Uploads:
    """The uploads in progress in one event loop, limited in number.

    If all places are taken, a new upload replaces the slowest one, provided that one is slower than ``SLOW``. A caller
    that sends a byte now and then keeps its place only until another upload needs it.

    Args:
        bound: number of places.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._coming: set[Upload] = set()

    def __len__(self) -> int:
        """Number of occupied places."""
        return len(self._coming)

    @contextmanager
    def place(self, leave: Callable[[], None]) -> Iterator[Upload | None]:
        """Context manager that gives a place, or None if there is none. ``leave`` is called if another upload takes the
        place.
        """
        if len(self._coming) >= self.bound and not self._make_room():
            yield None
            return
        upload = Upload(leave)
        self._coming.add(upload)
        try:
            yield upload
        finally:
            self._coming.discard(upload)

    def _make_room(self) -> bool:
        now = time.monotonic()
        slowest = min(self._coming, key=lambda upload: upload.rate(now))
        if slowest.rate(now) >= SLOW:
            return False
        self._coming.discard(slowest)
        slowest.leave()
        return True
