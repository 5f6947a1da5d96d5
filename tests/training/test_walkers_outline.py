"""Silhouettes, joints and boxes straight from 3D joints."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from gaitkeeper.pipelines.silhouette import silhouette
from gaitkeeper.training.bodies.camera import Camera
from gaitkeeper.training.walkers.anthropometry import Shape, draw_shapes
from gaitkeeper.training.walkers.clothing import Dress, draw_dress, hold_phone
from gaitkeeper.training.walkers.gait import walk
from gaitkeeper.training.walkers.outline import Outline, frames, outline
from gaitkeeper.training.walkers.person import draw_person
from gaitkeeper.training.walkers.silhouettes import Seen, render
from gaitkeeper.training.walkers.skeleton import INDEX, coco_joints
from gaitkeeper.training.walkers.views import AZIMUTHS, Views, draw_views, fixed_views, look, place

PEOPLE, FRAMES = 4, 6
Scene = tuple[torch.Tensor, Shape, Dress, Views]


@pytest.fixture(scope="module")
def joints() -> torch.Tensor:
    return torch.stack([walk(draw_person(i), FRAMES / 6, 6) for i in range(PEOPLE)])


def scene(joints: torch.Tensor, seed: int = 0, condition: str = "nm") -> Scene:
    rng = np.random.default_rng(seed)
    shape = draw_shapes([draw_person(i).build for i in range(len(joints))], rng)
    base = draw_dress("nm", len(joints), rng)
    dress = draw_dress(condition, len(joints), rng, base)  # type: ignore[arg-type]
    return joints, shape, dress, draw_views(len(joints), rng, 90.0)


def equal(a: Seen, b: Seen) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("silhouettes", "joints", "boxes", "whole"))


def test_shapes_and_ranges(joints: torch.Tensor) -> None:
    seen = render(*scene(joints), np.random.default_rng(0))
    assert seen.silhouettes.shape == (PEOPLE, FRAMES, 64, 64) and seen.silhouettes.dtype == torch.uint8
    assert set(seen.silhouettes.unique().tolist()) == {0, 255}
    assert seen.joints.shape == (PEOPLE, FRAMES, 17, 3) and seen.boxes.shape == (PEOPLE, FRAMES, 4)
    assert seen.whole.all()
    assert (seen.silhouettes[:, :, 0].any(-1) & seen.silhouettes[:, :, 63].any(-1)).float().mean() > 0.95
    columns = torch.arange(64) + 0.5
    mass = (seen.silhouettes > 0).sum(2)
    assert ((mass * columns).sum(-1) / mass.sum(-1) - 32).abs().max() <= 0.51


def test_the_same_seed_sees_the_same(joints: torch.Tensor) -> None:
    first, again, other = (render(*scene(joints, 3), np.random.default_rng(s)) for s in (1, 1, 2))
    assert equal(first, again)
    assert not torch.equal(first.silhouettes, other.silhouettes)


def test_a_batch_equals_one_by_one(joints: torch.Tensor) -> None:
    moves, shape, dress, views = scene(joints)
    together = render(moves, shape, dress, views)
    for i in range(PEOPLE):
        alone = render(moves[i : i + 1], shape[i], dress[i], views[i])
        differ = alone.silhouettes[0] != together.silhouettes[i]
        assert differ.float().mean() < 1e-4
        assert torch.allclose(alone.joints[0], together.joints[i], atol=0.05)


def test_other_clothes_cover_more(joints: torch.Tensor) -> None:
    area = {c: (render(*scene(joints, condition=c)).silhouettes > 0).float().mean() for c in ("nm", "bg", "cl")}
    assert area["bg"] > 1.01 * area["nm"]
    assert area["cl"] > 1.01 * area["nm"]


def test_the_pictures_edge_cuts(joints: torch.Tensor) -> None:
    moves, shape, dress, _ = scene(joints)
    views = draw_views(PEOPLE, np.random.default_rng(0), cut_off=1.0)
    views = replace(views, fill=torch.full((PEOPLE,), 1.6), shift_y=torch.ones(PEOPLE))
    seen = render(moves, shape, dress, views)
    assert not seen.whole.all()
    assert seen.boxes.amin() >= 0 and (seen.boxes.amax((0, 1)) <= torch.tensor([1280, 720, 1280, 720])).all()
    assert seen.silhouettes.flatten(2).any(-1).all()


def test_lengths_must_agree(joints: torch.Tensor) -> None:
    moves, shape, dress, _ = scene(joints)
    with pytest.raises(ValueError, match="11 views"):
        render(moves, shape, dress, fixed_views())


def brute_force(points: torch.Tensor, body: Outline, row: int, views: Views, time: int) -> np.ndarray:
    """A mask 700 pixels high: every ellipsoid as 600 points in space, projected one by one, hulls filled by OpenCV."""
    moved = place(points, views)
    position, axes = (each[row] for each in look(moved, views))
    at = moved[row, time]
    turn = frames(at)[body.frame]
    centre = body.weights[row] @ at + (body.offset[row, :, :, None] * turn).sum(1)
    i = torch.arange(600) + 0.5
    z, angle = 1 - 2 * i / 600, i * np.pi * (1 + 5**0.5)
    ball = torch.stack(((1 - z * z).sqrt() * angle.cos(), (1 - z * z).sqrt() * angle.sin(), z), -1)
    surface = centre[:, None] + torch.einsum("ka,na,nac->nkc", ball, body.radii[row], turn)
    seen = (surface - position) @ axes.T
    flat = (seen[..., :2] / seen[..., 2:]).numpy()
    pieces = [flat[body.pieces[p]].reshape(-1, 2) for p in range(len(body.pieces)) if body.worn[row, p]]
    low, high = np.concatenate(pieces).min(0), np.concatenate(pieces).max(0)
    unit = (high[1] - low[1]) / 700
    mask = np.zeros((700, int((high[0] - low[0]) / unit) + 2), np.uint8)
    for piece in pieces:
        hull = cv2.convexHull(((piece - low) / unit).astype(np.float32)).round().astype(np.int32)
        cv2.fillConvexPoly(mask, hull, 1)
    return mask.astype(np.float32)


@pytest.mark.parametrize("condition", ["nm", "bg", "cl"])
def test_the_outline_is_that_of_the_brute_force_and_the_pipelines_own_normalisation(
    joints: torch.Tensor, condition: str
) -> None:
    moves, shape, dress, views = scene(joints, 5, condition)
    seen = render(moves, shape, dress, views)
    body = outline(shape, dress)
    overlaps = []
    for row in range(PEOPLE):
        for time in (0, 3):
            # As soft as a person model's mask: blurred by a pixel of the silhouette.
            true = silhouette(cv2.GaussianBlur(brute_force(moves, body, row, views, time), (0, 0), 6.0))
            assert true is not None
            mine = seen.silhouettes[row, time].numpy()
            # The mass centre may round to the next column.
            moved = [np.roll(mine, step, 1) > 0 for step in (-1, 0, 1)]
            overlaps.append(max((shape & (true > 0)).sum() / (shape | (true > 0)).sum() for shape in moved))
    assert min(overlaps) > 0.91
    assert np.mean(overlaps) > 0.94


def test_joints_are_what_the_camera_projects(joints: torch.Tensor) -> None:
    moves, shape, dress, _ = scene(joints)
    views = fixed_views((0, 54, 126, 270))
    seen = render(moves, shape, dress, views)
    for row, azimuth in enumerate((0, 54, 126, 270)):
        middle = (moves[row, 0, 0, :2] + moves[row, -1, 0, :2]) / 2
        there = coco_joints(moves[row] - torch.cat((middle, torch.zeros(1))))
        a = np.deg2rad(azimuth)
        camera = Camera((float(5 * np.cos(a)), float(5 * np.sin(a)), 1.4), (0.0, 0.0, 0.95), 1.0, 0, 0)
        flat = camera.project(there)[..., :2]
        mine = seen.joints[row, ..., :2]
        scale = (mine - mine.mean((0, 1))).norm() / (flat - flat.mean((0, 1))).norm()
        assert torch.allclose(mine - mine.mean((0, 1)), scale * (flat - flat.mean((0, 1))), atol=0.05)


def test_a_nearer_walker_is_larger(joints: torch.Tensor) -> None:
    moves, shape, dress, _ = scene(joints)
    for azimuth, sign in ((0, 1), (180, -1)):
        boxes = render(moves, shape, dress, fixed_views((azimuth,) * PEOPLE)).boxes
        height = boxes[..., 3] - boxes[..., 1]
        assert (sign * (height[:, -1] - height[:, 0]) > 0).all()
    # The same head over the same feet: a near camera above makes the head wider than a far one.
    high = replace(fixed_views((0,) * PEOPLE), height=torch.full((PEOPLE,), 3.2), crossing=torch.zeros(PEOPLE))
    near, far = (
        render(moves, shape, dress, replace(high, distance=torch.full((PEOPLE,), d))).silhouettes[:, :, :6] > 0
        for d in (2.5, 9.0)
    )
    assert near.float().mean() > 1.15 * far.float().mean()


def test_views_of_the_laboratory() -> None:
    assert fixed_views().azimuth.tolist() == list(AZIMUTHS) and len(AZIMUTHS) == 11
    assert fixed_views((0, 90), back=True).azimuth.tolist() == [180, 270]


def test_a_bag_is_added_to_the_same_clothes() -> None:
    rng = np.random.default_rng(0)
    usual = draw_dress("nm", 50, rng)
    bags, coats = draw_dress("bg", 50, rng, usual), draw_dress("cl", 50, rng, usual)
    assert torch.equal(bags.top_ease, usual.top_ease) and torch.equal(coats.hair, usual.hair)
    carried = (bags.backpack > 0).int() + (bags.shoulder_bag != 0).int() + (bags.hand_bag != 0).int()
    assert (carried == 1).all()
    assert (
        coats.top_length + coats.skirt_length + coats.cuff_ease > usual.top_length + usual.cuff_ease
    ).float().mean() > 0.7


def test_batches_are_indexed_and_joined() -> None:
    dress = draw_dress("nm", 5, np.random.default_rng(0))
    assert len(dress[-1]) == 1 and torch.equal(dress[-1].hair, dress.hair[4:])
    again = Dress.cat([dress[:2], dress[[2, 3]], dress[4]])
    assert torch.equal(again.hair, dress.hair) and torch.equal(again.phone, dress.phone)


def test_a_phone_is_held_before_the_chest(joints: torch.Tensor) -> None:
    dress = draw_dress("nm", PEOPLE, np.random.default_rng(0))
    dress.phone = torch.tensor([0.0, 1.0, -1.0, 0.0])
    held = hold_phone(joints, dress)
    assert torch.equal(held[0], joints[0]) and torch.equal(held[3], joints[3])
    for row, side in ((1, "left"), (2, "right")):
        hand, spine, neck = (held[row, :, INDEX[name]] for name in (f"{side}_hand", "spine", "neck"))
        assert ((hand[:, 2] > spine[:, 2]) & (hand[:, 2] < neck[:, 2] + 0.1)).all()
        assert (hand[:, 0] > spine[:, 0] + 0.15).all()
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand")):
            ends = [INDEX[f"{side}_{a}"], INDEX[f"{side}_{b}"]]
            lengths = [(moves[row, :, ends[0]] - moves[row, :, ends[1]]).norm(dim=-1) for moves in (held, joints)]
            assert torch.allclose(*lengths, atol=1e-5)


def test_girths_lie_about_the_published_ones() -> None:
    builds = [draw_person(i).build for i in range(400)]
    shape = draw_shapes(builds, np.random.default_rng(0))
    assert 0.14 < shape.chest_width.mean() < 0.16
    assert 0.15 < shape.waist_width.mean() < 0.18 and shape.waist_width.std() > 0.015
    assert torch.corrcoef(torch.stack((shape.waist_depth, shape.thigh)))[0, 1] > 0.3
    assert shape.ankle.min() > 0.025


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_sees_the_same(joints: torch.Tensor) -> None:
    here = scene(joints)
    there = render(*(part.to("cuda") for part in here))
    assert (there.silhouettes.cpu() != render(*here).silhouettes).float().mean() < 1e-3
    noisy = [render(*(part.to("cuda") for part in here), np.random.default_rng(0)) for _ in range(2)]
    assert equal(*noisy)
