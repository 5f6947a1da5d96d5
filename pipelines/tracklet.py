"""A tracklet gathers one person's frames and becomes a gait sequence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import zstandard

from pipelines import quality
from pipelines.perception import Person
from pipelines.sequence import HEATMAP, GaitSequence, Quality
from pipelines.silhouette import mask_area, silhouette

Array = npt.NDArray[Any]

LOW_SCORE = 0.4
POOR_MASK = 0.6
OVERLAP = 0.3
AREA_RANGE = (0.6, 1.6)
THUMBNAIL_HEIGHT = 160


@dataclass(frozen=True, eq=False)
class _Kept:
    """One usable frame; the heatmaps packed, for they are large and nearly empty."""

    index: int
    time: float
    silhouette: Array
    joints: Array
    heatmaps: bytes
    box: Array
    area: float


class Tracklet:
    """One person followed through a clip.

    Args:
        number: the tracklet's number in its clip, from 1.
        limit: most frames kept.
    """

    def __init__(self, number: int, limit: int) -> None:
        self.number = number
        self.first, self.last = -1.0, -1.0
        self.first_index, self.last_index = -1, -1
        self.seen = 0
        self.skipped: Counter[str] = Counter()
        self.frame_size = (0, 0)
        self._limit = limit
        self._kept: list[_Kept] = []
        self._packer = zstandard.ZstdCompressor(level=1)
        self._best: tuple[float, Array | None] = (-1.0, None)

    def add(self, image: Array, person: Person, others: list[Person], index: int, time: float) -> None:
        """Take one frame, or note why not."""
        self.seen += 1
        if self.seen == 1:
            self.first, self.first_index = time, index
            self.frame_size = (image.shape[1], image.shape[0])
        self.last, self.last_index = time, index
        self._portray(image, person)
        reason = _unusable(person, others, self.frame_size)
        if reason is None and len(self._kept) >= self._limit:
            reason = "enough"
        shape = silhouette(person.mask) if reason is None else None
        if shape is None:
            self.skipped[reason or "poor_mask"] += 1
            return
        height = float(person.box[3] - person.box[1])
        pixel = (person.window[2] - person.window[0]) / person.mask.shape[1]
        self._kept.append(
            _Kept(
                index,
                time,
                shape,
                person.joints,
                self._packer.compress(person.heatmaps.tobytes()),
                person.box,
                mask_area(person.mask, pixel) / height**2,
            )
        )

    def sequence(self, perception: str) -> GaitSequence:
        """The gait sequence of the usable frames; it may have none."""
        kept, skipped = self._steady(), Counter(self.skipped)
        if len(kept) < len(self._kept):
            skipped["poor_mask"] += len(self._kept) - len(kept)
        t = len(kept)
        joints = np.array([k.joints for k in kept], np.float32).reshape(t, 17, 3)
        boxes = np.array([k.box for k in kept], np.float32).reshape(t, 4)
        timestamps = np.array([k.time for k in kept], np.float64)
        silhouettes = np.array([k.silhouette for k in kept], np.uint8).reshape(t, 64, 64)
        hertz = quality.rate(timestamps)
        unpack = zstandard.ZstdDecompressor().decompress
        heatmaps = np.empty((t, *HEATMAP), np.uint8)
        for row, k in zip(heatmaps, kept, strict=True):
            row[:] = np.frombuffer(unpack(k.heatmaps), np.uint8).reshape(HEATMAP)
        return GaitSequence(
            silhouettes=silhouettes,
            joints=joints,
            heatmaps=heatmaps,
            timestamps=timestamps,
            boxes=boxes,
            quality=Quality(
                frames=t,
                skipped=dict(sorted(skipped.items())),
                mean_joint_score=float(joints[..., 2].mean()) if t else 0.0,
                mask_stability=quality.mask_stability(np.array([k.area for k in kept])),
                cut_off_share=skipped["cut_off"] / max(self.seen, 1),
                gait_cycles=quality.gait_cycles(joints, silhouettes, boxes[:, 3] - boxes[:, 1], timestamps),
                rate_hz=hertz,
                low_rate=hertz < quality.MIN_RATE,
                missed=self.last_index - self.first_index + 1 - self.seen,
            ),
            track=self.number,
            perception=perception,
            frame_size=self.frame_size,
        )

    def thumbnail(self) -> bytes:
        """JPEG of the person in the best frame."""
        picture = self._best[1]
        if picture is None:
            return b""
        _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
        return bytes(data)

    def _steady(self) -> list[_Kept]:
        """Without frames whose mask is far from the usual size: half a person, or two in one."""
        if len(self._kept) < 5:
            return self._kept
        usual = float(np.median([k.area for k in self._kept]))
        low, high = AREA_RANGE[0] * usual, AREA_RANGE[1] * usual
        return [k for k in self._kept if low <= k.area <= high]

    def _portray(self, image: Array, person: Person) -> None:
        x1, y1, x2, y2 = (int(edge) for edge in person.box)
        worth = person.score * (y2 - y1)
        # Clearly better or not at all: a picture is copied rarely.
        if worth > 1.1 * self._best[0]:
            grow = (y2 - y1) // 10
            part = image[max(y1 - grow, 0) : y2 + grow, max(x1 - grow, 0) : x2 + grow]
            width = max(1, round(part.shape[1] * THUMBNAIL_HEIGHT / part.shape[0]))
            self._best = (worth, cv2.resize(part, (width, THUMBNAIL_HEIGHT), interpolation=cv2.INTER_AREA))


def _unusable(person: Person, others: list[Person], size: tuple[int, int]) -> str | None:
    """Why a frame says nothing about the gait, or None."""
    x1, y1, x2, y2 = person.box
    edge = 1 + 0.005 * (y2 - y1)
    if x1 <= edge or y1 <= edge or x2 >= size[0] - edge or y2 >= size[1] - edge:
        return "cut_off"
    if any(_covers(other, person) for other in others):
        return "overlap"
    if person.score < POOR_MASK or _feet_are_missing(person):
        return "poor_mask"
    if float(person.joints[:, 2].mean()) < LOW_SCORE:
        return "low_score"
    return None


def _covers(other: Person, person: Person) -> bool:
    """True where a nearer person (feet lower in the picture) stands before much of this one's box."""
    if other is person or other.box[3] < person.box[3]:
        return False
    low, high = np.maximum(other.box[:2], person.box[:2]), np.minimum(other.box[2:], person.box[2:])
    shared = np.clip(high - low, 0, None).prod()
    return bool(shared > OVERLAP * (person.box[2:] - person.box[:2]).prod())


def _feet_are_missing(person: Person) -> bool:
    """True where both ankles lie well below the mask."""
    height = person.box[3] - person.box[1]
    return bool(person.joints[15:17, 1].min() > person.box[3] + 0.05 * height)
