"""Collects portraits of a person, and keeps their number small even if the person is followed for hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.perception import Person

Array = npt.NDArray[Any]

HEIGHT = 160
BLOCK = 16
MOST = 32


@dataclass(frozen=True, eq=False)
class _Portrait:
    time: float
    worth: float
    picture: Array


class Portraits:
    """Keeps the best picture of each section of a tracklet; sections grow with the tracklet."""

    def __init__(self) -> None:
        self._kept: list[_Portrait] = []
        self._block, self._count = BLOCK, 0

    def take(self, image: Array, person: Person, time: float) -> None:
        """Keep a person's picture, of an RGB uint8 (H, W, 3) frame, if it is the first or the best of its section."""
        x1, y1, x2, y2 = (int(edge) for edge in person.box)
        worth = person.score * (y2 - y1)
        first = self._count % self._block == 0
        self._count += 1
        # Replace only by a clearly better picture, so that pictures are copied rarely.
        if not first and self._kept and worth <= 1.1 * self._kept[-1].worth:
            return
        grow = (y2 - y1) // 10
        part = image[max(y1 - grow, 0) : y2 + grow, max(x1 - grow, 0) : x2 + grow]
        width = max(1, round(part.shape[1] * HEIGHT / part.shape[0]))
        found = _Portrait(time, worth, cv2.resize(part, (width, HEIGHT), interpolation=cv2.INTER_AREA))
        if first:
            self._kept.append(found)
        else:
            self._kept[-1:] = [found]
        if len(self._kept) > MOST:
            pairs = zip(self._kept[::2], self._kept[1::2], strict=False)
            last = self._kept[-1:] if len(self._kept) % 2 else []
            self._kept = [max(pair, key=lambda p: p.worth) for pair in pairs] + last
            self._block *= 2

    def parted(self, time: float) -> tuple[Portraits, Portraits]:
        """The portraits before a moment, and those from it on."""
        before, after = Portraits(), Portraits()
        before._kept = [p for p in self._kept if p.time < time]
        after._kept = [p for p in self._kept if p.time >= time]
        return before, after

    def jpeg(self, instead: Array | None) -> bytes:
        """The best as JPEG, or ``instead``, a grey uint8 (H, W) picture, if there is none; empty without either."""
        best = max(self._kept, key=lambda p: p.worth, default=None)
        picture = instead if best is None else cv2.cvtColor(best.picture, cv2.COLOR_RGB2BGR)
        if picture is None:
            return b""
        _, data = cv2.imencode(".jpg", np.asarray(picture), [cv2.IMWRITE_JPEG_QUALITY, 85])
        return bytes(data)
