"""GaitHeat: its alignment on drawn heatmaps, its branches against the equations, batches of different lengths."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from gaitkeeper.models import build
from gaitkeeper.models.gaitheat import GROUPS, GaitHeat, GaitHeatConfig, gaitheat_ccpg, gaitheat_s, spine, upright

# Not narrower: in torch 2.13 on the CPU, the backward pass of a strided 1×1 convolution from fewer than 16 channels,
# laid out channels last, writes where it should not.
SMALL = {"channels": (16, 16, 16, 16), "embed_dim": 10}

# x, y of COCO's joints of a person who stands upright in a heatmap of 48 × 64, the middle of the shoulders at (23, 20).
UPRIGHT = torch.tensor(
    [
        *((23.0, 10.0), (24.0, 9.0), (22.0, 9.0), (26.0, 10.0), (20.0, 10.0)),
        *((28.0, 20.0), (18.0, 20.0), (31.0, 28.0), (15.0, 28.0), (33.0, 34.0), (13.0, 34.0)),
        *((26.0, 36.0), (20.0, 36.0), (27.0, 46.0), (19.0, 46.0), (28.0, 55.0), (18.0, 55.0)),
    ]
)


def lean_to_the_right(points: torch.Tensor, degrees: float, about: tuple[float, float] = (23, 28)) -> torch.Tensor:
    angle, centre = math.radians(degrees), torch.tensor(about)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (points - centre) @ turn.T + centre


def draw(points: torch.Tensor) -> torch.Tensor:
    """Gaussian peaks of joints (..., 17, 2) -> heatmaps (..., 17, 64, 48)."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    squared = (x - points[..., 0, None, None]) ** 2 + (y - points[..., 1, None, None]) ** 2
    return torch.exp(-squared / 8)


