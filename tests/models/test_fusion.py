"""Networks fused at the level of their distances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gaitkeeper import models
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.distance import part_distances
from gaitkeeper.models.errors import WeightsCorrupt
from gaitkeeper.models.fusion import Fusion, factors_of

Inputs = Callable[..., tuple[Tensor, ...]]
OPTIONS = ((("channels", (4, 8, 16)), ("embed_dim", 12)), (("embed_dim", 20), ("scales", (1, 2))))


@pytest.fixture
def fused() -> Fusion:
    factors = factors_of(((16, 12), (3, 20)), (0.7, 0.2))
    net = models.build("fusion", seed=0, options=OPTIONS, factors=factors).eval()
    assert isinstance(net, Fusion)
    return net


def test_the_distance_is_the_weighted_sum_of_the_members(fused: Fusion, draw_inputs: Inputs) -> None:
    silhouettes, joints = draw_inputs(fused, 5, 8)
    part, pose = fused.members
    with torch.no_grad():
        together = fused(silhouettes, joints)
        alone = [part_distances(e, e) for e in (part(silhouettes), pose(joints))]
    assert together.shape == (5, 19, 20)
    torch.testing.assert_close(
        part_distances(together, together), 0.7 * alone[0] + 0.2 * alone[1], rtol=1e-4, atol=1e-4
    )


def test_parts_keep_their_place_in_the_picture(fused: Fusion) -> None:
    assert fused.strips == (*models.build("gaitpart").strips, None, None, None)


def test_a_member_may_read_both_inputs(draw_inputs: Inputs) -> None:
    options = ((("channels", (4, 4, 4)), ("stem", 4), ("embed_dim", 8)), (("embed_dim", 8),))
    net = models.build("fusion", seed=0, members=("gaittake", "jointsgait"), options=options).eval()
    assert net(*draw_inputs(net, 2, 6)).shape == (2, 64 + 6, 8)


def test_a_fusion_reads_what_its_members_read_and_no_more(draw_inputs: Inputs) -> None:
    heat = (("channels", (4, 4, 8, 8)), ("stem_stride", 2), ("parts", 4), ("embed_dim", 8))
    part = (("channels", (4, 8, 16)), ("embed_dim", 8))
    net = models.build("fusion", seed=0, members=("gaitheat", "gaitpart"), options=(heat, part), factors=(1.0, 2.0))
    assert net.inputs == ("silhouettes", "heatmaps") and models.build("fusion").inputs == ("silhouettes", "joints")
    silhouettes, heatmaps = draw_inputs(net.eval(), 2, 6)
    with torch.no_grad():
        both, alone = net(silhouettes, heatmaps), net.get_submodule("members.0")(heatmaps)
    assert both.shape == (2, 4 + 16, 8)
    torch.testing.assert_close(both[:, :4], alone)


@pytest.mark.parametrize(
    "config",
    [
        {"members": ("gaitpart", "fusion")},
        {"members": ("gaitpart", "nobody")},
        {"members": ()},
        {"factors": (1.0,)},
    ],
)
def test_what_cannot_be_fused_is_refused(config: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="fus"):
        models.build("fusion", **config)


def test_a_file_that_names_strange_members_is_no_weights_file(fused: Fusion, tmp_path: Path) -> None:
    path = tmp_path / "fused.safetensors"
    models.save(fused, path)
    again = models.load(path)
    assert again.config == fused.config
    path.write_bytes(path.read_bytes().replace(b"jointsgait", b"jointsgaat"))
    with pytest.raises(WeightsCorrupt, match="jointsgaat"):
        models.load(path)


def test_every_network_of_the_registry_may_be_asked(fused: Fusion) -> None:
    assert isinstance(fused, GaitNetwork)
    assert all(isinstance(member, GaitNetwork) for member in fused.members)
