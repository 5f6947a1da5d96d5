"""Colour histograms of a person's clothes: they tell two people of one clip apart, and are not kept after it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.perception import Person
from gaitkeeper.pipelines.shrink import shrink

Array = npt.NDArray[Any]

BINS = 8
WIDTH, HEIGHT = 24, 48
# Lightness over its whole range; the two colour axes over the range of clothes.
LOW, HIGH = np.array([0, 88, 88]), np.array([256, 168, 168])


def appearance(image: Array, person: Person) -> Array:
    """Colour histograms of the upper and the lower half of a person, float32 (2, 3, 8), each summing to 1.

    Args:
        image: the frame, RGB uint8 (H, W, 3).
        person: the person in the frame.

    Returns:
        Per half, the histograms of the three CIE Lab channels over the mask.
    """
    x1, y1, x2, y2 = (int(edge) for edge in person.box)
    part = shrink(image[y1 : y2 + 1, x1 : x2 + 1], WIDTH, HEIGHT)
    lab = cv2.cvtColor(part, cv2.COLOR_RGB2LAB)
    pixel = person.mask.shape[1] / (person.window[2] - person.window[0])
    left, top = (round(float(edge)) for edge in ((x1 - person.window[0]) * pixel, (y1 - person.window[1]) * pixel))
    right, bottom = left + max(1, round((x2 - x1) * pixel)), top + max(1, round((y2 - y1) * pixel))
    mask = person.mask[max(top, 0) : bottom, max(left, 0) : right]
    inside = cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) > 0.5
    out = np.zeros((2, 3, BINS), np.float32)
    bins = (np.clip(lab, LOW, HIGH - 1) - LOW) * BINS // (HIGH - LOW)
    for half, rows in enumerate((slice(0, HEIGHT // 2), slice(HEIGHT // 2, HEIGHT))):
        pixels = bins[rows][inside[rows]]
        for channel in range(3):
            counts = np.bincount(pixels[:, channel], minlength=BINS)
            out[half, channel] = counts / max(counts.sum(), 1)
    return out


def difference(a: Array, b: Array) -> float:
    """Mean Hellinger distance of two appearances, in [0, 1]."""
    overlap = np.sqrt(a * b).sum(-1)
    return float(np.sqrt(np.clip(1 - overlap, 0, 1)).mean())
