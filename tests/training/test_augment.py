"""Each augmentation does what it says, to all inputs alike, and again with the same seed."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from gaitkeeper.models.skeletons import KINECT_16
from gaitkeeper.training.augment import (
    COCO_MIRROR,
    HALF_BODY,
    KINECT_MIRROR,
    OF_FRAMES,
    OF_OUTLINES,
    OF_PICTURES,
    augment,
    edge_noise,
    erase,
    homographies,
    kept_frames,
    mirror,
    pass_behind,
    warp,
    widened,
)
from gaitkeeper.training.config import AugmentTable


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def inputs() -> dict[str, Tensor]:
    """Eight sequences of six frames: a silhouette that is not symmetric, and random joints and heatmaps."""
    silhouettes = torch.zeros(8, 6, 1, 64, 44)
    silhouettes[..., 4:60, 12:30] = 1
    joints = torch.randn(8, 6, 17, 3, generator=generator())
    return {
        "silhouettes": silhouettes,
        "heatmaps": torch.rand(8, 6, 17, 64, 48, generator=generator()),
        "joints": joints,
    }


ALL = AugmentTable(
    flip=0.5,
    rotate=0.5,
    perspective=0.5,
    stretch=(0.1, 0.1),
    shear=0.05,
    shift=(0.05, 0.05),
    fatten=0.3,
    thin=0.3,
    erase=0.5,
    occlude=0.5,
    mask_noise=0.5,
    frame_drop=0.5,
    joint_noise=0.01,
)


def test_nothing_is_done_by_default(inputs: dict[str, Tensor]) -> None:
    out = augment(inputs, AugmentTable(), generator())
    assert all(torch.equal(out[name], x) for name, x in inputs.items())


def test_all_together_keep_shapes_and_ranges_and_follow_the_seed(inputs: dict[str, Tensor]) -> None:
    before = {name: x.clone() for name, x in inputs.items()}
    once, again = augment(inputs, ALL, generator(3)), augment(inputs, ALL, generator(3))
    other = augment(inputs, ALL, generator(4))
    for name, x in inputs.items():
        assert torch.equal(x, before[name])
        assert once[name].shape == x.shape
        assert once[name].dtype == torch.float32
        assert torch.equal(once[name], again[name])
        assert not torch.equal(once[name], other[name])
    for name in ("silhouettes", "heatmaps"):
        assert once[name].min() >= 0
        assert once[name].max() <= 1


def test_flip_takes_whole_sequences_and_changes_left_and_right(inputs: dict[str, Tensor]) -> None:
    out = augment(inputs, AugmentTable(flip=0.5), generator())
    flipped = [not torch.equal(a, b) for a, b in zip(out["silhouettes"], inputs["silhouettes"], strict=True)]
    assert 0 < sum(flipped) < 8
    for n, changed in enumerate(flipped):
        for name, x in inputs.items():
            assert torch.equal(out[name][n], (mirror(name, x) if changed else x)[n])
    assert COCO_MIRROR == [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    assert [KINECT_16.joints[i] for i in KINECT_MIRROR][2:4] == ["left_shoulder", "right_shoulder"]
    kinect = torch.randn(1, 2, 16, 2, generator=generator())
    assert torch.equal(mirror("joints", kinect)[0, 0, 2], kinect[0, 0, 3] * torch.tensor([-1, 1]))
    assert torch.equal(mirror("joints", mirror("joints", kinect)), kinect)


def test_pictures_and_joints_are_warped_alike() -> None:
    """A dot drawn where a joint is stays where the joint goes."""
    table = AugmentTable(rotate=1, degrees=20, perspective=1, distortion=0.1)
    pictures = torch.zeros(5, 1, 1, 64, 44)
    joints = torch.zeros(5, 1, 17, 3)
    joints[..., 2] = 0.7
    for n, (row, column) in enumerate([(12, 20), (32, 8), (50, 30), (40, 35), (20, 12)]):
        pictures[n, 0, 0, row - 1 : row + 1, column - 1 : column + 1] = 1
        joints[n, :, :, 0] = (column - 22) / 32 * HALF_BODY
        joints[n, :, :, 1] = (row - 32) / 32 * HALF_BODY
    out = augment({"silhouettes": pictures, "joints": joints}, table, generator(1))
    weight = out["silhouettes"][:, 0, 0]
    rows, columns = torch.arange(64) + 0.5, torch.arange(44) + 0.5
    total = weight.sum(dim=(1, 2))
    y = (weight * rows[:, None]).sum(dim=(1, 2)) / total
    x = (weight * columns).sum(dim=(1, 2)) / total
    assert torch.allclose((x - 22) / 32 * HALF_BODY, out["joints"][:, 0, 0, 0], atol=0.03)
    assert torch.allclose((y - 32) / 32 * HALF_BODY, out["joints"][:, 0, 0, 1], atol=0.03)
    assert (out["joints"][..., :2] - joints[..., :2]).abs().amax() > 0.1
    assert (out["joints"][..., 2] == 0.7).all()


def test_rotation_turns_by_no_more_than_it_may() -> None:
    warps = homographies(500, AugmentTable(rotate=0.5, degrees=10), generator())
    degrees = torch.rad2deg(torch.atan2(warps[:, 1, 0], warps[:, 0, 0]))
    assert degrees.abs().max() <= 10.001
    assert degrees.max() > 9
    assert degrees.min() < -9
    assert 200 < (degrees.abs() < 1e-4).sum() < 300
    assert torch.allclose(warps[:, 2], torch.tensor([0.0, 0.0, 1.0]), atol=1e-5)


def test_a_quarter_turn_is_exact() -> None:
    picture = torch.rand(1, 2, 1, 44, 44, generator=generator())
    angle = math.pi / 2
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    assert torch.allclose(warp(picture, turn[None]), picture.rot90(-1, dims=(3, 4)), atol=1e-4)


def test_erase_blanks_one_rectangle_of_the_size_asked_for() -> None:
    x = torch.ones(200, 3, 1, 64, 48)
    chosen = torch.arange(200) % 2 == 0
    out = erase(x, chosen, (0.05, 0.2), generator())
    assert torch.equal(out[~chosen], x[~chosen])
    for n in chosen.nonzero().flatten().tolist():
        blank = out[n, 0, 0] == 0
        assert torch.equal(blank, blank.any(dim=1)[:, None] & blank.any(dim=0))
        assert 0.03 < blank.float().mean() < 0.23
        assert (out[n] == out[n, :1]).all()


def test_an_upright_post_goes_across_the_people_who_walk_behind_it() -> None:
    x = torch.ones(200, 30, 1, 64, 44)
    chosen = torch.arange(200) % 2 == 0
    out = pass_behind(x, chosen, (0.1, 0.2), generator())
    assert torch.equal(out[~chosen], x[~chosen])
    hidden = out[chosen, :, 0] == 0  # (100, 30, 64, 44)
    columns = hidden.any(dim=2)
    assert torch.equal(hidden, columns[:, :, None].expand_as(hidden))  # from top to bottom
    widths = columns.sum(dim=2)
    assert widths.max() <= 0.2 * 64 + 1 and (widths.amax(dim=1) >= 0.1 * 64 - 1).all()  # everybody meets it
    middle = (columns * torch.arange(44)).sum(dim=2) / widths.clamp(min=1)
    inside = columns.any(dim=2) & ~columns[..., 0] & ~columns[..., -1]
    moves = [middle[n][inside[n]].diff() for n in range(100)]
    assert all((m > 0).all() or (m < 0).all() for m in moves)
    assert {bool((m > 0).all()) for m in moves if len(m)} == {True, False}


def test_mask_noise_stays_beside_the_outline(inputs: dict[str, Tensor]) -> None:
    x = inputs["silhouettes"]
    chosen = torch.arange(8) < 4
    out = edge_noise(x, chosen, 0.3, generator())
    changed = out != x
    assert not changed[4:].any()
    inside, outside = torch.zeros(64, 44, dtype=torch.bool), torch.ones(64, 44, dtype=torch.bool)
    inside[5:59, 13:29] = True
    outside[3:61, 11:31] = False
    assert not changed[..., inside | outside].any()
    outline = ~(inside | outside)
    assert changed[:4][..., outline].float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert not torch.equal(changed[0, 0], changed[0, 1])


def test_a_dropped_frame_repeats_the_one_before(inputs: dict[str, Tensor]) -> None:
    chosen = torch.arange(300) % 3 > 0
    kept = kept_frames(300, 40, chosen, 0.2, generator())
    assert torch.equal(kept[~chosen], torch.arange(40).expand(100, 40))
    assert (kept[:, 0] == 0).all()
    dropped = kept != torch.arange(40)
    assert dropped[chosen][:, 1:].float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert torch.equal(kept[:, 1:][dropped[:, 1:]], kept[:, :-1][dropped[:, 1:]])
    out = augment(inputs, AugmentTable(frame_drop=1, drop_share=0.5), generator())
    same = [(out[name][:, 1:] == out[name][:, :-1]).flatten(2).all(dim=2) for name in ("joints", "heatmaps")]
    assert torch.equal(*same)
    assert same[0].any()


def test_joint_noise_moves_points_and_not_scores(inputs: dict[str, Tensor]) -> None:
    joints = inputs["joints"].expand(8, 6, 17, 3)
    out = augment({"joints": joints}, AugmentTable(joint_noise=0.02), generator())["joints"]
    assert torch.equal(out[..., 2], joints[..., 2])
    assert (out - joints)[..., :2].std().item() == pytest.approx(0.02, rel=0.1)


def test_a_bias_of_the_joints_stays_through_the_sequence(inputs: dict[str, Tensor]) -> None:
    out = augment(inputs, AugmentTable(joint_bias=0.1), generator())
    shift = out["joints"] - inputs["joints"]
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), atol=1e-5, rtol=0)
    assert shift[..., :2].std().item() == pytest.approx(0.1, rel=0.1)
    assert not shift[..., 2].any()
    assert torch.equal(out["silhouettes"], inputs["silhouettes"])


@pytest.mark.parametrize("kind", [torch.float32, torch.uint8])
def test_an_outline_moves_out_or_in_by_a_pixel(inputs: dict[str, Tensor], kind: torch.dtype) -> None:
    x = (inputs["silhouettes"][:3] * 255).to(kind)
    before = x.clone()
    out = widened(x, torch.tensor([True, False, False]), torch.tensor([False, True, False]))
    assert torch.equal(x, before)
    assert out.dtype == kind
    rows, columns = ([(s.amax(dim=d) > 0).sum().item() for s in out[:, 0, 0]] for d in (1, 0))
    assert rows == [58, 54, 56]
    assert columns == [20, 16, 18]
    noise = (torch.rand(2, 3, 1, 64, 44, generator=generator()) > 0.5).float()
    out = widened(noise, torch.tensor([True, False]), torch.tensor([False, True]))
    assert torch.equal(out[0], F.max_pool2d(noise[0], 3, 1, 1))
    assert torch.equal(out[1], -F.max_pool2d(-noise[1], 3, 1, 1))


def test_outlines_are_fattened_and_thinned_as_often_as_asked_all_through_a_sequence() -> None:
    x = torch.zeros(300, 2, 1, 64, 44)
    x[..., 20:40, 10:30] = 1
    area = augment({"silhouettes": x}, AugmentTable(fatten=0.35, thin=0.15), generator())["silhouettes"].sum(dim=(3, 4))
    assert torch.equal(area[:, 0], area[:, 1])
    shares = [(area[:, 0, 0] == size**2).float().mean().item() for size in (22, 18, 20)]
    assert shares == pytest.approx([0.35, 0.15, 0.5], abs=0.08)
    with pytest.raises(ValidationError, match="exclude each other"):
        AugmentTable(fatten=0.6, thin=0.5)


def test_stretch_shear_and_shift_have_the_sizes_asked_for() -> None:
    warps = homographies(2000, AugmentTable(stretch=(0.08, 0.03), shear=0.04, shift=(0.02, 0.05)), generator())
    expected = torch.tensor([[0.08, 0.04, 0.02], [0.0, 0.03, 0.05], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(warps.std(dim=0), expected, rtol=0.06, atol=1e-6)
    torch.testing.assert_close(warps.mean(dim=0), torch.eye(3), rtol=0, atol=0.006)
    body = torch.zeros(1, 1, 1, 64, 44)
    body[..., 16:48, 16:28] = 1
    wider = torch.diag(torch.tensor([1.5, 1.0, 1.0]))[None]
    assert warp(body, wider).sum().item() == pytest.approx(1.5 * body.sum().item(), rel=1e-3)


def test_a_table_may_be_cut_down_to_some_of_its_augmentations() -> None:
    assert ALL.only("shear", "stretch") == AugmentTable(shear=0.05, stretch=(0.1, 0.1))
    fields = (*OF_OUTLINES, *OF_FRAMES, *OF_PICTURES)
    assert {*fields, "joint_noise", "joint_bias"} == set(AugmentTable.model_fields)
