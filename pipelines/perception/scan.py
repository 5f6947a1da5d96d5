"""Choose where to detect people next: tiles with motion, or those not examined for longest."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.shrink import shrink

Array = npt.NDArray[Any]
Tile = tuple[int, int, int]

SMALL_SIDE = 320
SMALLEST_TILE = 200
CHANGE = 18
CAMERA_MOVES = 0.25
# Calls before a tile is examined again: reflections and trees move all the time.
REST_MOTION, REST_TURN = 3, 5


class Scan:
    """The tile schedule of one clip.

    With a static camera, only tiles with motion that no known person explains are examined. With a moving camera
    everything moves, so tiles are taken in turn. The first call returns every tile. If no frame may wait for that, the
    first calls return all tiles together.

    Args:
        budget: maximum tiles per call after the first.
        spread: True if the budget also holds for the first call.
    """

    def __init__(self, budget: int = 8, *, spread: bool = False) -> None:
        self._budget = budget
        self._spread = spread
        self._unseen: list[int] = []
        self._tiles: list[Tile] = []
        self._looked: Array = np.zeros(0)
        self._calls = 0
        self._before: Array | None = None
        self._known: Array = np.zeros((0, 4), np.float32)

    def plan(self, image: Array, known: Array) -> tuple[list[Tile], Array]:
        """Choose tiles, and boxes that moved like a person.

        Args:
            image: RGB uint8 (H, W, 3).
            known: boxes (K, 4) of people already followed.

        Returns:
            Tiles (x, y, side) and motion boxes (M, 4), in pixels of the clip.
        """
        self._calls += 1
        explained, self._known = np.concatenate([self._known, known]), known
        if not self._tiles:
            self._tiles = tiles(image.shape[1], image.shape[0])
            # Spread over the next calls, so that no single frame has to wait for many tiles.
            self._looked = self._calls - np.arange(len(self._tiles)) % REST_TURN
            self._before = self._small(image)
            self._unseen = list(range(len(self._tiles)))
            return self._topped_up([]) if self._spread else list(self._tiles), np.zeros((0, 4), np.float32)
        motion, share = self._motion(image)
        scale = image.shape[1] / motion.shape[1]
        # Where people are now, and where they were at the call before: the picture changed at both places.
        for x1, y1, x2, y2 in explained:
            grow = 0.15 * (y2 - y1)
            low = np.floor(np.array([x1 - grow, y1 - grow]) / scale).astype(int).clip(0)
            high = np.ceil(np.array([x2 + grow, y2 + grow]) / scale).astype(int).clip(0)
            motion[low[1] : high[1], low[0] : high[0]] = 0
        if share > CAMERA_MOVES:
            order = self._longest_unlooked(np.arange(len(self._tiles)), REST_TURN)
            boxes = np.zeros((0, 4), np.float32)
        else:
            order = self._moving(motion, scale)
            boxes = _boxes(motion) * np.float32(scale)
        self._looked[order] = self._calls
        return self._topped_up(order.tolist()) if self._spread else [self._tiles[i] for i in order], boxes

    def _topped_up(self, order: list[int]) -> list[Tile]:
        """Add tiles not returned yet, up to the budget: a person who stands still from the start shows no motion."""
        self._unseen = [i for i in self._unseen if i not in order]
        room = max(self._budget - len(order), 0)
        order, self._unseen = order + self._unseen[:room], self._unseen[room:]
        return [self._tiles[i] for i in order]

    def _small(self, image: Array) -> Array:
        height = max(1, round(image.shape[0] * SMALL_SIDE / image.shape[1]))
        small = shrink(image, SMALL_SIDE, height)
        return cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (3, 3), 0)

    def _motion(self, image: Array) -> tuple[Array, float]:
        """Changed pixels, uint8 (h, w) 0 or 1, since the last call, closed to blobs; and their share before that."""
        now = self._small(image)
        assert self._before is not None
        changed = (cv2.absdiff(now, self._before) > CHANGE).astype(np.uint8)
        self._before = now
        blobs = cv2.morphologyEx(changed, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        return cv2.morphologyEx(blobs, cv2.MORPH_CLOSE, np.ones((9, 5), np.uint8)), float(changed.mean())

    def _moving(self, motion: Array, scale: float) -> Array:
        """Tiles with unexplained motion."""
        total = cv2.integral(motion)
        edges = np.array([(x, y, x + side, y + side) for x, y, side in self._tiles]) / scale
        x1, y1, x2, y2 = np.clip(edges.round().astype(int), 0, [*total.shape[::-1]] * 2 - np.ones(4, int)).T
        moved = total[y2, x2] - total[y1, x2] - total[y2, x1] + total[y1, x1]
        enough = moved > 0.01 * np.maximum((x2 - x1) * (y2 - y1), 1)
        return self._longest_unlooked(np.flatnonzero(enough), REST_MOTION)

    def _longest_unlooked(self, candidates: Array, rest: int) -> Array:
        """Tiles not examined for ``rest`` calls, the longest first, at most the budget."""
        ready = candidates[self._calls - self._looked[candidates] >= rest]
        order = np.argsort(self._looked[ready], kind="stable")
        return np.asarray(ready[order][: self._budget])


def tiles(width: int, height: int) -> list[Tile]:
    """Half-overlapping square tiles, from the picture's short side down by halves to about 200 pixels.

    The detector finds people of at least 0.4 of a tile's side, so halving covers every size.
    """
    side, out = min(width, height), []
    while True:
        for y in _starts(height, side):
            out += [(x, y, side) for x in _starts(width, side)]
        if side // 2 < SMALLEST_TILE:
            return out
        side //= 2


def _starts(length: int, side: int) -> list[int]:
    count = max(1, int(np.ceil((length - side) / (side / 2))) + 1)
    return sorted({int(start) for start in np.linspace(0, length - side, count).round()})


def _boxes(motion: Array) -> Array:
    """Boxes (M, 4) of blobs shaped like an upright person, largest first, at most two, in pixels of the motion map."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(motion)
    boxes = []
    for x, y, w, h, area in sorted(stats[1:], key=lambda s: -s[cv2.CC_STAT_AREA]):
        if h >= 8 and 1.1 <= h / w <= 6 and area >= 0.3 * w * h:
            boxes.append((x, y, x + w, y + h))
    return np.array(boxes[:2], np.float32).reshape(-1, 4)
