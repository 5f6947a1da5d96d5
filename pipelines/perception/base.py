"""The protocol of perception backends, which detect the people in each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Person:
    """One person seen in one frame.

    Attributes:
        box: float32 (4,); x1, y1, x2, y2 of the mask in pixels of the clip, not beyond the picture.
        score: confidence that this is a person, in [0, 1].
        mask: float32 (h, w) probability of the person in the window.
        window: x1, y1, x2, y2 in pixels of the clip that the mask covers, possibly beyond the picture.
        joints: float32 (17, 3); COCO-17 x, y in pixels of the clip, score in [0, 1].
        heatmaps: uint8 (17, 64, 48), round(255·p) in :func:`heatmap_box` of the box.
        carried: True if the person was not looked at in this frame: it is the person of the frame before, moved to
            where it should be.
    """

    box: Array
    score: float
    mask: Array
    window: tuple[float, float, float, float]
    joints: Array
    heatmaps: Array
    carried: bool = False


class Watcher(Protocol):
    """Processes the frames of one clip in order, and keeps state between them."""

    def see(self, image: Array, time: float) -> list[Person]:
        """All people in an RGB uint8 (H, W, 3) frame at ``time`` seconds, each person once."""
        ...

    def see_all(self, images: Sequence[Array], times: Sequence[float]) -> list[list[Person]]:
        """Like :meth:`see` for each frame; some backends process all of them together."""
        ...


class Perception(Protocol):
    """A backend: loads its models once, then watches any number of clips, several at a time."""

    @property
    def name(self) -> str:
        """Name and version, e.g. ``blazepose-full/1``; part of the fingerprint."""
        ...

    @property
    def batch(self) -> int:
        """Best number of frames of one clip to process together; 1 if each depends on the one before."""
        ...

    def watch(self, *, live: bool = False) -> Watcher:
        """A new watcher for one clip, or for a live stream, whose frames must not wait for a long search."""
        ...


def heatmap_box(box: Array) -> Array:
    """The upright 3:4 box around a person's box, grown by 1.25: float32 (4,), x1, y1, x2, y2.

    This is the preprocessing of top-down pose networks (GaitHeat, section 3.1): the box is extended to 3:4 around its
    centre, then grown.
    """
    x1, y1, x2, y2 = box
    height = 1.25 * max(y2 - y1, (x2 - x1) * 4 / 3)
    half = np.array([height * 3 / 8, height / 2], np.float32)
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2], np.float32)
    return np.concatenate([centre - half, centre + half])


def shared_area(a: Array, b: Array) -> Array:
    """Area (...) that boxes (..., 4) share, shapes broadcast."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(-1))


def iou(a: Array, b: Array) -> Array:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    import supervision as sv  # slow to import

    return np.asarray(sv.box_iou_batch(a, b))
