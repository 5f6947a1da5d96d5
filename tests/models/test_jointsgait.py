"""JointsGait: its graph, its pyramid, its two readings of the pooling, batches of different lengths."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from gaitkeeper.models import build
from gaitkeeper.models.export import export_onnx, run_onnx
from gaitkeeper.models.jointsgait import (
    JointPyramid,
    JointsGait,
    JointsGaitConfig,
    cut_windows,
    jointsgait_kinect,
)
from gaitkeeper.models.skeletons import COCO_NECK, KINECT_16, Skeleton

SKELETONS = pytest.mark.parametrize("skeleton", [COCO_NECK, KINECT_16], ids=["coco", "kinect"])
SMALL = {"channels": (8, 16, 16), "strides": (1, 2, 1), "embed_dim": 12}


def joints(n: int, t: int, v: int = 17, c: int = 3) -> torch.Tensor:
    return torch.randn(n, t, v, c, generator=torch.Generator().manual_seed(t))


def randomised(network: JointsGait) -> JointsGait:
    """Eval mode, with every parameter and running statistic away from its neutral start."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if "running_mean" in name or name.endswith(".bias"):
                tensor.normal_(0, 0.3, generator=generator)
            elif (tensor.dim() == 1 and tensor.is_floating_point()) or "edge_mask" in name or "pyramid" in name:
                tensor.mul_(torch.empty_like(tensor).uniform_(0.5, 1.5, generator=generator))
    return network.eval()


@SKELETONS
def test_bones_form_a_tree_with_mirrored_sides(skeleton: Skeleton) -> None:
    assert len(skeleton.bones) == len(skeleton) - 1
    assert all(depth >= 0 for depth in skeleton._depth())
    for left, right in ((skeleton.left_arm, skeleton.right_arm), (skeleton.left_leg, skeleton.right_leg)):
        for a, b in zip(left, right, strict=True):
            assert skeleton.joints[a] == skeleton.joints[b].replace("right", "left")
        for limb in (left, right):
            assert all(bone in skeleton.bones for bone in pairwise(limb))


def test_the_three_subsets_of_a_knee() -> None:
    knee, hip, ankle, neck = 13, 11, 15, 17
    self_loop, centripetal, centrifugal = COCO_NECK.adjacency(alpha=1e-6)
    torch.testing.assert_close(self_loop, torch.eye(18))
    assert centripetal[knee].nonzero().tolist() == [[hip]]
    assert centrifugal[knee].nonzero().tolist() == [[ankle]]
    # The neck has nothing nearer to the centre than itself, and five neighbours farther away.
    assert centripetal[neck].count_nonzero() == 0
    assert sorted(centrifugal[neck].nonzero().flatten().tolist()) == [0, 5, 6, 11, 12]
    # Each of the five receives from the neck alone, which sends to five: 1 / √(1·5).
    assert centripetal[hip, neck].item() == pytest.approx(5**-0.5, rel=1e-5)


@SKELETONS
def test_alpha_leaves_no_edge_blown_up(skeleton: Skeleton) -> None:
    adjacency = skeleton.adjacency(0.001)
    assert adjacency.isfinite().all()
    assert adjacency.max() <= 1


@SKELETONS
@pytest.mark.parametrize(("scale", "count"), [(1, 1), (2, 2), (3, 3), (5, 5)])
def test_coarse_groups_share_no_joint_and_leave_none_out(skeleton: Skeleton, scale: int, count: int) -> None:
    groups = skeleton.groups(scale)
    assert len(groups) == count
    assert sorted(joint for group in groups for joint in group) == list(range(len(skeleton)))


@SKELETONS
def test_twelve_groups_halve_the_limbs_at_elbows_and_knees(skeleton: Skeleton) -> None:
    groups = skeleton.groups(12)
    assert len(groups) == 12
    assert {joint for group in groups for joint in group} == set(range(len(skeleton)))
    for limb in (skeleton.left_arm, skeleton.right_leg):
        assert sum(limb[1] in group for group in groups) == 2
        assert limb[:2] in groups
        assert limb[1:] in groups


