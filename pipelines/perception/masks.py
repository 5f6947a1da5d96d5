"""Position and confidence of a person, from the mask."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Window = tuple[float, float, float, float]


def main_part(mask: Array, points: Array) -> Array:
    """The connected part of the mask with the most joints, without parts of other people.

    Args:
        mask: float32 (h, w).
        points: (J, 2); x, y of the joints in pixels of the mask.
    """
    solid = (mask > 0.5).view(np.uint8)
    if len(cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]) <= 1:
        return mask  # counting outlines takes a tenth of the time of labelling
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid)
    if count <= 2:
        return mask
    inside = np.clip(points.round().astype(int), 0, np.array(mask.shape[::-1]) - 1)
    votes = np.bincount(labels[inside[:, 1], inside[:, 0]], minlength=count).astype(float)
    votes += stats[:, cv2.CC_STAT_AREA] / mask.size
    votes[0] = -1
    return np.where((labels == votes.argmax()) | (labels == 0), mask, 0).astype(np.float32)


def mask_box(mask: Array, window: Window, size: tuple[int, int]) -> Array | None:
    """The mask's box float32 (4,) in pixels of the clip, within the picture; None if the mask is nearly empty.

    Args:
        mask: float32 (h, w) over the window.
        window: x1, y1, x2, y2 in pixels of the clip.
        size: rows and columns of the picture.
    """
    solid = mask > 0.5
    if solid.sum() < 0.01 * mask.size:
        return None
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    x1, y1, x2, _ = window
    pixel = (x2 - x1) / mask.shape[1]
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) * pixel + (x1, y1, x1, y1)
    box = np.clip(box, 0, (size[1], size[0], size[1], size[0])).astype(np.float32)
    return box if box[2] > box[0] + 1 and box[3] > box[1] + 1 else None


def certainty(mask: Array, peaks: float) -> float:
    """Confidence in [0, 1] that a mask shows a person.

    It combines the mean probability inside the mask and the mean peak of the joints' heatmaps: walls score low on both.
    """
    return float(mask[mask > 0.25].mean()) * min(1.0, peaks / 0.6)
