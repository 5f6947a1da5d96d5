"""The procedural gait: bodies hold together, feet stay put, people differ."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gaitkeeper.training.walkers.gait import Path, periodic, rest_joints, walk, walk_at
from gaitkeeper.training.walkers.person import Gait, Person, another_walk, draw_person
from gaitkeeper.training.walkers.skeleton import BONES, COCO17, INDEX, bone_frames, coco_joints, rotation

PEOPLE = [Person(), *(draw_person(seed) for seed in range(8))]
FPS = 100


def at(joints: Tensor, name: str) -> Tensor:
    return joints[:, INDEX[name]]


def speed(person: Person) -> float:
    return person.gait.stride * person.build.stature / person.gait.cycle_seconds


def one_cycle(person: Person, frames: int = 200) -> Tensor:
    return walk_at(person, torch.arange(frames) / frames * person.gait.cycle_seconds)


def bend(joints: Tensor, a: str, b: str, c: str) -> Tensor:
    """Bend at b in degrees, 0 for a straight limb."""
    upper, lower = at(joints, b) - at(joints, a), at(joints, c) - at(joints, b)
    return torch.rad2deg(torch.acos(torch.cosine_similarity(upper, lower, dim=-1).clamp(-1, 1)))


@pytest.mark.parametrize("person", PEOPLE, ids=lambda p: f"person{p.seed}")
def test_stance_feet_do_not_slide(person: Person) -> None:
    joints = walk(person, 3 * person.gait.cycle_seconds, FPS)
    cycles = torch.arange(len(joints)) / FPS / person.gait.cycle_seconds
    for side, strike in (("left", 0.0), ("right", 0.5 + person.gait.uneven_time)):
        parts = torch.stack([at(joints, f"{side}_{p}") for p in ("heel", "ball", "toe")], 1)
        stance = (cycles - strike) % 1 < person.gait.stance
        pairs = stance[1:] & stance[:-1]
        low = torch.maximum(parts[1:, :, 2], parts[:-1, :, 2])
        steps = (parts[1:, :, :2] - parts[:-1, :, :2]).norm(dim=-1)
        # The foot rolls over heel, ball and toe: from one frame to the next, one of them is on the floor and stays.
        still = torch.where(low < 0.005, steps, torch.inf).amin(1)[pairs]
        assert still.max() < 0.003
        flat = ((cycles - strike) % 1 > 0.08) & ((cycles - strike) % 1 < 0.30)
        pairs = flat[1:] & flat[:-1]
        assert steps[pairs].max() < 1e-4
        swing = ((cycles - strike) % 1 - person.gait.stance) / (1 - person.gait.stance)
        lifted = (swing > 0.2) & (swing < 0.8)
        assert parts[lifted][..., 2].min() > 0.005


@pytest.mark.parametrize("person", PEOPLE, ids=lambda p: f"person{p.seed}")
def test_nothing_goes_through_the_floor(person: Person) -> None:
    assert one_cycle(person)[..., 2].min() > -1e-3


@pytest.mark.parametrize("person", PEOPLE, ids=lambda p: f"person{p.seed}")
def test_limbs_keep_their_lengths(person: Person) -> None:
    joints, build = one_cycle(person), person.build
    for side in ("left", "right"):
        for a, b, share in (
            ("hip", "knee", build.thigh),
            ("knee", "ankle", build.shank),
            ("shoulder", "elbow", build.upper_arm),
            ("elbow", "wrist", build.forearm),
        ):
            length = (at(joints, f"{side}_{a}") - at(joints, f"{side}_{b}")).norm(dim=-1)
            torch.testing.assert_close(length, torch.full_like(length, share * build.stature), atol=1e-3, rtol=0)


@pytest.mark.parametrize("person", PEOPLE, ids=lambda p: f"person{p.seed}")
def test_knees_bend_forward_and_as_far_as_people_bend_them(person: Person) -> None:
    joints = one_cycle(person)
    for side in ("left", "right"):
        hip, knee, ankle = (at(joints, f"{side}_{j}") for j in ("hip", "knee", "ankle"))
        share = ((knee - hip) * (ankle - hip)).sum(-1, keepdim=True) / ((ankle - hip) ** 2).sum(-1, keepdim=True)
        assert (knee - (hip + share * (ankle - hip)))[:, 0].min() > 0
        flexion = bend(joints, f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        assert flexion.min() < 25  # stretched at some time
        assert 45 < flexion.max() < 80  # bent to let the foot pass


@pytest.mark.parametrize("person", PEOPLE, ids=lambda p: f"person{p.seed}")
def test_arms_swing_against_the_legs_of_their_side(person: Person) -> None:
    joints = one_cycle(person)
    for side in ("left", "right"):
        arm = (at(joints, f"{side}_wrist") - at(joints, f"{side}_shoulder"))[:, 0]
        leg = (at(joints, f"{side}_ankle") - at(joints, f"{side}_hip"))[:, 0]
        assert torch.corrcoef(torch.stack((arm, leg)))[0, 1] < -0.6


def test_walk_follows_its_path_at_its_speed() -> None:
    person = draw_person(3)
    joints = walk(person, 4 * person.gait.cycle_seconds, FPS, Path((2.0, -1.0), heading=math.pi / 2, phase=0.3))
    hips = at(joints, "pelvis")
    assert (hips[0, :2] - torch.tensor([2.0, -1.0])).norm() < 0.08
    gone = hips[-1, :2] - hips[0, :2]
    seconds = (len(joints) - 1) / FPS
    assert gone[1] / seconds == pytest.approx(speed(person), rel=0.02)
    assert abs(gone[0]) < 0.08
    assert (at(joints, "nose") - at(joints, "head"))[:, 1].min() > 0.05  # looks where they go


def test_phase_shifts_the_walk_in_time() -> None:
    person = Person()
    quarter = 0.25 * person.gait.cycle_seconds
    times = torch.arange(20) / 30
    later, shifted = walk_at(person, times + quarter), walk_at(person, times, Path(phase=0.25))
    ahead = torch.tensor([speed(person) * quarter, 0, 0])
    torch.testing.assert_close(later - ahead, shifted, atol=1e-4, rtol=0)


def test_walk_has_a_frame_for_every_time_and_may_be_empty() -> None:
    assert walk(Person(), 1.0, 30).shape == (30, len(INDEX), 3)
    assert walk_at(Person(), torch.zeros(0)).shape == (0, len(INDEX), 3)


def test_same_seed_same_person_and_walk() -> None:
    assert draw_person(7) == draw_person(7)
    assert torch.equal(walk(draw_person(7), 1, 30), walk(draw_person(7), 1, 30))


def test_people_differ_in_build_and_gait() -> None:
    people = [draw_person(seed) for seed in range(6)]
    assert len({person.build for person in people}) == len({person.gait for person in people}) == 6


def test_another_walk_is_the_same_body_and_nearly_the_same_gait() -> None:
    person = draw_person(0)
    again = another_walk(person, 1)
    assert again.build == person.build
    assert again.gait != person.gait
    assert again.gait != another_walk(person, 2).gait
    own, strange = (_apart(person.gait, other.gait) for other in (again, draw_person(1)))
    assert own < 0.3 * strange


def _apart(one: Gait, other: Gait) -> float:
    """Root mean square of the parameters' differences, each in the deviation among people."""
    many = np.array([list(asdict(draw_person(seed).gait).values()) for seed in range(50)])
    differences = np.subtract(list(asdict(one).values()), list(asdict(other).values())) / many.std(0)
    return float(np.sqrt(np.mean(differences**2)))


