"""Whether what is followed is still the same person: by clothes, and by how the outline goes on.

A tracker goes by place, so a cut to another person at the same place is one track to it. Clips and live pictures ask
the same questions here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipelines.appearance import difference

if TYPE_CHECKING:
    from pipelines.tracklet import Sighting

Array = npt.NDArray[Any]

# Sightings that are compared with those before them.
WITNESSES = 6
# How unlike they may be. Of 140 passes of 12 people one goes beyond JUMP, whose coat opens, and none beyond OTHER.
JUMP, OTHER = 0.22, 0.3
# Less will do where the outline does not go on: then it shares less with the one before than is usual in the walk.
UNLIKE, BROKEN = 0.14, 0.8
# Only neighbours go on from one another: of the usual time between two.
NEIGHBOURS = 1.5


@dataclass(frozen=True)
class Change:
    """A moment at which somebody's likeness changes.

    Attributes:
        time: seconds, of the first sighting after it.
        unlike: how unlike those before and after are, in [0, 1].
        other: True where this must be another person; else it may be the same one, otherwise seen.
    """

    time: float
    unlike: float
    other: bool


def worn(sightings: Sequence[Sighting]) -> Array | None:
    """What is worn, on average; None where there are too few to tell."""
    if len(sightings) < WITNESSES:
        return None
    return np.asarray(np.mean([s.appearance for s in sightings], axis=0))


def change(sightings: Sequence[Sighting]) -> Change | None:
    """The greatest change of likeness among usable sightings of one tracklet, in time order; None without any."""
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
