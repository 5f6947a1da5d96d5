"""What every network promises. A network joins by its line in ``models.NETWORKS``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gaitkeeper import models
from gaitkeeper.models import NETWORKS, GaitNetwork, build, load
from gaitkeeper.models.errors import ExportUnavailable
from gaitkeeper.models.export import export_onnx, run_onnx
from gaitkeeper.models.inference import embed

Inputs = Callable[..., tuple[Tensor, ...]]
LENGTHS = [6, 1, 4, 2]
NARROW: dict[str, dict[str, Any]] = {
    **{name: {"channels": (16, 32, 64, 128), "embed_dim": 64} for name in ("gaitbase", "gaitheat")},
    **{name: {"channels": (16, 32, 64, 128), "embed_dim": 64} for name in ("deepgaitv2", "skeletongaitpp")},
    "fusion": {"options": ((("channels", (8, 16, 32)),), (("channels", (16,) * 9),))},
}
"""Networks a sixteenth of the work, for what does not hang on the number of channels."""

every_network = pytest.mark.parametrize("name", sorted(NETWORKS))
learnt_network = pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"gei"}))
classifying_network = pytest.mark.parametrize(
    "name", [n for n in sorted(NETWORKS) if "num_classes" in {f.name for f in fields(NETWORKS[n].Config)}]
)


@pytest.fixture
def net(name: str) -> GaitNetwork:
    return build(name, seed=0).eval()


@pytest.fixture
def narrow(name: str) -> GaitNetwork:
    return build(name, seed=0, **NARROW.get(name, {})).eval()


def batch(draw_inputs: Inputs, net: GaitNetwork, garbage: float) -> tuple[tuple[Tensor, ...], Tensor]:
    """Sequences of different lengths, garbage after the end of each."""
    tensors = draw_inputs(net, len(LENGTHS), max(LENGTHS))
    for tensor in tensors:
        for row, length in zip(tensor, LENGTHS, strict=True):
            row[length:] = garbage
    return tensors, torch.tensor(LENGTHS)


def one_by_one(net: GaitNetwork, tensors: tuple[Tensor, ...]) -> Tensor:
    """Embeddings of the sequences of such a batch, each alone."""
    return torch.cat([net(*(t[i : i + 1, :end] for t in tensors)) for i, end in enumerate(LENGTHS)])


@every_network
def test_says_what_it_is(name: str, net: GaitNetwork) -> None:
    assert net.name == name
    assert set(net.inputs) <= {"silhouettes", "joints", "heatmaps"}
    assert is_dataclass(net.config)
    assert isinstance(net.config, net.Config)
    assert json.loads(json.dumps(asdict(net.config))).keys() == asdict(net.config).keys()
    assert len(net.frame_shapes) == len(net.inputs)
    assert net.weights_id == ("none" if name == "gei" else "untrained")
    assert net.__doc__
    assert type(net).forward.__doc__


@every_network
def test_embeds_to_its_out_shape(net: GaitNetwork, draw_inputs: Inputs) -> None:
    out = net(*draw_inputs(net, 2, 5))
    assert out.shape == (2, *net.out_shape)
    assert out.dtype == torch.float32
    assert out.isfinite().all()
    assert out.std() > 0


@every_network
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("garbage", [1e4, float("nan")])
def test_a_batch_of_any_lengths_equals_lone_sequences(
    narrow: GaitNetwork, draw_inputs: Inputs, gradients: bool, garbage: float
) -> None:
    tensors, lengths = batch(draw_inputs, narrow, garbage)
    with torch.set_grad_enabled(gradients):
        together = narrow(*tensors, lengths=lengths)
        alone = one_by_one(narrow, tensors)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@every_network
def test_equal_lengths_may_be_left_out(narrow: GaitNetwork, draw_inputs: Inputs) -> None:
    tensors = draw_inputs(narrow, 2, 5)
    with torch.no_grad():
        torch.testing.assert_close(
            narrow(*tensors), narrow(*tensors, lengths=torch.tensor([5, 5])), rtol=1e-5, atol=1e-5
        )


@every_network
def test_embedding_twice_gives_the_same(narrow: GaitNetwork, draw_inputs: Inputs) -> None:
    tensors = draw_inputs(narrow, 1, 5)
    with torch.no_grad():
        assert torch.equal(narrow(*tensors), narrow(*tensors))


@learnt_network
def test_different_walkers_get_different_embeddings(net: GaitNetwork, draw_inputs: Inputs) -> None:
    with torch.no_grad():
        a, b = net(*draw_inputs(net, 2, 5))
    assert ((a - b).norm(dim=1) > 1e-3 * a.norm(dim=1)).all()


@learnt_network
def test_every_parameter_learns_from_padded_batches(name: str, draw_inputs: Inputs) -> None:
    config = {"num_classes": 5} if "num_classes" in {f.name for f in fields(NETWORKS[name].Config)} else {}
    net = build(name, seed=0, **config, **NARROW.get(name, {})).train()
    tensors, lengths = batch(draw_inputs, net, float("nan"))
    out = net.training_outputs(*tensors, lengths=lengths)
    assert out.embeddings["main"].shape == (len(LENGTHS), *net.out_shape)
    assert out.logits is None or all(x.shape[0] == len(LENGTHS) and x.shape[2] == 5 for x in out.logits.values())
    branches = [*out.embeddings.values(), *(out.logits or {}).values()]
    generator = torch.Generator().manual_seed(1)
    torch.stack([(x * torch.randn(x.shape, generator=generator)).sum() for x in branches]).sum().backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
    assert all(buffer.isfinite().all() for buffer in net.buffers())


@every_network
def test_a_seed_makes_the_same_weights_and_leaves_the_generator_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    first, second, other = build(name, seed=1), build(name, seed=1), build(name, seed=2)
    assert torch.equal(before, torch.random.get_rng_state())
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    if list(first.parameters()):
        assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@every_network
def test_saved_and_loaded_it_embeds_the_same(name: str, net: GaitNetwork, draw_inputs: Inputs, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    models.save(net, path)
    loaded = load(path)
    assert loaded.config == net.config
    assert not loaded.training
    assert loaded.weights_id == "none" if name == "gei" else len(loaded.weights_id) == 16
    assert loaded.trained
    tensors = draw_inputs(net, 1, 5)
    with torch.no_grad():
        assert torch.equal(loaded(*tensors), net(*tensors))


@learnt_network
def test_half_precision_file_is_half_as_big_and_embeds_alike(
    net: GaitNetwork, draw_inputs: Inputs, tmp_path: Path
) -> None:
    models.save(net, tmp_path / "full.safetensors")
    models.save(net, tmp_path / "half.safetensors", half=True)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.55 * (tmp_path / "full.safetensors").stat().st_size
    loaded = load(tmp_path / "half.safetensors")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    tensors = draw_inputs(net, 1, 5)
    with torch.no_grad():
        close_parts(loaded(*tensors), net(*tensors), 5e-3)


@every_network
def test_bfloat16_stays_within_one_percent(net: GaitNetwork, draw_inputs: Inputs) -> None:
    tensors, lengths = batch(draw_inputs, net, 0.0)
    exact = embed(net, tensors, lengths, "fp32")
    fast = embed(net, tensors, lengths, "bf16")
    assert fast.dtype == torch.float32
    difference = (fast - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)
    assert difference.max() <= 1e-2
    close_parts(fast, exact, 2e-2)


@learnt_network
def test_a_step_in_bfloat16_moves_every_weight(name: str, draw_inputs: Inputs) -> None:
    classes = {"num_classes": 5} if "num_classes" in {f.name for f in fields(NETWORKS[name].Config)} else {}
    net = build(name, seed=0, **NARROW.get(name, {}), **classes).train()
    tensors = tuple(tensor.bfloat16() for tensor in draw_inputs(net, 3, 6))  # Fabric's mixed precision gives these
    with torch.autocast("cpu", torch.bfloat16):
        out = net.training_outputs(*tensors)
        told = [*out.embeddings.values(), *(out.logits or {}).values()]
        sum(one.float().square().mean() for one in told).backward()
    assert all(torch.isfinite(one).all() for one in told)
    still = [key for key, weight in net.named_parameters() if weight.requires_grad and weight.grad is None]
    assert not still


@classifying_network
def test_the_classifier_stays_out_of_weights_files(name: str, draw_inputs: Inputs, tmp_path: Path) -> None:
    net = build(name, seed=0, num_classes=5).eval()
    assert any(key.startswith("classifier.") for key in net.state_dict())
    models.save(net, tmp_path / "net.safetensors")
    loaded = load(tmp_path / "net.safetensors")
    assert loaded.config.num_classes is None
    assert not any("classifier" in key for key in loaded.state_dict())
    tensors = draw_inputs(net, 1, 5)
    with torch.no_grad():
        assert torch.equal(loaded(*tensors), net(*tensors))


@every_network
def test_onnx_takes_any_sequences_and_agrees(name: str, draw_inputs: Inputs, tmp_path: Path) -> None:
    net = load(name)
    path = tmp_path / "net.onnx"
    export_onnx(net, path)
    tensors, lengths = batch(draw_inputs, net, 1e3)
    with torch.no_grad():
        together = net(*tensors, lengths=lengths)
        torch.testing.assert_close(run_onnx(path, tensors, lengths), together, rtol=1e-4, atol=1e-4)
        one = draw_inputs(net, 1, 9, seed=1)
        torch.testing.assert_close(run_onnx(path, one), net(*one), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("absent", ["onnx", "onnxscript"])
def test_onnx_files_need_the_extra(absent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, absent, None)  # what makes an import fail as if it were not installed
    with pytest.raises(ExportUnavailable, match=rf"{absent}.*gaitkeeper-id\[export\]"):
        export_onnx(build("gei"), tmp_path / "gei.onnx")


def close_parts(found: Tensor, exact: Tensor, tolerance: float) -> None:
    """Relative difference, as the norm of each part."""
    difference = (found - exact).norm(dim=2) / exact.norm(dim=2)
    assert difference.max() <= tolerance


SMALL: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "gaitset": ({"channels": (4, 8, 16), "bins": (8, 4, 2, 1), "embed_dim": 8}, (30, 8)),
    "gstsn": ({"channels": (4, 8, 16), "hidden": 8, "embed_dim": 8}, (45, 8)),
    "gaitpart": ({"channels": (4, 8, 16), "pools": 1, "embed_dim": 8}, (16, 8)),
    "gaitbase": ({"channels": (4, 8, 16, 32), "parts": 8, "embed_dim": 8}, (8, 8)),
    "gaitheat": ({"channels": (4, 8, 16, 32), "parts": 8, "embed_dim": 8}, (8, 8)),
    "deepgaitv2": ({"channels": (4, 8, 16, 32), "parts": 8, "embed_dim": 8}, (8, 8)),
    "skeletongaitpp": ({"channels": (4, 8, 16, 32), "parts": 8, "embed_dim": 8}, (8, 8)),
    "gaittake": ({"stem": 4, "channels": (4, 4, 4), "strips": 4, "embed_dim": 8}, (32, 8)),
}


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_stem_of_stride_two_halves_the_maps(name: str, draw_inputs: Inputs) -> None:
    options, shape = SMALL[name]
    small = build(name, seed=0, stem_stride=2, **options).eval()
    tensors, lengths = batch(draw_inputs, small, float("nan"))
    with torch.no_grad():
        together, alone = small(*tensors, lengths=lengths), one_by_one(small, tensors)
    assert together.shape == (len(LENGTHS), *shape)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
