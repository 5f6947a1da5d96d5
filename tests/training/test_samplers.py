"""Which walks and which frames make a batch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from gaitkeeper.training.config import BatchTable
from gaitkeeper.training.errors import BadTrainingConfig
from gaitkeeper.training.samplers import PKSampler, at_positions, frame_positions

SUBJECTS = [f"{person:03d}" for person in range(6) for _ in range(8)]
VIEWS = [f"{90 * (i % 4):03d}" for i in range(48)]


def sampler(**changes: object) -> PKSampler:
    return PKSampler(SUBJECTS, VIEWS, **{"people": 3, "takes": 4, "seed": 1, **changes})  # type: ignore[arg-type]


def test_a_batch_is_p_people_with_k_walks_each() -> None:
    for step in range(20):
        batch = sampler().batch(step)
        assert len(set(batch)) == 12
        assert [len({SUBJECTS[i] for i in batch[at : at + 4]}) for at in (0, 4, 8)] == [1, 1, 1]
        assert Counter(SUBJECTS[i] for i in batch).most_common()[-1][1] == 4


def test_batches_are_a_function_of_seed_and_step() -> None:
    first = [sampler().batch(step) for step in range(10)]
    assert [sampler().batch(step) for step in reversed(range(10))] == first[::-1]
    assert [sampler(seed=2).batch(step) for step in range(10)] != first
    assert len({tuple(batch) for batch in first}) == 10


def test_every_walk_comes_in_time() -> None:
    s = sampler()
    assert {i for step in range(100) for i in s.batch(step)} == set(range(48))


def test_by_view_gives_each_person_other_views_and_each_view_other_people() -> None:
    for step in range(20):
        batch = sampler(by_view=True, takes=2).batch(step)
        views = [[VIEWS[i] for i in batch[at : at + 2]] for at in (0, 2, 4)]
        assert views[0] == views[1] == views[2]
        assert views[0][0] != views[0][1]
    assert len({VIEWS[sampler(by_view=True, takes=2).batch(step)[0]] for step in range(20)}) == 4


def test_by_view_takes_a_view_twice_only_after_all_others() -> None:
    for step in range(20):
        batch = sampler(by_view=True, takes=6).batch(step)
        for at in (0, 6, 12):
            assert sorted(Counter(VIEWS[i] for i in batch[at : at + 6]).values()) == [1, 1, 2, 2]
            assert len(set(batch[at : at + 6])) == 6


def test_a_person_with_fewer_walks_than_takes_gives_each_before_any_twice() -> None:
    few = PKSampler(["a", "a", "b", "b", "b"], [""] * 5, people=2, takes=5)
    for step in range(10):
        counts = Counter(few.batch(step))
        assert sorted(counts.values()) == [1, 2, 2, 2, 3]


def test_fewer_people_than_a_batch_needs_is_an_error() -> None:
    with pytest.raises(BadTrainingConfig, match="7 people"):
        sampler(people=7)


def table(**changes: object) -> BatchTable:
    return BatchTable.model_validate({"people": 2, "takes": 2, **changes})


@pytest.mark.parametrize("length", [30, 35, 40, 200])
def test_ordered_frames_come_from_one_stretch(length: int) -> None:
    starts = set()
    for seed in range(50):
        positions = frame_positions(length, table(), np.random.default_rng(seed))
        assert positions.shape == (30,)
        assert (np.diff(positions) >= 1).all()
        assert np.array_equal(positions, np.rint(positions))
        assert positions[0] >= 0
        assert positions[-1] <= length - 1
        assert positions[-1] - positions[0] <= 39
        starts.add(positions[0])
    assert len(starts) > 1 or length == 30


@pytest.mark.parametrize("length", [1, 15, 29])
def test_short_walks_are_looped(length: int) -> None:
    positions = frame_positions(length, table(), np.random.default_rng(0)).astype(int)
    assert positions.shape == (30,)
    assert np.array_equal(np.diff(positions) % length, np.ones(29) % length)
    assert set(positions) == set(range(length))


def test_sets_are_unordered_and_repeat_only_where_they_must() -> None:
    positions = frame_positions(100, table(ordered=False), np.random.default_rng(0))
    assert len(set(positions)) == 30
    assert (np.diff(positions) < 0).any()
    assert np.ptp(positions) > 40
    short = frame_positions(20, table(ordered=False), np.random.default_rng(0))
    assert set(Counter(short).values()) == {1, 2}


def test_rate_jitter_changes_the_speed_a_little() -> None:
    speeds = []
    for seed in range(100):
        positions = frame_positions(200, table(window=[30, 30], rate_jitter=0.1), np.random.default_rng(seed))
        steps = np.diff(positions)
        assert np.allclose(steps, steps[0])
        assert positions.min() >= 0
        assert positions.max() <= 199
        speeds.append(steps[0])
    assert 0.9 <= min(speeds) < 0.93
    assert 1.07 < max(speeds) <= 1.1


@pytest.mark.parametrize("length", [3, 20, 60, 500])
def test_segments_are_spread_over_the_walk(length: int) -> None:
    for seed in range(20):
        segments = table(frames=32, window=[32, 40], segments=4, rate_jitter=0.1)
        positions = frame_positions(length, segments, np.random.default_rng(seed))
        assert positions.shape == (32,)
        assert positions.min() >= 0
        assert positions.max() <= length - 1
        if length >= 4 * 12:
            quarters = positions.reshape(4, 8) // (length / 4)
            assert np.array_equal(quarters.mean(axis=1).round(), range(4))


def test_pictures_are_taken_and_numbers_interpolated_between_frames() -> None:
    numbers = np.arange(5, dtype=np.float32).reshape(5, 1) * 10
    assert at_positions(numbers, np.array([0, 1.25, 4])).ravel().tolist() == [0, 12.5, 40]
    pictures = np.arange(5, dtype=np.uint8).reshape(5, 1) * 10
    assert at_positions(pictures, np.array([0, 1.25, 3.75, 4])).ravel().tolist() == [0, 10, 40, 40]


@pytest.mark.parametrize("length", [3, 6, 40, 200])
def test_cuts_are_stretches_of_any_length(length: int) -> None:
    cuts = [frame_positions(length, table(frames=60, shortest=6), np.random.default_rng(seed)) for seed in range(300)]
    assert all(np.array_equal(np.diff(cut), np.ones(len(cut) - 1)) for cut in cuts)
    assert min(cut[0] for cut in cuts) == 0
    assert max(cut[-1] for cut in cuts) == length - 1
    assert {len(cut) for cut in cuts} <= set(range(min(6, length), min(60, length) + 1))
    assert len({len(cut) for cut in cuts}) == 1 or np.ptp([len(cut) for cut in cuts]) > 30


@pytest.mark.parametrize("changes", [{"shortest": 31}, {"segments": 2}, {"rate_jitter": 0.1}, {"ordered": False}])
def test_cuts_are_not_mixed_with_other_ways_to_draw_frames(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="shortest is at most frames"):
        table(**{"shortest": 6, **changes})


OUTFITS = [f"outfit {i // 4 % 2}" for i in range(48)]


def test_takes_of_a_person_are_in_one_outfit_as_often_as_asked() -> None:
    def share(chance: float) -> float:
        s = sampler(outfits=OUTFITS, one_outfit=chance)
        drawn = [s.batch(step)[at : at + 4] for step in range(100) for at in (0, 4, 8)]
        return sum(len({OUTFITS[i] for i in takes}) == 1 for takes in drawn) / len(drawn)

    assert share(1.0) == 1
    assert share(0.5) == pytest.approx(0.5, abs=0.1)
    assert share(0.0) < 0.1
    with pytest.raises(ValidationError, match="by_view and one_outfit"):
        table(by_view=True, one_outfit=0.5)


def test_people_of_a_batch_are_of_like_build_as_often_as_asked() -> None:
    subjects = [f"{person:03d}" for person in range(60) for _ in range(2)]
    height = np.array([[float(s), 7.0] for s in subjects])  # the second number is the same for all

    def spread(chance: float) -> float:
        s = PKSampler(subjects, [""] * 120, people=4, takes=2, builds=height, alike=chance)
        batches = [s.batch(step) for step in range(100)]
        assert all(len({subjects[i] for i in batch}) == 4 for batch in batches)
        assert len({i for batch in batches for i in batch}) == 120
        return float(np.mean([np.ptp(height[batch, 0]) for batch in batches]))

    assert spread(1.0) <= 12
    assert spread(0.0) > 30
    assert spread(1.0) + 5 < spread(0.5) < spread(0.0) - 5
    with pytest.raises(BadTrainingConfig, match="body build"):
        PKSampler(subjects, [""] * 120, people=4, takes=2, alike=0.5)


def test_the_new_choices_leave_older_batches_as_they_were() -> None:
    plain = [sampler().batch(step) for step in range(5)]
    builds = np.array([[float(s)] for s in SUBJECTS])
    assert [sampler(outfits=OUTFITS, builds=builds).batch(step) for step in range(5)] == plain