def peaks(heatmaps: torch.Tensor) -> torch.Tensor:
    index = heatmaps.flatten(-2).argmax(dim=-1)
    return torch.stack([index % 48, index // 48], dim=-1).float()


def walk(n: int, t: int) -> torch.Tensor:
    """Heatmaps of people who sway by up to 12°."""
    phase = torch.arange(n)[:, None] + 0.5 * torch.arange(t)
    return torch.stack([draw(lean_to_the_right(UPRIGHT, 12 * math.sin(p))) for p in phase.flatten()]).view(
        n, t, 17, 64, 48
    )


@pytest.mark.parametrize("degrees", [-40.0, -12.0, 0.0, 12.0, 40.0])
def test_spine_finds_neck_and_lean(degrees: float) -> None:
    points = lean_to_the_right(UPRIGHT, degrees)
    neck, lean, seen = spine(draw(points)[None])
    assert lean.rad2deg().item() == pytest.approx(degrees, abs=3)
    assert (neck[0] - points[5:7].mean(dim=0)).abs().max() <= 1
    assert seen.item() > 0.9


@pytest.mark.parametrize("degrees", [-40.0, -12.0, 12.0, 40.0])
def test_alignment_turns_the_spine_upright_and_moves_the_neck(degrees: float) -> None:
    network = GaitHeat(GaitHeatConfig(**SMALL)).eval()
    aligned = peaks(network._align(draw(lean_to_the_right(UPRIGHT, degrees))[None]))[0]
    expected = UPRIGHT + torch.tensor([24.0, 16.0]) - UPRIGHT[5:7].mean(dim=0)
    assert (aligned - expected).abs().max() <= 2
    assert (aligned[5:7].mean(dim=0) - torch.tensor([24.0, 16.0])).abs().max() <= 1


def test_one_step_is_the_turn_and_the_shift_of_the_equations() -> None:
    """Equations 1 to 3 as matrices, of a point: M_R about the middle of the spine, then M_T to the fixed place."""
    neck, hip, joint = torch.tensor([20.0, 18.0]), torch.tensor([26.0, 38.0]), torch.tensor([30.0, 30.0])
    theta = math.atan2(neck[0] - hip[0], hip[1] - neck[1])
    cos, sin = math.cos(-theta), math.sin(-theta)
    mid = (neck + hip) / 2
    m_r = torch.tensor(
        [
            [cos, -sin, (1 - cos) * mid[0] + sin * mid[1]],
            [sin, cos, -sin * mid[0] + (1 - cos) * mid[1]],
        ]
    )
    bias = torch.tensor([24.0, 16.0]) - m_r @ torch.tensor([*neck, 1.0])
    expected = m_r @ torch.tensor([*joint, 1.0]) + bias
    moved = upright(draw(joint)[None, None], neck[None], torch.tensor([theta]))
    weights = moved[0, 0] / moved.sum()
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    centroid = torch.stack([(weights * x).sum(), (weights * y).sum()])
    torch.testing.assert_close(centroid, expected, atol=0.05, rtol=0)


def test_only_frames_that_lean_more_than_gamma_are_touched() -> None:
    frames = torch.stack([draw(lean_to_the_right(UPRIGHT, degrees)) for degrees in (0.0, 2.0, 12.0, 30.0)])

    def touched(network: GaitHeat) -> list[bool]:
        return [not torch.equal(a, b) for a, b in zip(network.eval()._align(frames), frames, strict=True)]

    assert touched(GaitHeat(GaitHeatConfig(**SMALL))) == [False, False, True, True]
    assert touched(gaitheat_ccpg(**SMALL)) == [False, False, False, True]
    assert touched(GaitHeat(GaitHeatConfig(gamma=None, **SMALL))) == [False] * 4


def test_a_spine_that_is_not_seen_is_not_trusted() -> None:
    frames = draw(lean_to_the_right(UPRIGHT, 30))[None]
    frames[:, 11] *= 0.05
    assert GaitHeat(GaitHeatConfig(**SMALL)).eval()._align(frames).equal(frames)


def test_chance_plays_in_training_alone() -> None:
    frames = draw(UPRIGHT)[None].repeat(400, 1, 1, 1)
    network = GaitHeat(GaitHeatConfig(**SMALL))
    torch.manual_seed(0)
    share = (network._align(frames) != frames).any(dim=(1, 2, 3)).float().mean().item()
    assert share == pytest.approx(0.2, abs=0.06)
    assert network.eval()._align(frames).equal(frames)


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_groups_cover_every_joint_once(groups: int) -> None:
    assert len(GROUPS[groups]) == groups
    assert sorted(joint for group in GROUPS[groups] for joint in group) == list(range(17))


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_branches_follow_the_equations(groups: int) -> None:
    """Equations 5 to 8 with every picture passed alone."""
    network = build("gaitheat", seed=0, groups=groups, gamma=None, **SMALL).eval()
    frames = walk(1, 3)[0]
    stages = network.backbone.stages

    def features(joints: tuple[int, ...]) -> list[torch.Tensor]:
        x = frames[:, list(joints)].max(dim=1, keepdim=True).values
        x = F.relu(network.backbone.bn1(network.backbone.conv1(x)))
        return [x := stage(x) for stage in stages]

    with torch.inference_mode():
        whole = features(tuple(range(17)))
        local = [features(group) for group in GROUPS[groups]]
        fused = torch.stack([whole[0], *(x[0] for x in local)]).max(dim=0).values
        for i in (1, 2, 3):
            fused = torch.stack([whole[i], *(x[i] for x in local)]).max(dim=0).values + network.fusion[i - 1](fused)
        found = network._branches(frames)
    torch.testing.assert_close(found[0], fused, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1], whole[3], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[2], torch.stack([x[3] for x in local]).max(dim=0).values, atol=1e-5, rtol=1e-5)


def test_a_padded_batch_equals_lone_sequences() -> None:
    network = build("gaitheat", seed=0, **SMALL).eval()
    lengths = torch.tensor([9, 4, 1])
    x = walk(3, 9)
    x[torch.arange(9) >= lengths[:, None]] = float("nan")
    with torch.inference_mode():
        together = network(x, lengths=lengths)
        alone = torch.cat([network(x[i : i + 1, :length]) for i, length in enumerate(lengths)])
    assert together.std() > 0.01
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_test_embedding_is_the_normalised_bnneck_of_the_fusion_branch() -> None:
    network = build("gaitheat", seed=0, num_classes=3, **SMALL)
    x = walk(4, 5)
    for _ in range(3):
        network.training_outputs(x)  # moves the running statistics away from 0 and 1
    network.eval()
    with torch.inference_mode():
        outputs, embedding = network.training_outputs(x), network(x)
    torch.testing.assert_close(embedding.norm(dim=2), torch.ones(4, 16))
    neck = network.heads["main"].norm(outputs.embeddings["main"].flatten(1)).view(4, 16, 10)
    torch.testing.assert_close(F.normalize(neck, dim=2), embedding)
    torch.testing.assert_close(network.classifier["main"](neck), outputs.logits["main"])


def test_training_outputs_of_three_branches_teach_every_parameter() -> None:
    network = GaitHeat(GaitHeatConfig(num_classes=3, **SMALL))
    outputs = network.training_outputs(walk(3, 4), lengths=torch.tensor([4, 3, 1]))
    assert outputs.logits is not None
    for branch in ("main", "whole", "local"):
        assert outputs.embeddings[branch].shape == (3, 16, 10)
        assert outputs.logits[branch].shape == (3, 16, 3)
    loss = sum(x.square().mean() for x in (*outputs.embeddings.values(), *outputs.logits.values()))
    loss.backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert GaitHeat(GaitHeatConfig(**SMALL)).training_outputs(walk(2, 2)).logits is None


def test_parameter_counts() -> None:
    """About 16.0 M: the shared ResNet-9, the fusion branch's stages 2 to 4, and three heads."""

    def count(network: GaitHeat) -> int:
        return sum(p.numel() for p in network.parameters())

    def stage(narrow: int, wide: int) -> int:
        return 9 * (narrow + wide) * wide + 4 * wide + (narrow * wide + 2 * wide if narrow != wide else 0)

    shared = 9 * 64 + 2 * 64 + stage(64, 64)
    later = stage(64, 128) + stage(128, 256) + stage(256, 512)
    heads = 3 * (16 * 512 * 256 + 2 * 16 * 256)
    assert count(GaitHeat()) == shared + 2 * later + heads == 16_035_264
    assert count(GaitHeat(GaitHeatConfig(num_classes=74))) == 16_035_264 + 3 * 16 * 256 * 74
    assert count(gaitheat_s()) == 4_017_888
    assert gaitheat_s().out_shape == (16, 128)
