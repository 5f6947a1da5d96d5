"""Handles: the walkers of clips that were looked at, kept in memory for some minutes.

A handle holds gait sequences, thumbnails and the reply to the look, and never the clip or a frame of it. Nothing of it
is written to a disk. It is bound to the key that made it, and is erased when it expires, at a request, when a subject
is erased whose walk it holds, and when the engine is closed. It is known only to the process that made it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from gaitkeeper.pipelines.pipeline import ClipResult
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.auth.access import caller_id
from gaitkeeper.service.errors import UnknownHandle
from gaitkeeper.service.recognition.clip_walkers import Seen
from gaitkeeper.service.schemas import ErasedHandle, WalkersReply

BYTES = 16
"""Random bytes of a handle, which is 22 characters."""


@dataclass(frozen=True, eq=False)
class Look:
    """What is kept of a clip that was looked at.

    Attributes:
        owner: id of the key that may use it; empty without keys.
        ends: time of ``time.monotonic`` at which it expires.
        reply: the reply to the look, with the handle and its expiry.
        seen: what the pipeline found, without its sequences and its picture.
        walks: the sequences as files, of which each is much smaller than its arrays.
    """

    owner: str
    ends: float
    reply: WalkersReply
    seen: Seen
    walks: tuple[bytes, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of memory, without the small change."""
        pictures = sum(map(len, self.seen.result.thumbnails.values()))
        return sum(map(len, self.walks)) + pictures + len(self.reply.model_dump_json())

    def again(self) -> Seen:
        """What the pipeline found, with its sequences. Finding it again takes no time."""
        sequences = [GaitSequence.load(walk) for walk in self.walks]
        return replace(self.seen, result=replace(self.seen.result, sequences=sequences, timings={"total": 0.0}))


class Handles:
    """The handles of one engine. Thread-safe.

    If there is no room for a new one, the oldest of the caller who holds the largest share is erased, so that no caller
    can drive out the handles of others.

    Args:
        seconds: how long each is kept.
        most: maximum number.
        most_bytes: maximum bytes of all of them.
    """

    def __init__(self, seconds: float, most: int, most_bytes: int) -> None:
        self._seconds, self._most, self._most_bytes = seconds, most, most_bytes
        self._looks: dict[str, tuple[Look, int]] = {}  # with their sizes, oldest first
        self._changed = threading.Condition()
        self._sweeper: threading.Thread | None = None

    def __len__(self) -> int:
        """Number of handles that are kept."""
        return len(self._looks)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        with self._changed:
            return sum(size for _, size in self._looks.values())

    def keep(self, seen: Seen, reply: WalkersReply) -> WalkersReply:
        """Keep the walkers of a clip for the caller. Returns the reply with the handle; without one if the walkers
        alone are larger than the maximum.
        """
        handle = secrets.token_urlsafe(BYTES)
        expires = datetime.now(UTC) + timedelta(seconds=self._seconds)
        walks = tuple(sequence.to_bytes() for sequence in seen.result.sequences)
        look = Look(
            owner=caller_id(),
            ends=time.monotonic() + self._seconds,
            reply=reply.model_copy(update={"handle": handle, "expires": expires}),
            seen=replace(seen, result=_bare(seen.result)),
            walks=walks,
        )
        size = look.size
        if not self._most or size > self._most_bytes:
            return reply
        with self._changed:
            self._make_room(size)
            self._looks[handle] = look, size
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._sweep, name="handles", daemon=True)
                self._sweeper.start()
        return look.reply

    def look(self, handle: str) -> Look:
        """What the caller keeps under a handle.

        Raises:
            UnknownHandle: it has expired or was erased, is another caller's, or never existed. The caller cannot tell
                which.
        """
        with self._changed:
            look, _ = self._looks.get(handle, (None, 0))
        if look is None or look.owner != caller_id() or look.ends <= time.monotonic():
            raise UnknownHandle(
                "The handle has expired or was erased, or another key or another process of the service made it: look "
                "at the clip again."
            )
        return look

    def erase(self, handle: str) -> ErasedHandle:
        """Erase what the caller keeps under a handle. Raises UnknownHandle."""
        look = self.look(handle)
        with self._changed:
            self._looks.pop(handle, None)
        return ErasedHandle(handle=handle, walkers=len(look.walks))

    def erase_clips(self, digests: Collection[str]) -> None:
        """Erase the handles of all callers for clips with these SHA-256 digests."""
        with self._changed:
            for handle, (look, _) in list(self._looks.items()):
                if look.seen.sha256 in digests:
                    del self._looks[handle]

    def close(self) -> None:
        """Erase all."""
        with self._changed:
            self._looks.clear()
            self._changed.notify_all()

    def _make_room(self, size: int) -> None:
        while self._looks and (len(self._looks) >= self._most or self._size_with(size) > self._most_bytes):
            shares: defaultdict[str, float] = defaultdict(float)
            for look, own in self._looks.values():
                shares[look.owner] += max(1 / self._most, own / self._most_bytes)
            greediest = max(shares, key=lambda owner: shares[owner])
            del self._looks[next(handle for handle, (look, _) in self._looks.items() if look.owner == greediest)]

    def _size_with(self, size: int) -> int:
        return size + sum(own for _, own in self._looks.values())

    def _sweep(self) -> None:
        """Erase handles as they expire, until there are none."""
        with self._changed:
            while self._looks:
                handle, (look, _) = next(iter(self._looks.items()))
                wait = look.ends - time.monotonic()
                if wait <= 0:
                    del self._looks[handle]
                else:
                    self._changed.wait(wait)
            self._sweeper = None


def _bare(result: ClipResult) -> ClipResult:
    """A result without its sequences, without the picture of the clip, and with thumbnails of its walkers alone."""
    walkers = {sequence.track for sequence in result.sequences}
    return replace(
        result,
        sequences=[],
        thumbnails={track: picture for track, picture in result.thumbnails.items() if track in walkers},
        picture=np.zeros((1, 1, 3), np.uint8),
    )
