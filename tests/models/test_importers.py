"""Published checkpoints: embeddings equal the original's, and nothing but tensors is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench import plain, plain_deep
from gaitkeeper import models
from gaitkeeper.models.errors import BadCheckpoint, UnknownNetwork
from gaitkeeper.models.importers import import_checkpoint
from gaitkeeper.models.skeletongaitpp import skeleton_maps

Inputs = Callable[..., tuple[Tensor, ...]]


VARIANTS = [*plain.MAKE, *plain_deep.MAKE]


def network_of(variant: str) -> str:
    return variant.split("-")[0]


def made(variant: str) -> nn.Module:
    return (plain if variant in plain.MAKE else plain_deep).make(variant)


def as_published(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The inputs of the published network: skeleton maps in place of joints."""
    return tuple(skeleton_maps(x.flatten(0, 1)).unflatten(0, x.shape[:2]) if x.dim() == 4 else x for x in tensors)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("nested", [False, True])
def test_embeds_as_the_original(variant: str, nested: bool, draw_inputs: Inputs, tmp_path: Path) -> None:
    original = made(variant)
    state = original.state_dict()
    torch.save({"model": state, "optimizer": {"lr": 0.1}, "iteration": 7} if nested else state, tmp_path / "in.pt")
    report = import_checkpoint(network_of(variant), "opengait", tmp_path / "in.pt", tmp_path / "out.safetensors")
    net = models.load(tmp_path / "out.safetensors")
    assert (net.name, net.weights_id) == (network_of(variant), report.weights_id)
    assert report.parameters == sum(p.numel() for p in net.parameters())
    for frames in (1, 2, 7):
        tensors = draw_inputs(net, 2, frames)
        with torch.no_grad():
            expected = original(*as_published(tensors))
            assert expected.shape[1:] == net.out_shape
            # Sums are rounded in another order, by a share of the largest values that are summed.
            largest = float(expected.abs().max())
            torch.testing.assert_close(net(*tensors), expected, rtol=1e-4, atol=1e-4 * max(largest, 1.0))
    assert (set(report.dropped) >= {"optimizer", "iteration"}) == nested
    left_out = sum(p.numel() for n, p in original.named_parameters() if n in report.dropped)
    assert report.parameters + left_out == sum(p.numel() for p in original.parameters())


@pytest.mark.parametrize(
    ("variant", "dropped"),
    [("gaitgl", "Head1.fc_bin"), ("gaitbase-narrow", "BNNecks.fc_bin"), ("deepgaitv2-3d", "BNNecks.bn1d.weight")],
)
def test_the_classifier_is_dropped_and_reported(variant: str, dropped: str, tmp_path: Path) -> None:
    torch.save(made(variant).state_dict(), tmp_path / "in.pt")
    report = import_checkpoint(network_of(variant), "opengait", tmp_path / "in.pt", tmp_path / "out.safetensors")
    assert dropped in report.dropped


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def spoilt(state: dict[str, Tensor], how: str, folder: Path) -> object:
    """A checkpoint that must be refused."""
    name = "Head.fc_bin"
    return {
        "code": {**state, "extra": Evil(folder / "executed")},
        "a whole module": nn.Linear(2, 2),
        "no dict": [1, 2],
        "empty": {},
        "a number among the tensors": {**state, "epoch": 3},
        "an entry missing": {key: t for key, t in state.items() if key != name},
        "an entry too many": {**state, "Backbone.other": torch.zeros(1)},
        "another shape": {**state, name: state[name][:, :-1]},
        "no dimensions": {**state, name: torch.tensor(1.0)},
        "not a number": {**state, name: state[name] * float("nan")},
        "strides of zero": {**state, name: torch.zeros(1).expand(16, 128, 1_000_000)},
    }[how]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("code", "more than tensors"),
        ("a whole module", "more than tensors"),
        ("no dict", "no state dict"),
        ("empty", "no state dict"),
        ("a number among the tensors", "'epoch' is not a tensor"),
        ("an entry missing", "no entry 'Head.fc_bin'"),
        ("an entry too many", "Backbone.other"),
        ("another shape", "does not fit"),
        ("no dimensions", "shapes that gaitpart cannot have"),
        ("not a number", "not finite"),
        ("strides of zero", "more numbers than the file contains"),
    ],
)
def test_anything_else_is_refused_with_the_reason(how: str, reason: str, tmp_path: Path) -> None:
    state = plain.make("gaitpart").state_dict()
    torch.save(spoilt(state, how, tmp_path), tmp_path / "in.pt")
    with pytest.raises(BadCheckpoint, match=reason):
        import_checkpoint("gaitpart", "opengait", tmp_path / "in.pt", tmp_path / "out.safetensors")
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 no zip either", b"\x80\x02."])
def test_files_that_are_no_checkpoint_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "in.pt").write_bytes(content)
    with pytest.raises(BadCheckpoint):
        import_checkpoint("gaitset", "opengait", tmp_path / "in.pt", tmp_path / "out.safetensors")


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save(plain.make("gaitpart").state_dict(), tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "in.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadCheckpoint):
        import_checkpoint("gaitpart", "opengait", tmp_path / "in.pt", tmp_path / "out.safetensors")


def test_another_networks_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save(plain.make("gaitpart").state_dict(), tmp_path / "in.pt")
    with pytest.raises(BadCheckpoint, match="no entry"):
        import_checkpoint("gaitset", "opengait", tmp_path / "in.pt", tmp_path / "out.safetensors")


def test_missing_files_and_unknown_names_say_so(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match="no readable checkpoint"):
        import_checkpoint("gaitset", "opengait", tmp_path / "none.pt", tmp_path / "out.safetensors")
    with pytest.raises(BadCheckpoint, match=r"ends in \.safetensors, not in '\.pt'"):
        import_checkpoint("gaitset", "opengait", tmp_path / "none.pt", tmp_path / "out.pt")
    with pytest.raises(UnknownNetwork, match="deepgaitv2, gaitbase, gaitgl, gaitpart, gaitset, skeletongaitpp"):
        import_checkpoint("jointsgait", "opengait", tmp_path / "none.pt", tmp_path / "out.safetensors")
    with pytest.raises(UnknownNetwork, match="opengait"):
        import_checkpoint("gaitset", "other", tmp_path / "none.pt", tmp_path / "out.safetensors")
