"""Where a person is in a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SAME = 1e-6
"""Seconds by which two times of the same frame may differ."""


@dataclass(frozen=True, eq=False)
class BoxTrail:
    """The boxes of one person, from the first sighting to the last.

    Attributes:
        times: float64 (N,), N ≥ 1; seconds of the frames in which the person was seen, usable or not, rising.
        boxes: float32 (N, 4); x1, y1, x2, y2 in pixels of the upright picture.
    """

    times: Array
    boxes: Array

    def at(self, time: float) -> Array | None:
        """The box, float32 (4,), at a time in seconds; between two sightings it lies between their boxes.

        None before the first sighting and after the last.
        """
        if not self.times[0] - SAME <= time <= self.times[-1] + SAME:
            return None
        return np.array([np.interp(time, self.times, edge) for edge in self.boxes.T], np.float32)
