"""Normalisation of masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gaitkeeper.pipelines.silhouette import mask_area, silhouette


def ellipse(height: int, width: int, cx: float, cy: float, ry: float, rx: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1).astype(np.float32)


@pytest.mark.parametrize(("ry", "rx"), [(20, 8), (60, 20), (110, 40)])
def test_fills_the_height_and_is_centred(ry, rx):
    out = silhouette(ellipse(256, 256, 100, 130, ry, rx))
    assert out.dtype == np.uint8 and out.shape == (64, 64) and set(np.unique(out)) == {0, 255}
    rows = np.flatnonzero(out.any(1))
    assert (rows[0], rows[-1]) == (0, 63)
    mass = (out > 0).sum(0)
    assert (mass * (np.arange(64) + 0.5)).sum() / mass.sum() == pytest.approx(32, abs=0.75)
    assert mass.max() == 64
    assert (mass > 0).sum() == pytest.approx(64 * rx / ry, abs=2)


def test_place_and_size_in_the_mask_do_not_matter():
    near = silhouette(ellipse(300, 200, 90, 150, 120, 45))
    for scale, shift in ((0.5, 0), (0.7, 20)):
        small = cv2.warpAffine(
            ellipse(300, 200, 90, 150, 120, 45), np.float32([[scale, 0, shift], [0, scale, shift]]), (200, 300)
        )
        assert (silhouette(small) != near).mean() < 0.01


def test_mass_decides_the_centre_not_the_box():
    mask = np.zeros((128, 128), np.float32)
    mask[10:110, 60:70] = 1  # a body
    mask[50:54, 70:100] = 1  # and an arm stretched far out
    out = silhouette(mask) > 0
    body = np.flatnonzero(out.sum(0) > 50)
    assert abs(body.mean() - 32) < 3


def test_wide_masks_are_cut_at_the_sides():
    out = silhouette(ellipse(64, 256, 128, 32, 20, 100))
    assert out.shape == (64, 64) and out[32].all()


def test_nothing_gives_nothing():
    assert silhouette(np.zeros((64, 64), np.float32)) is None


def test_mask_area_counts_clip_pixels():
    mask = np.zeros((10, 10), np.float32)
    mask[2:4, 2:7] = 0.9
    assert mask_area(mask, 2.0) == 40
