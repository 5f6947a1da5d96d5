"""Pictures that repeat the one before, as where ten pictures a second are stored or sent as thirty.

They show nothing of a gait, and a rate that counts them is not that of what was filmed. So they are left out, of files,
whichever way they are decoded, and of live pictures alike.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.decode import Frame

Array = npt.NDArray[np.uint8]

SIDE, CELL = 240, 8
"""Pictures are compared at about this many rows or columns, whichever are fewer, in cells of so many pixels."""
NEAR = np.ones((5, 5), np.uint8)
HISTORY, AMONG = 24, 3
FLOOR, ABOUT, ANYWHERE = 1.0, 0.3, 0.1
"""A picture repeats another from which no cell differs by more grey levels than the floor, this share of what is usual
about the cell, and that share of what is usual anywhere. Coders change repeated pictures, most where something has just
moved. Of seven real clips of 10 Hz stored as 30 (x264 at crf 23), 92 to 100 % of the repeats are found in five, 85 % on
a road, and 68 % where people are small, with 13 % of the true pictures; at crf 35 with boxes burnt in, 37 %."""
HELD = 0.25
"""Seconds after which a picture is looked at though it repeats the one before: a room may be still."""


class Repeats:
    """Tells, picture by picture, which repeat the latest that did not; for one stream."""

    def __init__(self) -> None:
        self._kept: Array | None = None
        self._time = 0.0
        self._changes: deque[Array] = deque(maxlen=HISTORY)

    def repeated(self, image: Array, time: float) -> bool:
        """Whether a picture shows nothing new.

        Args:
            image: RGB uint8 (H, W, 3); one of another size than the picture before is new.
            time: seconds; one that is before that picture's, or long after it, is new.
        """
        every = max(1, min(image.shape[:2]) // SIDE)
        small = np.ascontiguousarray(image[::every, ::every, 1])
        found = False
        if self._kept is not None and small.shape == self._kept.shape:
            found = self._nothing_new(small) and 0 <= time - self._time < HELD
        else:
            self._changes.clear()
        if not found:
            self._kept, self._time = small, time
        return found

    def _nothing_new(self, small: Array) -> bool:
        size = max(1, small.shape[1] // CELL), max(1, small.shape[0] // CELL)
        change = cv2.resize(cv2.absdiff(small, self._kept), size, interpolation=cv2.INTER_AREA)
        allowed: npt.NDArray[np.float64] | float = FLOOR
        if len(self._changes) >= AMONG:
            before = np.stack(self._changes)
            anywhere = np.partition(before.max((1, 2)), -AMONG)[-AMONG]
            allowed = FLOOR + ABOUT * np.partition(before, -AMONG, axis=0)[-AMONG] + ANYWHERE * float(anywhere)
        self._changes.append(np.asarray(cv2.dilate(change, NEAR), np.uint8))
        return bool((change <= allowed).all())


class Distinct:
    """A clip's frames without those that repeat the one before.

    Attributes:
        last: index of the latest frame that came, whether it was left out or not.
    """

    def __init__(self) -> None:
        self.last = 0

    def of(self, stream: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
        """The frames that show something new, each with the number of those left out before it."""
        repeats, segment, left_out = Repeats(), 0, 0
        with closing(stream):
            for frame in stream:
                self.last = frame.index
                if frame.segment != segment:  # a new recording, whatever it begins with
                    repeats, segment = Repeats(), frame.segment
                if repeats.repeated(frame.image, frame.time):
                    left_out += 1
                else:
                    yield replace(frame, repeats=left_out)
                    left_out = 0
