from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gaitkeeper.models import NETWORKS, GaitNetwork, build
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.errors import HeatmapsMissing, TooShort
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.tensors import at_rate, normalise_joints, prepare
from gaitkeeper.pipelines.walk_quality import Quality


def sequence(frames: int, seed: int = 0) -> GaitSequence:
    rng = np.random.default_rng([seed, frames])
    joints = rng.uniform(0, 500, (frames, 17, 3)).astype(np.float32)
    joints[..., 2] = rng.uniform(0.1, 1, (frames, 17))
    return GaitSequence(
        silhouettes=rng.integers(0, 2, (frames, 64, 64), np.uint8) * np.uint8(255),
        joints=joints,
        heatmaps=rng.integers(0, 256, (frames, 17, 64, 48), np.uint8),
        timestamps=np.arange(frames) / 30,
        boxes=np.zeros((frames, 4), np.float32),
        quality=Quality(frames, {}, 0.9, 0.9, 0.0, 1.0, 30.0, False),
    )


class Everything(GaitNetwork):
    """Reads all there is, in an order of its own; its embedding tells apart true frames and padding."""

    name = "everything"
    inputs = ("joints", "silhouettes", "heatmaps")
    weights_id = "none"
    out_shape = (1, 4)

    def __init__(self) -> None:
        super().__init__(None)
        self.norm = nn.BatchNorm1d(4)  # in training mode it would mix the sequences of a batch
        self.shapes: list[tuple[int, int]] = []

    def forward(self, *tensors, lengths=None):
        joints, silhouettes, heatmaps = tensors
        self.shapes.append(tuple(joints.shape[:2]))
        count = torch.full((len(joints),), joints.shape[1]) if lengths is None else lengths
        sums = [x.flatten(2).sum(dim=(1, 2)) / count for x in (joints[..., :2], joints[..., 2], silhouettes, heatmaps)]
        return self.norm(torch.stack(sums, dim=1)).unsqueeze(1)


def test_tensors_come_in_call_order_cut_scaled_and_padded_with_zeros():
    seqs = [sequence(3), sequence(5), sequence(4)]
    (joints, silhouettes, heatmaps), lengths = prepare(seqs, Everything())
    assert joints.shape == (3, 5, 17, 3)
    assert silhouettes.shape == (3, 5, 1, 64, 44)
    assert heatmaps.shape == (3, 5, 17, 64, 48)
    assert {t.dtype for t in (joints, silhouettes, heatmaps)} == {torch.float32}
    assert lengths.tolist() == [3, 5, 4]
    assert lengths.dtype == torch.int64
    for n, seq in enumerate(seqs):
        t = len(seq)
        assert np.array_equal(silhouettes[n, :t, 0].numpy(), seq.silhouettes[:, :, 10:-10] / np.float32(255))
        assert np.array_equal(heatmaps[n, :t].numpy(), seq.heatmaps / np.float32(255))
        assert np.array_equal(joints[n, :t].numpy(), normalise_joints(seq.joints))
        for tensor in (joints, silhouettes, heatmaps):
            assert not tensor[n, t:].any()


def test_equal_lengths_need_no_lengths():
    tensors, lengths = prepare([sequence(4), sequence(4, seed=1)], build("gei"))
    assert lengths is None
    assert [t.shape for t in tensors] == [(2, 4, 1, 64, 44)]


def test_the_sequence_is_left_as_it_was():
    seq = sequence(4)
    before = replace(seq, joints=seq.joints.copy(), silhouettes=seq.silhouettes.copy(), heatmaps=seq.heatmaps.copy())
    tensors, _ = prepare([seq], Everything())
    for tensor in tensors:
        tensor.add_(1)
    assert seq.equals(before)


def test_a_network_that_reads_heatmaps_needs_them():
    with pytest.raises(HeatmapsMissing) as caught:
        prepare([sequence(3), sequence(3).without_heatmaps()], Everything())
    assert caught.value.code == "heatmaps_missing"
    prepare([sequence(3).without_heatmaps()], build("gei"))


def test_nothing_cannot_be_prepared():
    with pytest.raises(ValueError, match="At least one"):
        prepare([], build("gei"))
    with pytest.raises(TooShort):
        prepare([sequence(3), sequence(0)], build("gei"))


