"""How many bodies may come in at once, so that neither many callers nor slow ones take the memory and disk of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GRACE_SECONDS = 2.0
SLOW = 64 * 1024
"""Bytes a second; whoever sends less may be asked to leave when others wait."""


class Upload:
    """A body that is coming in.

    Attributes:
        came: bytes of it so far.
    """

    def __init__(self, leave: Callable[[], None]) -> None:
        self.came, self.began, self.leave = 0, time.monotonic(), leave

    def rate(self, now: float) -> float:
        """Bytes a second since its beginning; of one that has just begun, none can be told."""
        age = now - self.began
        return self.came / age if age >= GRACE_SECONDS else float("inf")


class Uploads:
    """The bodies that are coming in, in one event loop: at most so many.

    Where all places are taken, the slowest makes room for whoever comes, if it sends less than ``SLOW``: a caller who
    sends a byte now and then keeps a place only until somebody needs it.

    Args:
        bound: places.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._coming: set[Upload] = set()

    def __len__(self) -> int:
        """Places taken."""
        return len(self._coming)

    @contextmanager
    def place(self, leave: Callable[[], None]) -> Iterator[Upload | None]:
        """A place for a block, None where there is none; ``leave`` is called where it is needed by another."""
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
