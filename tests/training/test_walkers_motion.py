"""Gait cycles made of angles, measured or drawn: bodies hold together, feet stay put, people differ."""

from __future__ import annotations

import math
from pathlib import Path as File

import numpy as np
import pytest
import torch
from torch import Tensor

from gaitkeeper.training.datasets.partition import load_partition
from gaitkeeper.training.errors import BadDataset, NoClearGait
from gaitkeeper.training.walkers.gait import Path, rest_joints
from gaitkeeper.training.walkers.gait_cycle import CURVES, PHASES, GaitCycle, Motion, assemble, basis, walk_cycle
from gaitkeeper.training.walkers.gait_model import LIMIT, SHIPPED, GaitModel
from gaitkeeper.training.walkers.kinect_motion import kinect_cycles, measure
from gaitkeeper.training.walkers.person import Person
from gaitkeeper.training.walkers.skeleton import INDEX, JOINTS, bone_frames

PARTITION = "kinect_75_15_50"


@pytest.fixture(scope="module")
def model() -> GaitModel:
    return GaitModel.load()


@pytest.fixture(scope="module")
def drawn(model: GaitModel) -> list[GaitCycle]:
    rng = np.random.default_rng(5)
    return [model.draw_walk(model.draw_person(rng), rng) for _ in range(60)]


def at(joints: Tensor, name: str) -> Tensor:
    return joints[..., INDEX[name], :]


def test_people_are_divided_once_and_completely() -> None:
    parts = load_partition(PARTITION).parts
    train, calibrate, test = (parts[p].names for p in ("train", "calibrate", "test"))  # type: ignore[union-attr]
    assert (len(train), len(calibrate), len(test)) == (75, 15, 50)
    assert len(train | calibrate | test) == 140


def test_the_division_is_the_seeded_shuffle_of_all_people(shared_data: File) -> None:
    from gaitkeeper.training.datasets import open_dataset

    people = open_dataset("kinect", shared_data / "kinect-gait").subjects
    shuffled = [people[i] for i in np.random.default_rng(0).permutation(len(people))]
    parts = load_partition(PARTITION).parts
    for part, names in (("train", shuffled[:75]), ("calibrate", shuffled[75:90]), ("test", shuffled[90:])):
        people_of = parts[part]
        assert people_of is not None
        assert people_of.names == set(names)


def test_the_shipped_model_rests_on_the_training_people_alone(model: GaitModel) -> None:
    train = load_partition(PARTITION).parts["train"]
    assert train is not None
    assert set(model.people) == train.names
    assert SHIPPED.stat().st_size < 300_000


def test_drawn_bodies_stand_on_the_floor_and_hold_together(drawn: list[GaitCycle]) -> None:
    for cycle in drawn:
        joints, build = cycle.joints, cycle.build
        assert joints.shape == (PHASES, len(JOINTS), 3)
        assert joints.dtype == torch.float32
        assert joints.isfinite().all()
        assert -1e-3 < float(joints[..., 2].min()) < 0.01
        assert at(joints, "pelvis")[:, :2].mean(0).abs().max() < 0.01
        lowest = joints[..., 2].amin(1)
        assert lowest.max() < 0.03  # one foot or the other is always down
        for side in ("left", "right"):
            for a, b, share in (
                ("hip", "knee", build.thigh),
                ("knee", "ankle", build.shank),
                ("shoulder", "elbow", build.upper_arm),
                ("elbow", "wrist", build.forearm),
            ):
                length = (at(joints, f"{side}_{a}") - at(joints, f"{side}_{b}")).norm(dim=-1)
                torch.testing.assert_close(length, torch.full_like(length, share * build.stature), atol=2e-3, rtol=0)


def test_drawn_knees_bend_forward_alone(drawn: list[GaitCycle]) -> None:
    for cycle in drawn:
        for side in ("left", "right"):
            hip, knee, ankle = (at(cycle.joints, f"{side}_{j}") for j in ("hip", "knee", "ankle"))
            share = ((knee - hip) * (ankle - hip)).sum(-1, keepdim=True) / ((ankle - hip) ** 2).sum(-1, keepdim=True)
            assert (knee - (hip + share * (ankle - hip)))[:, 0].min() > 0


def test_planted_feet_do_not_slide(drawn: list[GaitCycle]) -> None:
    for cycle in drawn:
        flat = slice(4, 9)  # phases 0.125 to 0.25 of the left foot, 16 later the right one's
        for side, shift in (("left", 0), ("right", 16)):
            joints = cycle.joints.roll(-shift, 0)[flat]
            for part in ("heel", "ball"):
                way = at(joints, f"{side}_{part}")[:, 0].diff()
                torch.testing.assert_close(way, torch.full_like(way, -cycle.stride / PHASES), atol=2e-4, rtol=0)


