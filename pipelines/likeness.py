"""Detect that a track continues on another person, from clothes and from the continuity of the outline.

A tracker relies on position, so a cut to another person at the same place is one track to it. Clips and live streams
both use this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.appearance import difference

if TYPE_CHECKING:
    from gaitkeeper.pipelines.tracklet import Sighting

Array = npt.NDArray[Any]

# Number of sightings that are compared with those before them.
WITNESSES = 6
# Largest allowed difference. Of 140 passes of 12 people, one (a coat opens) exceeds JUMP, and no pass exceeds OTHER.
JUMP, OTHER = 0.22, 0.3
# A smaller difference is enough if the outline is discontinuous: it overlaps the previous one less than usual in the
# walk.
UNLIKE, BROKEN = 0.14, 0.8
# Only neighbouring frames are compared: limit as a multiple of the usual time between two.
NEIGHBOURS = 1.5


@dataclass(frozen=True)
class Change:
    """A moment at which a person's appearance changes.

    Attributes:
        time: seconds, of the first sighting after it.
        unlike: difference between the sightings before and after, in [0, 1].
        other: True if this must be another person; otherwise it may be the same person, seen differently.
    """

    time: float
    unlike: float
    other: bool


def worn(sightings: Sequence[Sighting]) -> Array | None:
    """Mean appearance; None if there are too few sightings."""
    if len(sightings) < WITNESSES:
        return None
    return np.asarray(np.mean([s.appearance for s in sightings], axis=0))


def change(sightings: Sequence[Sighting]) -> Change | None:
    """The largest change of appearance in the usable sightings of a tracklet, in time order; None if there is none."""
    if len(sightings) < 2 * WITNESSES:
        return None
    looks = np.array([s.appearance for s in sightings])
    shared, apart = _shared(sightings), np.diff([s.time for s in sightings])
    usual, near = float(np.median(shared)), NEIGHBOURS * float(np.median(apart))
    greatest: Change | None = None
    for i in range(WITNESSES, len(sightings) - WITNESSES + 1):
        unlike = difference(looks[i - WITNESSES : i].mean(0), looks[i : i + WITNESSES].mean(0))
        broken = apart[i - 1] <= near and shared[i - 1] < BROKEN * usual
        other = bool(unlike > OTHER or (unlike > UNLIKE and broken))
        found = Change(sightings[i].time, unlike, other)
        if (other or unlike > JUMP) and (greatest is None or _rank(found) > _rank(greatest)):
            greatest = found
    return greatest


def _rank(found: Change) -> tuple[bool, float]:
    return found.other, found.unlike


def _shared(sightings: Sequence[Sighting]) -> Array:
    """Intersection over union of each silhouette with the one before it."""
    shapes = np.array([s.view.silhouette for s in sightings if s.view is not None]) > 0
    both = (shapes[1:] & shapes[:-1]).sum((1, 2))
    either = (shapes[1:] | shapes[:-1]).sum((1, 2))
    return np.asarray(both / np.maximum(either, 1))