def test_a_low_rate_is_brought_to_30_hertz_by_the_nearest_frame():
    seq = sequence(10)
    times = np.arange(10) / 10
    slow = replace(seq, timestamps=times, quality=replace(seq.quality, rate_hz=10.0, low_rate=True))
    (joints, silhouettes, heatmaps), lengths = prepare([slow], Everything())
    nearest = [abs(times - tick).argmin() for tick in np.arange(28) / 30]
    assert lengths is None and joints.shape[1] == silhouettes.shape[1] == heatmaps.shape[1] == 28
    assert torch.equal(silhouettes[0, :, 0], torch.from_numpy(seq.silhouettes[nearest][:, :, 10:54] / 255).float())
    gap = replace(slow, timestamps=np.where(times > 0.45, times + 2.0, times))
    assert prepare([gap], Everything())[0][0].shape[1] < 40  # nothing is made up where the walker was not seen


def test_a_usual_rate_stays_as_it_is():
    seq = sequence(12)
    for rate in (20.0, 25.0, 30.0):
        usual = replace(seq, timestamps=np.arange(12) / rate, quality=replace(seq.quality, rate_hz=rate))
        assert at_rate(usual) is usual


def pose(shift=(0.0, 0.0), scale=1.0, frames=3):
    """Shoulders at (±20, 0), hips at (±10, 60), nose at (0, -30), everything else at the origin."""
    joints = np.zeros((frames, 17, 3), np.float32)
    joints[:, 5, 0], joints[:, 6, 0] = -20, 20
    joints[:, 11, :2], joints[:, 12, :2] = (-10, 60), (10, 60)
    joints[:, 0, 1] = -30
    joints[..., :2] = joints[..., :2] * scale + np.float32(shift)
    joints[..., 2] = 0.5
    return joints


def test_joints_are_measured_from_the_mid_hip_in_neck_to_hip_lengths():
    out = normalise_joints(pose())
    assert out[0, 11] == pytest.approx([-1 / 6, 0, 0.5])
    assert out[0, 5] == pytest.approx([-1 / 3, -1, 0.5])
    assert out[0, 0] == pytest.approx([0, -1.5, 0.5])


@pytest.mark.parametrize(("shift", "scale"), [((300.0, -40.0), 1.0), ((0.0, 0.0), 4.5), ((1000.0, 700.0), 0.25)])
def test_joints_do_not_depend_on_place_and_size(shift, scale):
    assert normalise_joints(pose(shift, scale)) == pytest.approx(normalise_joints(pose()), abs=1e-4)


def test_one_unit_for_the_whole_sequence_that_outliers_and_unseen_joints_do_not_move():
    joints = np.concatenate([pose(frames=5), pose(scale=9, frames=2), pose(scale=0.1, frames=20)])
    joints[7:, 5, 2] = 0  # a shoulder that was not seen: these frames tell no length
    out = normalise_joints(joints)
    assert out[0, 5, 1] == pytest.approx(-1)
    assert out[5, 5, 1] == pytest.approx(-9)
    assert out[7, 5] == pytest.approx([-1 / 30, -0.1, 0.0], abs=1e-6)


def test_joints_on_one_spot_give_no_infinities():
    for score in (0.0, 0.5):
        joints = np.full((4, 17, 3), 120, np.float32)
        joints[..., 2] = score
        out = normalise_joints(joints)
        assert not out[..., :2].any()
        assert (out[..., 2] == score).all()


def test_embeddings_in_batches_equal_those_one_by_one():
    seqs = [sequence(t, seed=t) for t in (7, 31, 3, 30, 8, 1, 12)]
    net = Everything()
    with torch.no_grad():
        net.norm.running_mean.fill_(0.5)
    together = embed(seqs, net, batch_frames=40)
    assert together.shape == (7, 1, 4)
    assert together.dtype == torch.float32
    assert not together.requires_grad
    assert net.training  # left as it was
    # Like lengths side by side: 1, 3, 7, 8 (4 × 8 frames), 12 (2 × 30 would not fit), 30, 31.
    assert net.shapes == [(4, 8), (1, 12), (1, 30), (1, 31)]
    for seq, embedding in zip(seqs, together, strict=True):
        assert torch.allclose(embed([seq], net)[0], embedding, atol=1e-4)


def test_no_sequences_no_embeddings():
    assert embed([], build("gei")).shape == (0, 1, 2816)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_embeds_any_length_of_sequence(name):
    net = build(name, seed=0).eval()
    seqs = [sequence(t, seed=t) for t in (1, 6, 3)]
    embeddings = embed(seqs, net)
    assert embeddings.shape == (3, *net.out_shape)
    assert embeddings.isfinite().all()
    for seq, embedding in zip(seqs, embeddings, strict=True):
        assert torch.allclose(embed([seq], net)[0], embedding, atol=1e-4, rtol=1e-4)


def test_the_package_gives_the_function_whatever_was_imported_before():
    from gaitkeeper import pipelines

    assert pipelines.prepare is prepare
    assert callable(pipelines.Pipeline)
