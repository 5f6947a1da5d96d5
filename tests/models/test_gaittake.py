"""GaitTAKE: attention over clips and what is left of them, its two branches, batches of different lengths."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gaitkeeper.models import build
from gaitkeeper.models.gaittake import GaitTAKE, TemporalAttention, gaittake_oumvlp

Inputs = Callable[..., tuple[Tensor, ...]]
SMALL = {"stem": 8, "channels": (8, 16, 16), "clip": 6, "embed_dim": 10}


def attention(clip: int = 6) -> TemporalAttention:
    torch.manual_seed(0)
    return TemporalAttention(8, 4, clip)


def noise(n: int, t: int) -> Tensor:
    return torch.randn(n, t, 8, generator=torch.Generator().manual_seed(t))


@pytest.mark.parametrize("frames", [1, 5, 6, 7, 18, 23])
def test_weights_of_any_length_sum_to_one(frames: int) -> None:
    weights = attention()(noise(2, frames))
    assert weights.shape == (2, frames)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))


def test_whole_clips_are_softmaxed_alone_and_averaged() -> None:
    """Equations 7 to 9, clip by clip."""
    layer, x = attention(), noise(1, 18)
    pooled = []
    for clip in x.split(6, dim=1):
        hidden = torch.nn.functional.leaky_relu(layer.conv1(clip.transpose(1, 2)), 0.01)
        pooled.append(layer.conv2(hidden).softmax(dim=2) @ clip)
    torch.testing.assert_close(layer(x)[:, None] @ x, torch.stack(pooled).mean(dim=0))


def test_the_rest_of_a_sequence_counts_by_its_frames() -> None:
    layer, x = attention(), noise(1, 14)
    weights = layer(x)[0]
    torch.testing.assert_close(weights.split(6)[0].sum(), torch.tensor(6 / 14))
    torch.testing.assert_close(weights.split(6)[2].sum(), torch.tensor(2 / 14))
    with torch.no_grad():
        layer.conv2.weight.zero_()
    torch.testing.assert_close(layer(x), torch.full((1, 14), 1 / 14))


def test_a_frame_moves_the_weights_of_its_own_clip_alone() -> None:
    layer, x = attention(), noise(1, 14)
    other = x.clone()
    other[:, 7] += 1
    changed = (layer(x) - layer(other))[0].abs() > 1e-6
    assert not changed[:6].any()
    assert changed[6:12].any()
    assert not changed[12:].any()


def test_attention_gives_padding_no_weight() -> None:
    layer, x = attention(), noise(3, 20)
    lengths = torch.tensor([20, 9, 1])
    x[torch.arange(20) >= lengths[:, None]] = float("nan")
    together = layer(x, lengths)
    for i, length in enumerate(lengths):
        torch.testing.assert_close(together[i, :length], layer(x[i : i + 1, :length])[0])
        assert not together[i, length:].any()


@pytest.mark.parametrize("gradients", [True, False])
def test_a_padded_batch_equals_lone_sequences(draw_inputs: Inputs, gradients: bool) -> None:
    network = build("gaittake", seed=0, **SMALL).eval()
    silhouettes, joints = draw_inputs(network, 4, 15)
    lengths = torch.tensor([15, 12, 7, 1])
    for x in (silhouettes, joints):
        x[torch.arange(15) >= lengths[:, None]] = float("nan")
    with torch.set_grad_enabled(gradients):
        together = network(silhouettes, joints, lengths=lengths)
        alone = [network(silhouettes[i : i + 1, :n], joints[i : i + 1, :n]) for i, n in enumerate(lengths)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changed", [0, 1])
def test_both_inputs_reach_every_part(draw_inputs: Inputs, changed: int) -> None:
    network = build("gaittake", seed=0, **SMALL).eval()
    inputs, others = list(draw_inputs(network, 1, 8)), draw_inputs(network, 1, 8, seed=1)
    with torch.inference_mode():
        before = network(*inputs)
        inputs[changed] = others[changed]
        after = network(*inputs)
    assert ((before - after).norm(dim=2) > 1e-3).all()


def test_blocks_of_the_two_data_sets() -> None:
    casia, oumvlp = GaitTAKE(), gaittake_oumvlp()
    assert [block.stack for block in casia.blocks] == [False, False, True]
    assert [block.stack for block in oumvlp.blocks] == [False, False, False, False, True]
    assert casia.out_shape == (64, 128)
    assert oumvlp.out_shape == (64, 256)


def test_parameter_count() -> None:
    """The paper states none."""
    stem = 27 * 32
    blocks = 2 * 27 * (32 * 64 + 64 * 128 + 128 * 128)  # global and local
    attentions = (3 * 128 * 32 + 32 + 3 * 32) + (3 * 51 * 12 + 12 + 3 * 12)
    heads = 64 * (128 + 51) * 128
    assert sum(p.numel() for p in GaitTAKE().parameters()) == stem + blocks + attentions + 1 + heads == 2_919_229