def test_bones_are_at_rest_at_rest() -> None:
    rest = rest_joints(Person())
    turns, moves = bone_frames(rest[None], rest)
    torch.testing.assert_close(turns, torch.eye(3).expand_as(turns), atol=1e-5, rtol=0)
    torch.testing.assert_close(moves, torch.zeros_like(moves), atol=1e-5, rtol=0)


def test_bones_turn_with_the_body() -> None:
    rest = rest_joints(Person())
    turn, move = rotation(2, torch.tensor(0.7)), torch.tensor([1.0, 2.0, 0.5])
    turns, moves = bone_frames((rest @ turn.T + move)[None], rest)
    torch.testing.assert_close(turns, turn.expand_as(turns), atol=1e-5, rtol=0)
    torch.testing.assert_close(moves, move.expand_as(moves), atol=1e-5, rtol=0)


def test_bones_carry_their_joints_into_the_pose() -> None:
    person = draw_person(4)
    rest, joints = rest_joints(person), one_cycle(person, 20)
    turns, moves = bone_frames(joints, rest)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(turns.shape[:2]), atol=1e-4, rtol=0)
    for bone, end in (("left_thigh", "left_knee"), ("right_shank", "right_ankle"), ("left_forearm", "left_wrist")):
        b = BONES.index(bone)
        moved = turns[:, b] @ rest[INDEX[end]] + moves[:, b]
        torch.testing.assert_close(moved, at(joints, end), atol=1e-3, rtol=0)


def test_coco_joints_know_left_from_right_and_front_from_back() -> None:
    joints = dict(zip(COCO17, coco_joints(rest_joints(Person())[None])[0], strict=True))
    for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        assert joints[f"left_{part}"][1] > 0 > joints[f"right_{part}"][1]
    assert joints["nose"][0] > joints["left_eye"][0] > joints["left_ear"][0]
    assert joints["left_eye"][2] > joints["nose"][2]


def test_periodic_goes_through_its_knots_and_never_beyond() -> None:
    knots, values = (0.0, 0.1, 0.4, 0.7), (1.0, 0.0, 0.0, -2.0)
    torch.testing.assert_close(periodic(knots, values, torch.tensor(knots).double()), torch.tensor(values).double())
    curve = periodic(knots, values, torch.linspace(0, 2, 401).double())
    assert curve.min() >= -2 and curve.max() <= 1
    torch.testing.assert_close(curve[:200], curve[200:400], atol=1e-5, rtol=0)
    flat = periodic(knots, values, torch.linspace(0.1, 0.4, 30).double())
    assert flat.abs().max() < 1e-6


def test_uneven_people_limp() -> None:
    person = Person()
    limping = replace(person, gait=replace(person.gait, uneven_step=0.03))

    def steps(p: Person) -> tuple[float, float]:
        joints = one_cycle(p)
        lead = at(joints, "left_heel")[:, 0] - at(joints, "right_heel")[:, 0]
        return float(lead.max()), float(-lead.min())

    even, uneven = steps(person), steps(limping)
    assert even[0] == pytest.approx(even[1], abs=0.005)
    assert uneven[0] - uneven[1] == pytest.approx(2 * 0.03 * person.build.stature, abs=0.01)
