"""Detect repeated pictures, for example when ten pictures a second are stored or sent as thirty.

Repeated pictures say nothing about the gait, and with them the frame rate is not that of the recording. So they are
marked, for all decoders of files and for live streams, and a walk in which they are many is made of the others. People
are detected and tracked in all pictures: a tracker loses a person more easily in fewer ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.decode import Frame

Array = npt.NDArray[np.uint8]

SIDE, CELL = 240, 8
"""Size of the smaller side at which pictures are compared, and side of a cell, in pixels."""
NEAR = np.ones((5, 5), np.uint8)
HISTORY, AMONG = 24, 3
FLOOR, ABOUT, ANYWHERE = 1.0, 0.3, 0.1
"""A picture is a repeat if no cell differs by more grey levels than the floor, the first share of the usual difference
around the cell, and the second share of the usual difference anywhere. Encoders change repeated pictures, mostly where
something has just moved. In seven real clips of 10 Hz stored at 30 Hz (x264 at crf 23), 92 to 100 % of the repeats are
found in five, 85 % on a road, and 68 % where people are small, with 13 % of the other pictures; at crf 35 with boxes
burnt in, 37 %."""
HELD = 0.25
"""Seconds after which a repeated picture is processed anyway: a room may be still."""


class Repeats:
    """Detects, picture by picture, repeats of the latest new picture of one stream."""

    def __init__(self) -> None:
        self._kept: Array | None = None
        self._time = 0.0
        self._changes: deque[Array] = deque(maxlen=HISTORY)

    def repeated(self, image: Array, time: float) -> bool:
        """True if a picture shows nothing new.

        Args:
            image: RGB uint8 (H, W, 3); one of another size than the picture before is new.
            time: seconds; one that is before that picture's, or long after it, is new.
        """
        every = max(1, min(image.shape[:2]) // SIDE)
        small = np.ascontiguousarray(image[::every, ::every, 1])
        found = False
        if self._kept is not None and small.shape == self._kept.shape:
            found = self._nothing_new(self._kept, small) and 0 <= time - self._time < HELD
        else:
            self._changes.clear()
        if not found:
            self._kept, self._time = small, time
        return found

    def _nothing_new(self, kept: Array, small: Array) -> bool:
        size = max(1, small.shape[1] // CELL), max(1, small.shape[0] // CELL)
        change = cv2.resize(cv2.absdiff(small, kept), size, interpolation=cv2.INTER_AREA)
        allowed: npt.NDArray[np.float64] | float = FLOOR
        if len(self._changes) >= AMONG:
            before = np.stack(self._changes)
            anywhere = np.partition(before.max((1, 2)), -AMONG)[-AMONG]
            allowed = FLOOR + ABOUT * np.partition(before, -AMONG, axis=0)[-AMONG] + ANYWHERE * float(anywhere)
        self._changes.append(np.asarray(cv2.dilate(change, NEAR), np.uint8))
        return bool((change <= allowed).all())


def marked(stream: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
    """The frames, with those marked that repeat the one before."""
    repeats, segment = Repeats(), 0
    with closing(stream):
        for frame in stream:
            if frame.segment != segment:  # the first frame of a new recording is never a repeat
                repeats, segment = Repeats(), frame.segment
            yield replace(frame, repeated=True) if repeats.repeated(frame.image, frame.time) else frame
