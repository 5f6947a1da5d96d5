"""Repair time stamps of a stream that run back, jump, come in bursts, or are in decoding order.

Time stamps come from recorders and may be wrong, while pictures show what was filmed. So no picture is dropped because
of its stamp, and changes are counted by kind (:data:`REPAIRS`).
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

REPAIRS = {
    "ran_back": "Time ran back, as where recordings were joined: what follows is a new segment.",
    "jumped": "Time jumped ahead by a minute or more, as where a clock was set: the gap is closed.",
    "burst": "Frames were stamped on arrival, many at once: they are spaced evenly.",
    "stood_still": "Frames had the same stamp as the one before: they are spaced between their neighbours.",
    "decode_order": "Stamps were in the order of decoding: they are given in the order of showing.",
    "missing": "Frames had no stamp: they follow at the stream's rate.",
    "undecoded": "Frames could not be decoded and are left out.",
}
"""Kinds of repair, and what each means."""

STEP = 1 / 25
BACK = 1.0
"""Seconds by which stamps may run back in decoding order, because of B-frames."""
JUMP, JUMP_STEPS = 60.0, 20
PAUSE = 3.0
TINY, TINY_SHARE = 0.008, 0.35
"""Maximum step within a burst: in seconds, and in steps of the stream."""
BURSTS = 0.3
"""Minimum share of tiny steps in a stream with bursts."""
REORDERED = 16
"""Maximum number of pictures that an encoder delays."""
THUMB = 64
STILL, MOVED = 0.05, 1.5
"""Mean difference allowed between one picture and the next: in grey levels, and as a multiple of earlier changes."""


@dataclass(frozen=True)
class Stamp:
    """Time stamps of one packet, in decoding order.

    Attributes:
        presented: display time in seconds; None if the container does not say.
        decoded: decoding time in seconds; None if the container does not say.
        hidden: True if its picture is never shown, as before the start of an edit list.
    """

    presented: float | None
    decoded: float | None
    hidden: bool = False

    @property
    def best(self) -> float | None:
        """The presentation time if there is one, else the decoding time."""
        return self.decoded if self.presented is None else self.presented


@dataclass(frozen=True, eq=False)
class Timeline:
    """The repaired times of a stream.

    Attributes:
        times: seconds from the first shown picture, one per packet, in decoding order; NaN where it is hidden.
        segments: number of the recording that each belongs to, from 0; increases after each jump.
        in_order: True if stamps rise in decoding order, so that they do not give the display order.
        frames: number of shown pictures.
        step: median seconds between two of them; 0 for a single one.
        duration: seconds from the first to the end of the last.
        repaired: pictures concerned, by kind; see :data:`REPAIRS`.
    """

    times: list[float]
    segments: list[int]
    in_order: bool
    frames: int
    step: float
    duration: float
    repaired: dict[str, int]


def timeline(stamps: Sequence[Stamp], declared: float | None = None, reorders: bool = False) -> Timeline:
    """Repair the stamps of a stream.

    Args:
        stamps: time stamps of all packets, in decoding order.
        declared: seconds between two pictures according to the container; None if it does not say.
        reorders: True if pictures are shown in another order than they are decoded.
    """
    shown = [number for number, stamp in enumerate(stamps) if not stamp.hidden]
    repaired: dict[str, int] = {}
    raw = _filled([stamps[number].best for number in shown], declared or STEP, repaired)
    groups = _groups(raw, [stamps[number].decoded for number in shown])
    in_order = all(raw[b] >= raw[a] for group in groups for a, b in itertools.pairwise(group))
    if in_order and reorders:
        repaired["decode_order"] = len(shown)
    order = [place for group in groups for place in sorted(group, key=raw.__getitem__)]
    starts = {len(group) for group in _sums(groups)}
    laid, parts = _laid([raw[place] for place in order], starts, declared or STEP, repaired)
    _spread(laid, parts, declared, repaired)
    _rising(laid, repaired)
    times, segments = [math.nan] * len(stamps), [0] * len(stamps)
    for place, time, part in zip(order, laid, parts, strict=True):
        times[shown[place]], segments[shown[place]] = time - laid[0], part
    steps = np.diff(laid)
    step = float(np.median(steps)) if len(steps) else 0.0
    duration = laid[-1] - laid[0] + step if laid else 0.0
    return Timeline(times, segments, in_order and reorders, len(shown), step, duration, repaired)


@dataclass
class Shown:
    """Assigns the time of a packet to each decoded picture.

    If stamps are in decoding order, the next picture gets the earliest remaining time.

    Args:
        in_order: as of :class:`Timeline`.
    """

    in_order: bool
    _left: list[int] = field(default_factory=list)

    def sent(self, number: int) -> None:
        """Record that a packet with a shown picture goes to the decoder."""
        if self.in_order:
            heapq.heappush(self._left, number)

    def lost(self, number: int) -> None:
        """Record that a packet will give no picture."""
        if number in self._left:
            self._left.remove(number)
            heapq.heapify(self._left)

    def place(self, number: int) -> int:
        """The packet whose time the picture of packet ``number`` has."""
        while self._left:
            if (first := heapq.heappop(self._left)) >= number - REORDERED:
                return first
        return number


def thumb(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """A small thumbnail (one channel) of a picture, uint8 (H, W, 3), for :func:`goes_on`."""
    every = max(1, min(image.shape[:2]) // THUMB)
    return image[::every, ::every, 1].astype(np.int16)


def goes_on(before: Sequence[npt.NDArray[np.int16]], after: npt.NDArray[np.int16]) -> bool:
    """True if a picture continues the earlier ones without a cut, independent of time stamps.

    Args:
        before: the latest pictures as thumbnails of :func:`thumb`, in order; at least three are needed.
        after: thumbnail of the next picture.
    """
    if len(before) < 3:
        return False
    row = [*before, after]
    changes = [float(np.abs(b - a).mean()) for a, b in itertools.pairwise(row)]
    return changes[-1] <= MOVED * max(changes[:-1]) + STILL


def _filled(best: Iterable[float | None], step: float, repaired: dict[str, int]) -> list[float]:
    """Stamps, with missing ones set to one step after the previous one."""
    filled: list[float] = []
    missing = 0
    for stamp in best:
        missing += stamp is None
        filled.append(stamp if stamp is not None else filled[-1] + step if filled else 0.0)
    if missing:
        repaired["missing"] = missing
    return filled


def _groups(raw: Sequence[float], decoded: Sequence[float | None]) -> list[list[int]]:
    """Indices of stamps, split where time ran back by more than B-frames explain."""
    groups: list[list[int]] = []
    top, clock = -math.inf, -math.inf
    for place, (stamp, dts) in enumerate(zip(raw, decoded, strict=True)):
        back = dts < clock if dts is not None else stamp < top - BACK
        if not groups or back or stamp < top - BACK:
            groups.append([])
            top = clock = -math.inf
        groups[-1].append(place)
        top, clock = max(top, stamp), dts if dts is not None else clock
    return groups


def _sums(groups: Sequence[Sequence[int]]) -> Iterable[range]:
    total = 0
    for group in groups:
        yield range(total)
        total += len(group)


def _laid(
    stamps: Sequence[float], starts: set[int], usual: float, repaired: dict[str, int]
) -> tuple[list[float], list[int]]:
    """Stamps in display order, without jumps, and the segment of each."""
    steps = [b - a for a, b in itertools.pairwise(stamps) if 0 < b - a <= PAUSE]
    step = float(np.mean(steps)) if steps else usual
    jump = max(JUMP, JUMP_STEPS * step, JUMP_STEPS * usual)
    laid: list[float] = []
    parts: list[int] = []
    shift, part = 0.0, 0
    for place, stamp in enumerate(stamps):
        back = place in starts and place > 0
        if laid and (back or stamp + shift - laid[-1] > jump):
            kind = "ran_back" if back else "jumped"
            repaired[kind] = repaired.get(kind, 0) + 1
            shift, part = laid[-1] + step - stamp, part + 1
        laid.append(stamp + shift)
        parts.append(part)
    return laid, parts


def _spread(laid: list[float], parts: list[int], declared: float | None, repaired: dict[str, int]) -> None:
    """Space the frames of each burst evenly over the time since the previous burst."""
    steps = np.diff(laid)
    near = steps[steps <= PAUSE]
    if not len(near) or (mean := float(near.mean())) <= 0:
        return
    tiny = (steps < min(TINY, TINY_SHARE * mean)) & (np.diff(parts) == 0)
    quick = steps[tiny]
    if declared and len(quick) and np.median(quick) > declared / 2:
        tiny = steps <= 0  # the stream really is this fast
    edges = [0, *(np.flatnonzero(~tiny) + 1).tolist(), len(laid)]
    runs = [(a, b) for a, b in itertools.pairwise(edges) if b - a > 1]
    usual = declared if declared and mean / 1.5 < declared < mean * 1.5 else mean
    made_up = [_gap(laid, a, b) >= usual * (b - a) / 2 for a, b in runs]
    bursts = tiny.mean() > BURSTS and np.mean(made_up or [False]) > 0.5
    for (a, b), good in zip(runs, made_up, strict=True):
        if not (bursts and good) and laid[b - 1] > laid[a]:
            continue  # these frames are just close together
        count = b - a
        step = min(usual, (laid[b - 1] - laid[a - 1]) / count) if a and parts[a] == parts[a - 1] else usual
        if a and parts[a] != parts[a - 1]:
            shift = (count - 1) * step
            laid[a:] = [time + shift for time in laid[a:]]
        end = laid[b - 1]
        laid[a:b] = [end - step * (b - 1 - place) for place in range(a, b)]
        kind = "burst" if bursts else "stood_still"
        repaired[kind] = repaired.get(kind, 0) + count - 1


def _gap(laid: list[float], a: int, b: int) -> float:
    """Seconds without a frame before frames ``a`` to ``b``; for the first frames, after them."""
    if a > 0:
        return laid[a] - laid[a - 1]
    return laid[b] - laid[b - 1] if b < len(laid) else 0.0


def _rising(laid: list[float], repaired: dict[str, int]) -> None:
    """Make each time later than the one before."""
    for place in range(1, len(laid)):
        if laid[place] <= laid[place - 1]:
            laid[place] = math.nextafter(laid[place - 1], math.inf) + 1e-4
            repaired["stood_still"] = repaired.get("stood_still", 0) + 1