def test_drawn_people_walk_as_people_do(drawn: list[GaitCycle]) -> None:
    stature = np.array([c.build.stature for c in drawn])
    assert 1.6 < np.median(stature) < 1.8
    assert stature.min() > 1.35 and stature.max() < 2.15
    stride = np.array([c.stride for c in drawn]) / stature
    assert 0.70 < np.median(stride) < 0.85
    assert stride.min() > 0.45
    assert min(c.seconds for c in drawn) > 0.9 and max(c.seconds for c in drawn) < 1.7


def test_the_same_seed_draws_the_same_person_and_another_another(model: GaitModel) -> None:
    def cycle(seed: int) -> GaitCycle:
        rng = np.random.default_rng(seed)
        return model.draw_walk(model.draw_person(rng), rng)

    assert torch.equal(cycle(1).joints, cycle(1).joints)
    assert not torch.allclose(cycle(1).joints, cycle(2).joints, atol=0.02)


def test_walks_of_one_person_share_bones_and_differ_less_than_people(model: GaitModel) -> None:
    rng = np.random.default_rng(9)
    people = [model.draw_person(rng) for _ in range(20)]
    walks = [[model.draw_walk(person, rng) for _ in range(3)] for person in people]
    assert all(w.build == person.person.build for person, theirs in zip(people, walks, strict=True) for w in theirs)
    shape = torch.stack([torch.stack([w.joints / w.build.stature for w in theirs]) for theirs in walks])
    within = shape.var(1).mean()
    between = shape.mean(1).var(0).mean()
    assert between > 2 * within


def test_draws_end(model: GaitModel) -> None:
    rng = np.random.default_rng(0)
    scores = np.stack([model.draw_person(rng).scores for _ in range(400)])
    assert np.abs(scores / model.between).max() <= LIMIT
    np.testing.assert_allclose(scores.std(0) / model.between, 1, atol=0.15)


def test_walk_cycle_goes_through_the_cycle_and_along_the_path(drawn: list[GaitCycle]) -> None:
    cycle = drawn[0]
    times = torch.arange(2 * PHASES + 1, dtype=torch.float64) / PHASES * cycle.seconds
    joints = walk_cycle(cycle, times)
    torch.testing.assert_close(joints[0], cycle.joints[0], atol=1e-4, rtol=0)
    later = cycle.joints[5] + torch.tensor([cycle.stride * (1 + 5 / PHASES), 0, 0])
    torch.testing.assert_close(joints[PHASES + 5], later, atol=1e-3, rtol=0)

    turned = walk_cycle(cycle, times, Path((2.0, -1.0), heading=math.pi / 2, phase=0.25))
    assert (at(turned, "pelvis")[0, :2] - torch.tensor([2.0, -1.0])).norm() < 0.08
    gone = (at(turned, "pelvis")[-1] - at(turned, "pelvis")[0])[:2]
    torch.testing.assert_close(gone, torch.tensor([0.0, 2 * cycle.stride]), atol=1e-3, rtol=0)
    assert walk_cycle(cycle, torch.zeros(0)).shape == (0, len(JOINTS), 3)


def test_walk_cycle_is_smooth_between_its_phases(drawn: list[GaitCycle]) -> None:
    cycle = drawn[1]
    times = torch.arange(400, dtype=torch.float64) / 200 * cycle.seconds
    joints = walk_cycle(cycle, times)
    speed = joints.diff(dim=0).norm(dim=-1) * 200 / cycle.seconds
    assert speed.max() < 8  # m/s; a swinging foot does four
    assert joints[..., 2].min() > -0.008
    # A planted foot's flat phase is walked without sliding at any time.
    phase = torch.arange(400) / 200 % 1
    flat = (phase > 0.15) & (phase < 0.25)
    heel = at(joints, "left_heel")[flat & (torch.arange(400) < 200)]
    assert (heel[:, :2] - heel[0, :2]).norm(dim=-1).max() < 2e-3


def test_bones_of_a_cycle_fit_the_body_of_its_build(drawn: list[GaitCycle]) -> None:
    cycle = drawn[2]
    rest = rest_joints(Person(build=cycle.build))
    turns, moves = bone_frames(cycle.joints, rest)
    assert turns.isfinite().all()
    carried = turns[:, 0] @ rest[INDEX["left_hip"]] + moves[:, 0]
    torch.testing.assert_close(carried, at(cycle.joints, "left_hip"), atol=5e-3, rtol=0)


