"""Correct swapped tracklets after two people crossed.

A tracker relies on position and can swap two people when one hides the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.appearance import difference
from gaitkeeper.pipelines.perception import Person
from gaitkeeper.pipelines.perception.base import shared_area
from gaitkeeper.pipelines.tracklet import Sighting, Tracklet

Array = npt.NDArray[Any]

TOUCH = 0.15
WITNESSES = 12
FEWEST = 3
CLOTHES, MOTION = 2.0, 0.5
MARGIN = 0.1
OUT_OF_SIGHT = 1.0


@dataclass
class _Meeting:
    """Two tracklets whose boxes overlapped between two moments."""

    pair: tuple[int, int]
    start: float
    end: float


class Crossings:
    """Records the meetings in one clip, and corrects tracklets that were swapped in them."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], _Meeting] = {}
        self._last_seen: dict[int, float] = {}
        self._times_seen: Counter[int] = Counter()
        self._closed: list[_Meeting] = []

    def note(self, time: float, numbers: Sequence[int | None], people: Sequence[Person]) -> set[int]:
        """Take one frame: a meeting lasts from the first touch until both are seen apart again.

        Returns:
            The tracklets that meet a person who is hidden at the moment, so that their masks may contain both.
        """
        seen = {n: person.box for n, person in zip(numbers, people, strict=True) if n is not None}
        self._last_seen.update(dict.fromkeys(seen, time))
        self._times_seen.update(seen.keys())
        for pair in list(self._open):
            if all(n in seen for n in pair) and not _touch(seen[pair[0]], seen[pair[1]]):
                meeting = self._open.pop(pair)
                meeting.end = time
                self._closed.append(meeting)
        known = sorted(seen)
        for i, a in enumerate(known):
            for b in known[i + 1 :]:
                if _touch(seen[a], seen[b]):
                    self._open.setdefault((a, b), _Meeting((a, b), time, time))
        return {
            n
            for pair in self._open
            for n, other in (pair, pair[::-1])
            if n in seen
            and other not in seen
            # A few frames of another tracklet may show this same person, detected twice.
            and self._times_seen[other] >= WITNESSES
            and time - self._last_seen[other] <= OUT_OF_SIGHT
        }

    def meeting(self) -> set[int]:
        """The tracklets that are in a meeting."""
        return {number for pair in self._open for number in pair}

    def ended(self) -> list[tuple[tuple[int, int], float, float]]:
        """Pairs, starts and ends of the meetings that have ended since the last call; they are not resolved."""
        closed, self._closed = self._closed, []
        return [(meeting.pair, meeting.start, meeting.end) for meeting in closed]

    def forget(self, number: int) -> None:
        """Drop the data of a tracklet that has ended."""
        self._last_seen.pop(number, None)
        self._times_seen.pop(number, None)
        self._open = {pair: meeting for pair, meeting in self._open.items() if number not in pair}

    def resolve(self, tracklets: Mapping[int, Tracklet]) -> int:
        """Undo swaps; returns the number of corrected meetings."""
        swapped = 0
        for meeting in sorted(self._closed, key=lambda m: m.end):
            a, b = (tracklets[number] for number in meeting.pair)
            if _were_swapped(a, b, meeting):
                a.exchange_from(meeting.end, b)
                swapped += 1
        return swapped


def _touch(a: Array, b: Array) -> bool:
    smaller = min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod())
    return bool(shared_area(a, b) > TOUCH * smaller)


def _were_swapped(a: Tracklet, b: Tracklet, meeting: _Meeting) -> bool:
    """True if clothes, and with less weight motion, say that the two tracklets were swapped."""
    before = [[s for s in t.sightings if s.time < meeting.start][-WITNESSES:] for t in (a, b)]
    after = [[s for s in t.sightings if s.time >= meeting.end][:WITNESSES] for t in (a, b)]
    if min(len(part) for part in (*before, *after)) < FEWEST:
        return False
    cost = np.array([[_strangeness(x, y) for y in after] for x in before])
    return bool(cost[0, 1] + cost[1, 0] + MARGIN < cost[0, 0] + cost[1, 1])


def _strangeness(before: list[Sighting], after: list[Sighting]) -> float:
    """How much the two groups of sightings differ from those of one person."""
    worn = [np.mean([s.appearance for s in part], axis=0) for part in (before, after)]
    first, last = before[0], before[-1]
    speed = (_place(last) - _place(first)) / max(last.time - first.time, 1e-3)
    expected = _place(last) + speed * (after[0].time - last.time)
    astray = float(np.linalg.norm(_place(after[0]) - expected)) / max(float(last.box[3] - last.box[1]), 1.0)
    return CLOTHES * difference(worn[0], worn[1]) + MOTION * min(astray, 1.0)


def _place(sighting: Sighting) -> Array:
    return np.array([(sighting.box[0] + sighting.box[2]) / 2, (sighting.box[1] + sighting.box[3]) / 2])
