"""What GEI, GaitSet, GaitPart, GaitGL, GaitBase and GaitTemplate each promise beyond what every network does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench import plain
from gaitkeeper.models import GaitNetwork, build
from gaitkeeper.models.deepgaitv2 import deepgaitv2_indoor
from gaitkeeper.models.gaitgl import gaitgl_oumvlp
from gaitkeeper.models.gaitpart import gaitpart_oumvlp
from gaitkeeper.models.gaitset import gaitset_oumvlp

Inputs = Callable[..., tuple[Tensor, ...]]


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("name", "config", "parameters", "out_shape"),
    [
        ("gei", {}, 0, (1, 2816)),
        ("gaitset", {}, 2_594_592, (62, 256)),
        ("gaitpart", {}, 1_466_144, (16, 256)),
        ("gaitpart", {"embed_dim": 128}, 1_204_000, (16, 128)),
        ("gaitgl", {}, 2_490_465, (64, 128)),
        ("gaitbase", {}, 6_994_112, (16, 256)),
        ("deepgaitv2", {}, 13_195_968, (16, 256)),
        ("gaittemplate", {}, 454_392, (16, 128)),
        ("gaitgl", {"num_classes": 74}, 2_490_465 + 64 * 128 * 74, (64, 128)),
        ("gaitbase", {"num_classes": 74}, 6_994_112 + 16 * 256 * 74 + 2 * 16 * 256, (16, 256)),
    ],
)
def test_parameters_and_shapes(name: str, config: dict[str, int], parameters: int, out_shape: tuple[int, int]) -> None:
    net = build(name, **config)
    assert count(net) == parameters
    assert net.out_shape == out_shape


@pytest.mark.parametrize(
    ("make", "variant", "classifier"),
    [
        (gaitset_oumvlp, "gaitset-oumvlp", 0),
        (gaitpart_oumvlp, "gaitpart-oumvlp", 0),
        (gaitgl_oumvlp, "gaitgl-oumvlp", 64 * 256 * 74),
    ],
)
def test_the_builders_for_oumvlp_are_the_published_networks(
    make: Callable[[], GaitNetwork], variant: str, classifier: int
) -> None:
    assert count(make()) == count(plain.make(variant)) - classifier


def test_a_variant_takes_other_values_too() -> None:
    assert deepgaitv2_indoor(embed_dim=64).config.blocks == (1, 1, 1, 1)
    assert gaitpart_oumvlp(embed_dim=64).out_shape == (16, 64)


def test_gei_is_the_mean_silhouette(draw_inputs: Inputs) -> None:
    net = build("gei").eval()
    (silhouettes,) = draw_inputs(net, 2, 5)
    expected = torch.stack([silhouettes[0, :3].mean(dim=0), silhouettes[1].mean(dim=0)])
    found = net(silhouettes, lengths=torch.tensor([3, 5]))
    torch.testing.assert_close(found.view(2, 1, 64, 44), expected)
    assert net.trained
    assert net.weights_id == "none"


@pytest.mark.parametrize(
    ("name", "cares"),
    [
        *((name, False) for name in ("gei", "gaitset", "gaitbase", "gaittemplate")),
        *((name, True) for name in ("gaitpart", "gaitgl")),
    ],
)
def test_only_temporal_networks_care_for_the_order_of_frames(name: str, cares: bool, draw_inputs: Inputs) -> None:
    net = build(name, seed=0).eval()
    (silhouettes,) = draw_inputs(net, 1, 9)
    with torch.no_grad():
        difference = (net(silhouettes) - net(silhouettes[:, torch.tensor([4, 0, 7, 2, 8, 5, 1, 6, 3])])).abs().max()
    assert (difference > 1e-2) == cares


def test_gaitpart_sees_each_part_alone(draw_inputs: Inputs) -> None:
    """With focal convolutions in every block, and so no way between halves, legs say nothing of the head's part."""
    net = build("gaitpart", seed=0, strips=(4, 4, 8)).eval()
    (silhouettes,) = draw_inputs(net, 1, 4)
    other = silhouettes.clone()
    other[:, :, :, 32:] = 0
    with torch.no_grad():
        a, b = net(silhouettes), net(other)
    assert torch.equal(a[:, :8], b[:, :8])
    assert not torch.allclose(a[:, 8:], b[:, 8:])


