"""Stages side by side: order, errors, threads that end, and how busy each stage is."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from gaitkeeper.pipelines.stages import Stage, ahead, metered


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def numbers(count, closed=None):
    try:
        yield from range(1, count + 1)
    finally:
        if closed is not None:
            closed.append(True)


def test_a_stage_counts_the_time_in_which_it_is_at_work_once():
    clock = Clock()
    stage = Stage("perception", clock)
    clock.now += 10
    with stage.working():
        clock.now += 2
        with stage.working():  # another clip in the same stage
            clock.now += 1
        clock.now += 2
    clock.now += 5
    assert stage.busy_seconds == pytest.approx(5)
    assert stage.occupancy == pytest.approx(5 / 20)


def test_occupancy_is_of_the_last_half_minute_and_counts_what_is_still_going_on():
    clock = Clock()
    stage = Stage("network", clock)
    with stage.working():
        clock.now += 60
        assert stage.occupancy == pytest.approx(1) and stage.busy_seconds == pytest.approx(60)
    clock.now += 15
    assert stage.occupancy == pytest.approx(0.5)
    clock.now += 100
    assert stage.occupancy == 0
    with stage.working():
        clock.now += 3
    assert stage.occupancy == pytest.approx(0.1)
    assert stage.busy_seconds == pytest.approx(63)


def test_short_work_at_a_steady_rate_is_its_share():
    clock = Clock()
    stage = Stage("tracking", clock)
    for _ in range(3000):
        with stage.working():
            clock.now += 0.01
        clock.now += 0.03
    assert stage.occupancy == pytest.approx(0.25, abs=0.01)
    assert len(stage._samples) < 40


def test_items_come_in_order_and_no_more_are_made_than_may_wait():
    stage, made = Stage("perception"), []

    def counted():
        for number in numbers(12):
            made.append(number)
            yield number

    with closing(ahead(counted(), 3, stage)) as stream:
        assert next(stream) == 1
        deadline = time.monotonic() + 60
        while stage.waiting < 4 and time.monotonic() < deadline:  # three, and the one that finds no room
            time.sleep(0.005)
        assert stage.waiting == 4 and made == [1, 2, 3, 4, 5]
        assert list(stream) == list(range(2, 13))
    assert stage.waiting == 0


def test_an_error_comes_out_behind_what_was_made_before_it():
    stage, seen, closed = Stage("perception"), [], []

    def failing():
        yield from numbers(2, closed)
        raise ValueError("the third cannot be made")

    with pytest.raises(ValueError, match="third"):
        seen.extend(ahead(failing(), 3, stage))
    assert seen == [1, 2] and closed == [True] and stage.waiting == 0


def test_stages_in_a_row_all_end_when_the_reader_leaves():
    before, closed = threading.active_count(), []
    first, second = Stage("perception"), Stage("tracking")
    spent = {"decode": 0.0}
    decoded = metered(numbers(1000, closed), Stage("decode"), spent)

    def doubled(stream):
        with closing(stream):
            for number in stream:
                yield 2 * number

    with closing(ahead(doubled(ahead(decoded, 3, first)), 3, second)) as stream:
        assert next(stream) == 2
    assert threading.active_count() == before and closed == [True]
    assert first.waiting == second.waiting == 0 and spent["decode"] > 0
