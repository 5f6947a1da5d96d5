"""Silhouettes, joints and boxes straight from 3D joints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from training.walkers.dress import Dress, draw_dress
from training.walkers.flesh import Shape, draw_shapes
from training.walkers.gait import walk
from training.walkers.person import draw_person
from training.walkers.silhouettes import Seen, render
from training.walkers.views import Views, draw_views, fixed_views

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
