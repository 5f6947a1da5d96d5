"""Make pictures smaller, quickly."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def shrink(image: Array, width: int, height: int) -> Array:
    """A picture (H, W) or (H, W, C), resized by area averaging; also larger, as ``cv2.INTER_AREA`` does it.

    It is halved first as often as its sides are even and long enough: OpenCV averages blocks of 2 × 2 pixels several
    times as fast as others.
    """
    while (
        image.shape[0] >= 2 * height and image.shape[1] >= 2 * width and not (image.shape[0] % 2 or image.shape[1] % 2)
    ):
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