def test_parts_of_the_readings_of_the_paper() -> None:
    assert JointsGait(JointsGaitConfig(**SMALL)).out_shape == (6, 12)
    assert JointsGait(JointsGaitConfig(scales=(1, 2, 18), **SMALL)).out_shape == (21, 12)
    assert jointsgait_kinect(scales=(1, 2, 3, 5, 12, 16), **SMALL).out_shape == (39, 12)
    with pytest.raises(ValueError, match="scale 4"):
        JointsGait(JointsGaitConfig(scales=(4,), **SMALL))


def test_pyramid_starts_as_the_mean_of_each_group() -> None:
    x = joints(2, 10, 18, 5)
    groups = COCO_NECK.pyramid((1, 2, 12))
    expected = torch.stack([x[:, :, list(group)].mean(dim=(1, 2)) for group in groups], dim=1)
    torch.testing.assert_close(JointPyramid(groups, 5, None)(x), expected)
    torch.testing.assert_close(JointPyramid(groups, 5, 10)(x), expected)


def test_windows_overlap_by_half_and_end_with_the_sequence() -> None:
    x = torch.arange(3 * 300).view(3, 300)
    windows, share = cut_windows(x, torch.tensor([300, 150, 50]), 120)
    assert windows.shape == (3, 4, 120)
    assert windows[0, :, 0].tolist() == [0, 60, 120, 180]
    assert windows[1, :2, 0].tolist() == [300, 330]
    assert windows[2, 0].tolist() == [600 + i % 50 for i in range(120)]
    assert share.tolist() == [[0.25] * 4, [0.5, 0.5, 0, 0], [1, 0, 0, 0]]


@pytest.mark.parametrize(("frames", "count"), [(1, 1), (119, 1), (120, 1), (121, 2), (180, 2), (181, 3)])
def test_number_of_windows(frames: int, count: int) -> None:
    windows, share = cut_windows(torch.arange(frames)[None], None, 120)
    assert windows.shape == (1, count, 120)
    assert share.tolist() == [[pytest.approx(1 / count)] * count]
    assert set(windows.flatten().tolist()) == set(range(frames))


@pytest.mark.parametrize("pooling", ["free", "window"])
@pytest.mark.parametrize("skeleton", ["coco", "kinect"])
def test_a_padded_batch_equals_lone_sequences(pooling: str, skeleton: str) -> None:
    network = randomised(JointsGait(JointsGaitConfig(skeleton=skeleton, pooling=pooling, window=24, **SMALL)))
    lengths = torch.tensor([61, 24, 7, 1])
    x = joints(4, 61, *((16, 2) if skeleton == "kinect" else (17, 3)))
    x[torch.arange(61) >= lengths[:, None]] = float("nan")
    with torch.inference_mode():
        together = network(x, lengths=lengths)
        alone = torch.cat([network(x[i : i + 1, :length]) for i, length in enumerate(lengths)])
    assert together.std() > 0.01
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("pooling", "skeleton"), [("window", "coco"), ("free", "kinect"), ("window", "kinect")])
def test_every_variant_exports(pooling: str, skeleton: str, tmp_path: Path) -> None:
    network = randomised(JointsGait(JointsGaitConfig(skeleton=skeleton, pooling=pooling, window=24, **SMALL)))
    export_onnx(network, tmp_path / "net.onnx")
    lengths = torch.tensor([61, 24, 7])
    x = joints(3, 61, *network.frame_shapes[0])
    with torch.inference_mode():
        expected = network(x, lengths=lengths)
    found = run_onnx(tmp_path / "net.onnx", (x,), lengths)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_windows_average_the_embeddings() -> None:
    network = randomised(JointsGait(JointsGaitConfig(pooling="window", window=24, **SMALL)))
    x = joints(1, 40)
    with torch.inference_mode():
        expected = (network(x[:, :24]) + network(x[:, 12:36]) + network(x[:, 16:])) / 3
        torch.testing.assert_close(network(x), expected)
        torch.testing.assert_close(network(x[:, :10]), network(torch.cat([x[:, :10]] * 3, dim=1)[:, :24]))