@pytest.mark.parametrize("window", [3, 5])
def test_gaitpart_takes_one_window_alone(window: int, draw_inputs: Inputs) -> None:
    net = build("gaitpart", seed=0, windows=(window,)).eval()
    assert net(*draw_inputs(net, 1, 4)).shape == (1, 16, 256)
    assert count(net) < 1_466_144


def test_gaitpart_pools_time_by_maximum_or_mean(draw_inputs: Inputs) -> None:
    """Someone stands still: the maximum over more of the same frames stays, the mean moves away from the two ends."""
    most, mean = (build("gaitpart", seed=0, temporal_pooling=pooling).eval() for pooling in ("max", "mean"))
    (silhouettes,) = draw_inputs(most, 1, 6)
    with torch.no_grad():
        still = silhouettes[:, :1].expand(-1, 9, -1, -1, -1)
        stiller = silhouettes[:, :1].expand(-1, 19, -1, -1, -1)
        torch.testing.assert_close(most(still), most(stiller), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(mean(still), mean(stiller), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(most(silhouettes), mean(silhouettes), rtol=1e-2)


@pytest.mark.parametrize("name", ["gaitset", "gaitpart", "gaitbase"])
def test_long_sequences_pass_in_chunks(name: str, draw_inputs: Inputs) -> None:
    """Without gradients frames pass in chunks of 32; with them all at once."""
    net = build(name, seed=0).eval()
    (silhouettes,) = draw_inputs(net, 2, 70)
    lengths = torch.tensor([70, 33])
    with torch.no_grad():
        chunked = net(silhouettes, lengths=lengths)
    torch.testing.assert_close(chunked, net(silhouettes, lengths=lengths).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["gaitset", "gaitpart", "gaitgl", "gaitbase", "gaittemplate"])
def test_features_keep_their_scale_at_the_start(name: str, draw_inputs: Inputs) -> None:
    """He's initialisation: neither vanishing nor exploding embeddings, so that the triplet loss has something to do."""
    net = build(name, seed=0).train()
    (silhouettes,) = draw_inputs(net, 4, 6)
    assert 0.1 < net(silhouettes).std() < 30


def test_a_template_is_mean_spread_and_middle_of_the_true_frames(draw_inputs: Inputs) -> None:
    net = build("gaittemplate", seed=0).eval()
    (silhouettes,) = draw_inputs(net, 3, 5)
    lengths = torch.tensor([1, 3, 5])
    for row, length in zip(silhouettes, lengths, strict=True):
        row[length:] = float("nan")
    templates = net.condense(silhouettes, lengths=lengths)
    assert templates is not None
    assert templates.shape == (3, 1, 3, 64, 44)
    for found, row, length in zip(templates[:, 0], silhouettes, lengths, strict=True):
        frames = row[:length, 0]
        torch.testing.assert_close(found[0], frames.mean(dim=0))
        torch.testing.assert_close(found[1], 2 * frames.std(dim=0, correction=0), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(found[2], (frames.amax(dim=0) + frames.amin(dim=0)) / 2)
    assert not templates[0, 0, 1].any()  # a single frame does not spread
    with torch.no_grad():
        assert torch.equal(net(templates), net(silhouettes, lengths=lengths))


def test_a_template_network_needs_a_stride_for_each_block() -> None:
    with pytest.raises(ValueError, match="5 channels need 4 strides, not 3"):
        build("gaittemplate", strides=(1, 2, 1))


def test_batch_norms_never_see_padding(draw_inputs: Inputs) -> None:
    net, same = build("gaitbase", seed=0).train(), build("gaitbase", seed=0).train()
    (silhouettes,) = draw_inputs(net, 2, 4)
    padded = torch.cat([silhouettes, torch.full_like(silhouettes, 9.0)], dim=1)
    net(silhouettes)
    same(padded, lengths=torch.tensor([4, 4]))
    for a, b in zip(net.buffers(), same.buffers(), strict=True):
        torch.testing.assert_close(a, b)
