"""Headings, from boxes as a pinhole camera draws them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gaitkeeper.pipelines.heading import Heading, heading_of
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.walk_quality import Quality

WAYS = ["towards", "towards_left", "left", "away_left", "away", "away_right", "right", "towards_right"]


def walk(degrees, speed=1.3, distance=8.0, frames=45, noise=0.0):
    """A walker of 1.7 m who passes ``distance`` metres ahead of the camera; 0 degrees comes to it, 90 goes left."""
    rng = np.random.default_rng(int(degrees))
    times = np.arange(frames) / 30
    way = speed * (times - times.mean())
    x, z = -way * np.sin(np.radians(degrees)), distance - way * np.cos(np.radians(degrees))
    height, centre = 1000 * 1.7 / z, 960 + 1000 * x / z
    boxes = np.stack([centre - height / 4, 500 - height / 2, centre + height / 4, 500 + height / 2], 1)
    return GaitSequence(
        silhouettes=np.zeros((frames, 64, 64), np.uint8),
        joints=np.zeros((frames, 17, 3), np.float32),
        heatmaps=None,
        timestamps=times,
        boxes=(boxes + noise * height[:, None] * rng.normal(size=boxes.shape)).astype(np.float32),
        quality=Quality(frames, {}, 0.9, 0.95, 0.0, 1.5, 30.0, False),
        track=1,
        perception="blazepose-full/1",
        frame_size=(1920, 1080),
    )


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("speed", [1.0, 1.3, 1.6])
@pytest.mark.parametrize(("number", "expected"), list(enumerate(WAYS)))
def test_all_ways_are_told_apart(number, expected, speed, noise):
    assert heading_of(walk(45 * number, speed, noise=noise)) == expected


@pytest.mark.parametrize("distance", [4.0, 8.0, 15.0])
def test_a_slow_walker_across_is_not_taken_for_one_who_comes(distance):
    assert heading_of(walk(90, 0.9, distance)) is Heading.LEFT
    assert heading_of(walk(270, 0.9, distance)) is Heading.RIGHT


def test_somebody_on_a_treadmill_stays():
    assert heading_of(walk(0, 0.0)) is Heading.STILL


def test_a_glimpse_has_no_heading():
    assert heading_of(walk(90, frames=4)) is None


def test_times_need_not_be_even():
    seq = walk(90)
    keep = np.flatnonzero(np.arange(len(seq)) % 7 != 0)
    fewer = replace(
        seq,
        **{name: getattr(seq, name)[keep] for name in ("silhouettes", "joints", "timestamps", "boxes")},
    )
    assert heading_of(fewer) is Heading.LEFT
