"""The skeleton maps of SkeletonGait++, against a plain drawing as its publication describes it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from conftest import joints

from gaitkeeper.models import build
from gaitkeeper.models.skeletongaitpp import LIMBS, skeleton_maps, skeletongaitpp_outdoor


def drawn(frame: np.ndarray) -> np.ndarray:
    """Limbs and joints of a frame (17, 3), pixel by pixel on 128 × 128, as bytes, cut and scaled: (2, 64, 44)."""
    points, score = frame[:, :2].astype(np.float64), frame[:, 2]
    points = points * 85 / (points[:, 1].max() - points[:, 1].min()) + 64
    y, x = np.mgrid[:128, :128].astype(np.float64)
    limbs, dots = np.zeros((128, 128)), np.zeros((128, 128))
    for (px, py), s in zip(points, score, strict=True):
        bell = s * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 128)
        bell[(abs(x - px) > 24) | (abs(y - py) > 24)] = 0
        dots = np.maximum(dots, bell)
    for a, b in LIMBS:
        way = points[b] - points[a]
        share = ((x - points[a, 0]) * way[0] + (y - points[a, 1]) * way[1]) / max(way @ way, 1e-9)
        share = np.clip(share, 0, 1)
        squares = (x - points[a, 0] - share * way[0]) ** 2 + (y - points[a, 1] - share * way[1]) ** 2
        line = min(score[a], score[b]) * np.exp(-squares / 128)
        low, high = np.minimum(points[a], points[b]) - 24, np.maximum(points[a], points[b]) + 24
        line[(x < low[0]) | (x > high[0]) | (y < low[1]) | (y > high[1])] = 0
        limbs = np.maximum(limbs, line)
    out = []
    for picture in (limbs, dots):
        grey = np.minimum(picture * 256, 255).astype(np.uint8)
        filled = np.flatnonzero(grey.sum(axis=1))
        top, bottom = filled[0], filled[-1]
        half = (bottom - top + 1) // 2
        cut = grey[top : bottom + 1, 64 - half : 64 + half + 1].astype(np.float32) / 255
        out.append(cv2.resize(cut, (64, 64), interpolation=cv2.INTER_AREA)[:, 10:54])
    return np.stack(out)


@pytest.mark.parametrize("off_centre", [False, True])
def test_maps_are_those_of_a_plain_drawing(off_centre: bool) -> None:
    frames = joints(2, 4, torch.Generator().manual_seed(0)).flatten(0, 1)
    frames[..., 2] = frames[..., 2] * 0.5 + 0.5
    if off_centre:  # a head far from the hips, or far to the left, so that the picture is cut otherwise
        frames[..., 1] -= torch.linspace(-1, 2, len(frames))[:, None]
        frames[..., 0] += torch.linspace(-0.5, 0.5, len(frames))[:, None]
    maps = skeleton_maps(frames).numpy()
    assert maps.shape == (8, 2, 64, 44)
    expected = np.stack([drawn(frame) for frame in frames.numpy()])
    assert expected.max() > 0.6
    difference = np.abs(maps - expected)
    assert difference.mean() < 0.01
    assert difference.max() < 0.1  # a cut that is a row of 128 higher or lower


def test_a_frame_without_joints_is_black_and_finite() -> None:
    maps = skeleton_maps(torch.zeros(2, 17, 3))
    assert torch.equal(maps, torch.zeros(2, 2, 64, 44))


def test_the_size_of_the_person_does_not_matter() -> None:
    frames = joints(1, 3, torch.Generator().manual_seed(1))[0]
    larger = torch.cat([frames[..., :2] * 3, frames[..., 2:]], dim=-1)
    torch.testing.assert_close(skeleton_maps(larger), skeleton_maps(frames), rtol=1e-4, atol=1e-4)


def test_the_builder_for_outdoor_data_has_the_deep_stages() -> None:
    net = skeletongaitpp_outdoor(channels=(16, 16, 16, 16), embed_dim=8)
    assert (net.config.blocks, net.out_shape) == ((1, 4, 4, 1), (16, 8))
    assert len(net.blocks) == 9
    assert build("skeletongaitpp", channels=(16, 16, 16, 16)).config.blocks == (1, 1, 1, 1)