def test_free_pooling_hardly_minds_where_a_periodic_walk_starts() -> None:
    phase = torch.arange(120)[None, :, None, None] * (2 * torch.pi / 40) + torch.arange(51).view(1, 1, 17, 3)
    walks = torch.cat([phase.sin(), (phase + torch.pi).sin()])
    shifts = {}
    for pooling in ("free", "window"):
        network = build("jointsgait", seed=0, pooling=pooling, **SMALL)
        with torch.no_grad():
            if pooling == "window":  # weights that follow one phase of the walk, as training could make them
                network.pyramid.weight.mul_(1 + phase[0, ::2, 0, :1, None].sin())
            one, other = randomised(network)(walks)
            shifts[pooling] = ((one - other).norm() / one.norm()).item()
    assert shifts["free"] < 0.02
    assert shifts["window"] > 5 * shifts["free"]


def test_in_training_padding_reaches_no_batch_norm() -> None:
    x, lengths = joints(3, 20), torch.tensor([20, 12, 9])
    dirty = x.masked_fill((torch.arange(20) >= lengths[:, None])[:, :, None, None], 1e6)
    one, other = (JointsGait(JointsGaitConfig(**SMALL)) for _ in range(2))
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(one(x, lengths=lengths), other(dirty, lengths=lengths))
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(tensor, other.state_dict()[name])
    true = torch.cat([x[i, :length] for i, length in enumerate(lengths)])
    torch.testing.assert_close(one.input_norm.running_mean.view(18, 3)[:17], 0.1 * true.mean(dim=0))


def test_training_outputs_carry_cosines_and_every_parameter_learns() -> None:
    network = jointsgait_kinect(num_classes=5, **SMALL)
    outputs = network.training_outputs(joints(4, 24, 16, 2))
    assert outputs.logits is not None
    assert outputs.logits["main"].shape == (4, 6, 5)
    assert outputs.logits["main"].abs().max() <= 1 + 1e-6
    (outputs.embeddings["main"].square().sum() + outputs.logits["main"].square().sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert jointsgait_kinect(**SMALL).training_outputs(joints(4, 24, 16, 2)).logits is None


def test_bfloat16_stays_close() -> None:
    network = randomised(JointsGait(JointsGaitConfig(**SMALL)))
    x = joints(2, 40)
    with torch.inference_mode():
        exact = network(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            coarse = network(x)
    assert coarse.dtype == torch.float32
    assert ((coarse - exact).norm() / exact.norm()) < 0.03


def parameters(v: int, inputs: int, channels: tuple[int, ...], pooled: int, parts: int, embed_dim: int) -> int:
    """By hand: masks, W_k, temporal kernels of 9, two norms, a shortcut where a later layer widens; pooling; FC."""
    count = 2 * v * inputs
    for i, (narrow, wide) in enumerate(pairwise((inputs, *channels))):
        count += 3 * v * v + 3 * narrow * wide + 9 * wide * wide + 4 * wide
        count += narrow * wide + 2 * wide if i and narrow != wide else 0
    return count + pooled * channels[-1] + parts * channels[-1] * embed_dim


def test_parameter_counts() -> None:
    """The paper states none; 3.8 M are those of nine ST-GCN layers (3.0 M) and six fully connected ones (0.8 M)."""

    def count(network: JointsGait) -> int:
        return sum(p.numel() for p in network.parameters())

    widths = JointsGaitConfig().channels
    assert count(JointsGait()) == parameters(18, 3, widths, 3 * 18, 6, 512) == 3_818_200
    assert count(jointsgait_kinect()) == parameters(16, 2, widths, 3 * 16, 6, 512) == 3_814_592
    window = JointsGait(JointsGaitConfig(pooling="window"))
    assert count(window) == parameters(18, 3, widths, 30 * 3 * 18, 6, 512) == 4_219_096
