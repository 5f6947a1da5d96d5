"""Convert masks to person-centred silhouettes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SIDE = 64


def silhouette(mask: Array) -> Array | None:
    """One normalised silhouette: cropped to the person's height, 64 rows high, centred on the mass centre's column.

    Args:
        mask: float32 (h, w), probability of the person in square pixels.

    Returns:
        uint8 (64, 64), 0 or 255; None if the mask is empty.
    """
    solid = mask > 0.5
    rows = np.flatnonzero(solid.any(1))
    columns = np.flatnonzero(solid.any(0))
    if not len(rows):
        return None
    person = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = max(1, round(person.shape[1] * SIDE / person.shape[0]))
    # Scale the probabilities before the threshold: scaling a binary mask would break thin limbs.
    way = cv2.INTER_AREA if person.shape[0] > SIDE else cv2.INTER_LINEAR
    scaled = cv2.resize(person, (width, SIDE), interpolation=way) > 0.5
    mass = scaled.sum(0)
    if not mass.any():
        return None
    centre = round(float((mass * (np.arange(width) + 0.5)).sum() / mass.sum()))
    out = np.zeros((SIDE, SIDE), np.uint8)
    left = SIDE // 2 - centre
    low, high = max(left, 0), min(left + width, SIDE)
    out[:, low:high] = scaled[:, low - left : high - left] * np.uint8(255)
    return out


def mask_area(mask: Array, pixel: float) -> float:
    """Area of the mask in square pixels of the clip; ``pixel`` is the side of a mask pixel in clip pixels."""
    return float((mask > 0.5).sum()) * pixel * pixel
