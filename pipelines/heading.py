"""The direction in which a walker moves in the picture, from the boxes alone."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.sequence import GaitSequence

MIN_FRAMES = 5
_SIDEWAYS = 0.3  # heights a second across the picture; people walk about 0.75
_ACROSS = 0.7
_DEPTH = 0.1  # growth per second for each height per second across; below it, a walk counts as sideways at any speed
_STILL = 0.02  # growth per second of a person who walks in place


class Heading(StrEnum):
    """A walking direction as seen by the camera; left and right are those of the picture."""

    TOWARDS = "towards"
    TOWARDS_LEFT = "towards_left"
    LEFT = "left"
    AWAY_LEFT = "away_left"
    AWAY = "away"
    AWAY_RIGHT = "away_right"
    RIGHT = "right"
    TOWARDS_RIGHT = "towards_right"
    STILL = "still"


def heading_of(seq: GaitSequence) -> Heading | None:
    """The heading of a walker; None for fewer than five frames.

    Speed across the picture in body heights a second, and the rate at which the walker grows, are the slopes of
    straight lines through the boxes' centres and the logarithms of their heights. Walking across, people make about
    0.75 heights a second; growth depends on their distance as well, so only its sign is reliable.
    """
    if len(seq) < MIN_FRAMES:
        return None
    boxes = seq.boxes.astype(np.float64)
    heights = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
    across = _slope(seq.timestamps, (boxes[:, 0] + boxes[:, 2]) / 2) / float(np.median(heights))
    growth = _slope(seq.timestamps, np.log(heights))
    if abs(across) < _SIDEWAYS:
        if abs(growth) < _STILL:
            return Heading.STILL
        return Heading.TOWARDS if growth > 0 else Heading.AWAY
    side = "right" if across > 0 else "left"
    if abs(across) >= _ACROSS or abs(growth) < _DEPTH * abs(across):
        return Heading(side)
    return Heading(f"{'towards' if growth > 0 else 'away'}_{side}")


def _slope(times: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> float:
    """Slope of the least-squares line, per second."""
    off = times - times.mean()
    spread = float(off @ off)
    return float(off @ values) / spread if spread > 0 else 0.0
