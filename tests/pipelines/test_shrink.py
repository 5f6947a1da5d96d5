"""Pictures made smaller."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gaitkeeper.pipelines.shrink import shrink


def smooth(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    plane = 120 + 80 * np.sin(rows / 37) * np.cos(columns / 29)
    return np.stack([plane, 255 - plane, plane / 2], -1).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(900, 901), (512, 1024), (255, 300), (64, 40), (3, 1)])
def test_it_is_the_mean_of_the_area(height, width):
    image = smooth(height, width)
    small = shrink(image, 100, 90)
    assert small.shape == (90, 100, 3)
    plain = cv2.resize(image, (100, 90), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - plain).max() <= 6
    assert np.abs(small.astype(int) - plain).mean() < 1.5


def test_exact_halves_are_means_of_four():
    image = np.array([[0, 4, 8, 8], [4, 8, 8, 8]], np.uint8)
    assert shrink(image, 2, 1).tolist() == [[4, 8]]