def test_a_mirrored_motion_is_the_mirrored_walk() -> None:
    still = {name: np.zeros(1 + 2 * count) for name, count in CURVES.items()}
    still["thigh"][:2], still["knee"][:3] = (0.09, 0.3), (0.35, -0.15, -0.25)
    left = {**still, "left_arm": np.array([0.3, -0.4, 0, 0, 0, 0, 0])}
    right = {**still, "right_arm": np.array([0.3, -0.4, 0, 0, 0, 0, 0])}
    a, b = (assemble(Motion(curves, 1.1), Person()).joints for curves in (left, right))
    mirrored = b.roll(PHASES // 2, 0) * torch.tensor([1.0, -1.0, 1.0])
    torch.testing.assert_close(at(a, "left_wrist"), at(mirrored, "right_wrist"), atol=1e-4, rtol=0)
    assert not torch.allclose(at(a, "left_wrist"), at(a, "right_wrist").roll(PHASES // 2, 0), atol=0.05)


def test_a_longer_swing_of_the_thighs_is_a_longer_stride() -> None:
    def stride(swing: float) -> float:
        curves = {name: np.zeros(1 + 2 * count) for name, count in CURVES.items()}
        curves["thigh"][:2], curves["knee"][:3] = (0.09, swing), (0.35, -0.15, -0.25)
        return assemble(Motion(curves, 1.1), Person()).stride

    assert stride(0.26) < stride(0.32) < stride(0.38)


def kinect_walk(seconds: float = 16.0, seed: int = 0) -> np.ndarray:
    """A walker of known angles as the sensor has them: there and back past it, 30 Hz, noise of 8 mm."""
    rng = np.random.default_rng(seed)
    frames = round(30 * seconds)
    phase = np.arange(frames) / 30 / 1.1
    thigh, knee = 0.08 + 0.3 * np.cos(2 * np.pi * phase), 0.35 - 0.3 * np.cos(2 * np.pi * phase + 0.9)
    other = 0.08 - 0.3 * np.cos(2 * np.pi * phase), 0.35 + 0.3 * np.cos(2 * np.pi * phase + 0.9)
    body = np.zeros((frames, 20, 3))

    def put(joint: int, base: int, length: float, angle: np.ndarray, aside: float = 0.0) -> None:
        body[:, joint] = body[:, base] + np.stack(
            (length * np.sin(angle), np.full(frames, aside), -length * np.cos(angle)), -1
        )

    up = np.full(frames, np.pi)
    for joint, base, length in ((1, 11, 0.54), (10, 11, 0.1), (0, 1, 0.18)):
        put(joint, base, length, up)
    for side, (a, b) in ((0, other), (1, (thigh, knee))):
        sign = 1 if side else -1
        put(2 + side, 1, 0.05, up * 0, sign * 0.17)
        put(4 + side, 2 + side, 0.28, -0.5 * (a - 0.08), sign * 0.03)
        put(6 + side, 4 + side, 0.24, -0.5 * (a - 0.08) + 0.4)
        put(8 + side, 6 + side, 0.08, up * 0)
        put(12 + side, 11, 0.05, up * 0, sign * 0.06)
        put(14 + side, 12 + side, 0.48, a)
        put(16 + side, 14 + side, 0.41, a - b)
        put(18 + side, 16 + side, 0.1, up / 2)
    heading = np.where(np.arange(frames) < frames / 2, 0.0, np.pi)
    c, s = np.cos(heading)[:, None], np.sin(heading)[:, None]
    x, y = c * body[..., 0] - s * body[..., 1], s * body[..., 0] + c * body[..., 1] - 2.3
    out = np.stack((x, body[..., 2] + 0.2, -y), -1) + rng.normal(0, 0.008, (frames, 20, 3))
    return out.astype(np.float32)


def test_measuring_finds_the_angles_that_were_walked() -> None:
    found = measure(kinect_walk())
    assert found.seconds == pytest.approx(1.1, abs=0.02)
    assert found.cycles > 8
    phases = np.arange(PHASES) / PHASES
    thigh = basis(phases, CURVES["thigh"]) @ found.curves["thigh"]
    # Phase counts from the ankles' widest distance, which is somewhere before the thigh's: compare sizes and means.
    assert np.ptp(thigh) / 2 == pytest.approx(0.3, abs=0.03)
    assert found.curves["thigh"][0] == pytest.approx(0.08, abs=0.02)
    assert found.curves["knee"][0] == pytest.approx(0.35, abs=0.03)
    np.testing.assert_allclose(found.bones, (0.48, 0.41, 0.282, 0.242, 0.54, 0.18), atol=0.015)


def test_bad_frames_do_not_count() -> None:
    walk = kinect_walk()
    broken = walk.copy()
    broken[::11, 14:18] += 0.3  # knees and ankles elsewhere, every third of a second
    clean, repaired = measure(walk), measure(broken)
    for name in ("thigh", "knee"):
        np.testing.assert_allclose(repaired.curves[name], clean.curves[name], atol=0.06)


def test_a_walk_too_short_is_refused_with_its_reason() -> None:
    with pytest.raises(NoClearGait, match=r"A walk of 45 frames has .* clean gait cycles"):
        kinect_cycles(kinect_walk(1.5))
    with pytest.raises(NoClearGait):
        kinect_cycles(np.zeros((300, 20, 3), np.float32))


def test_a_model_is_saved_and_loaded_equal(model: GaitModel, tmp_path: File) -> None:
    model.save(tmp_path / "a.npz")
    again = GaitModel.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.components, model.components)
    assert again.people == model.people
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_what_is_no_model_is_refused(tmp_path: File) -> None:
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    for name in ("text.npz", "other.npz", "absent.npz"):
        with pytest.raises(BadDataset, match="is not a gait model"):
            GaitModel.load(tmp_path / name)
