"""Check that people are upright in the picture, and find the rotation that would make them so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.perception import Perception

Array = npt.NDArray[Any]

# Of 140 upright passes of 12 people each has at least 0.99; of six clips upside down the largest share is 0.55.
MIN_UPRIGHT = 0.8
TURNS = (90, 180, 270)
HEAD, HIPS, ANKLES = slice(0, 5), slice(11, 13), slice(15, 17)
SAMPLES = 12
SAMPLE_SIDE = 1280
FEWEST = 2
MIN_SCORE = 0.5


def upright_share(joints: Array) -> float:
    """Share of frames, in [0, 1], whose head is over the hips and these over the ankles; 1 of no frames.

    Args:
        joints: float32 (T, 17, 3), COCO-17 in pixels.
    """
    y = joints[..., 1]
    head, hips, ankles = (y[:, part].mean(1) for part in (HEAD, HIPS, ANKLES))
    return float(((head < hips) & (hips < ankles)).mean()) if len(joints) else 1.0


class Samples:
    """Up to twelve pictures spread over a clip of unknown length, their longer side at most 1280 pixels."""

    def __init__(self) -> None:
        self.pictures: list[tuple[float, Array]] = []
        self._every, self._count = 1, 0

    def take(self, image: Array, time: float) -> None:
        """Take the next RGB uint8 (H, W, 3) frame, at ``time`` seconds; it is copied if it is kept."""
        if self._count % self._every == 0:
            self.pictures.append((time, _small(image)))
            if len(self.pictures) == 2 * SAMPLES:
                self.pictures, self._every = self.pictures[::2], 2 * self._every
        self._count += 1


def turn_of(samples: Samples, perception: Perception) -> int | None:
    """Degrees clockwise by which a clip must be turned for its people to be upright, 90, 180 or 270.

    Args:
        samples: of the clip.
        perception: backend that processes the pictures in each rotation.

    Returns:
        None if no rotation makes more people upright, or if no person is found.
    """
    pictures = samples.pictures[:: max(1, len(samples.pictures) // SAMPLES)]
    counts = {turn: _upright(pictures, turn, perception) for turn in (0, *TURNS)}
    best = max(counts, key=lambda turn: counts[turn])
    return best if counts[best] >= FEWEST and counts[best] > 2 * counts[0] else None


def _upright(pictures: Sequence[tuple[float, Array]], turn: int, perception: Perception) -> int:
    """Number of pictures with an upright person after a rotation."""
    watcher = perception.watch()
    count = 0
    for time, picture in pictures:
        people = watcher.see(np.ascontiguousarray(np.rot90(picture, -turn // 90)), time)
        count += any(upright_share(p.joints[None]) == 1 and p.joints[:, 2].mean() >= MIN_SCORE for p in people)
    return count


def _small(image: Array) -> Array:
    shrink = min(1.0, SAMPLE_SIDE / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
