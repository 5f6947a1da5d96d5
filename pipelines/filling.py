"""Fill the frames of a walk in which the walker was not looked at.

A filled frame has the silhouette and the heatmaps of the nearest look, as a slow clip's frames have when they are
brought to the rate of the networks; joints and box lie between those of the looks before and after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Places:
    """Frames of a walk, looked at or filled.

    Attributes:
        times: float64 (T,); seconds, rising.
        before, after: int (T,); the look before each frame and the one after it; both are the same one if it is a look.
        share: float64 (T,); 0 at the look before, 1 at the look after.
    """

    times: Array
    before: Array
    after: Array
    share: Array

    @property
    def nearest(self) -> Array:
        """The look nearest to each frame, int (T,); the earlier one of two equally near ones."""
        return np.where(self.share <= 0.5, self.before, self.after)

    def between(self, values: Array) -> Array:
        """Values (T, ...), float32, from those of the looks."""
        share = self.share.reshape(-1, *(1,) * (values.ndim - 1))
        return np.asarray((1 - share) * values[self.before] + share * values[self.after], np.float32)

    def first(self, count: int) -> Places:
        """The first frames, at most so many."""
        return Places(*(part[:count] for part in (self.times, self.before, self.after, self.share)))


def filled(looks: Array, sightings: Array, left_out: Array) -> Places:
    """The usable looks of a walk, and the frames that were left out between two of them.

    Args:
        looks: (N,); seconds of the usable looks, rising.
        sightings: (M,); seconds of all looks that showed the person, rising. Between two usable looks with an unusable
            one between them nothing is filled.
        left_out: (K,); seconds of the frames that were left out.
    """
    every = np.arange(len(looks))
    if len(looks) < 2 or not len(left_out):
        return Places(looks, every, every, np.zeros(len(looks)))
    usable = np.isin(sightings, looks)
    after = np.searchsorted(sightings, left_out)
    inside = (after > 0) & (after < len(sightings))
    chosen = left_out[inside][usable[after[inside] - 1] & usable[after[inside]]]
    later = np.searchsorted(looks, chosen)
    share = (chosen - looks[later - 1]) / (looks[later] - looks[later - 1])
    times = np.concatenate([looks, chosen])
    order = np.argsort(times, kind="stable")
    return Places(
        times[order],
        np.concatenate([every, later - 1])[order],
        np.concatenate([every, later])[order],
        np.concatenate([np.zeros(len(looks)), share])[order],
    )
