"""Where the search looks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from gaitkeeper.pipelines.perception.scan import Scan, tiles

NOBODY = np.zeros((0, 4), np.float32)


def scene(height=480, width=640, seed=0):
    rng = np.random.default_rng(seed)
    return np.repeat(np.repeat(rng.integers(60, 190, (height // 8, width // 8, 3), np.uint8), 8, 0), 8, 1)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 854), (1920, 1080), (100, 80), (200, 1000)])
def test_tiles_cover_the_picture_half_overlapping(width, height):
    all_tiles = tiles(width, height)
    for side in {side for _, _, side in all_tiles}:
        covered = np.zeros((height, width), int)
        for x, y, s in all_tiles:
            if s == side:
                assert x >= 0 and y >= 0 and x + s <= width and y + s <= height
                covered[y : y + s, x : x + s] += 1
        assert covered.min() >= 1
        for starts in ({x for x, _, s in all_tiles if s == side}, {y for _, y, s in all_tiles if s == side}):
            assert (np.diff(sorted(starts)) <= side / 2 + 1).all()


def test_the_first_plan_is_everything_then_nothing_where_nothing_moves():
    scan = Scan()
    assert scan.plan(scene(), NOBODY)[0] == tiles(640, 480)
    chosen, boxes = scan.plan(scene(), NOBODY)
    assert chosen == [] and len(boxes) == 0


def test_motion_is_looked_at_and_boxed():
    scan = Scan()
    scan.plan(scene(), NOBODY)
    image = scene()
    image[200:320, 400:440] = 255
    chosen, boxes = scan.plan(image, NOBODY)
    assert chosen
    assert all(x < 440 and x + side > 400 and y < 320 and y + side > 200 for x, y, side in chosen)
    assert boxes[0] == pytest.approx([400, 200, 440, 320], abs=12)


def test_motion_of_somebody_known_is_no_news():
    scan = Scan()
    scan.plan(scene(), NOBODY)
    image = scene()
    image[200:320, 400:440] = 255
    chosen, boxes = scan.plan(image, np.array([[395, 195, 445, 325]], np.float32))
    assert chosen == [] and len(boxes) == 0


def test_the_place_that_somebody_known_left_is_no_news():
    scan = Scan()
    here, there = np.array([[395, 195, 445, 325]], np.float32), np.array([[95, 195, 145, 325]], np.float32)
    before, after = scene(), scene()
    before[200:320, 400:440] = 255
    after[200:320, 100:140] = 255
    scan.plan(before, here)
    chosen, boxes = scan.plan(after, there)
    assert chosen == [] and len(boxes) == 0


def test_a_moving_camera_takes_the_tiles_in_turn():
    scan = Scan()
    scan.plan(scene(), NOBODY)
    seen = []
    for i in range(1, 6):
        chosen, boxes = scan.plan(scene(seed=i), NOBODY)
        assert len(boxes) == 0
        assert 0 < len(chosen) <= len(tiles(640, 480)) / 2  # spread, not all at once
        seen += chosen
    assert sorted(seen) == sorted(tiles(640, 480))


def test_what_moves_all_the_time_is_not_looked_at_all_the_time():
    """A tree in the wind."""
    scan = Scan()
    scan.plan(scene(), NOBODY)
    looks: Counter[tuple[int, int, int]] = Counter()
    for i in range(12):
        image = scene()
        image[200:320, 400:440] = 255 if i % 2 else 0
        looks.update(scan.plan(image, NOBODY)[0])
    assert looks
    assert max(looks.values()) <= 4


def test_no_call_takes_more_than_the_budget():
    scan = Scan(budget=2)
    scan.plan(scene(), NOBODY)
    assert all(len(scan.plan(scene(seed=i), NOBODY)[0]) <= 2 for i in range(1, 8))
