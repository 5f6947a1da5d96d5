"""Building by name, loading shipped and given weights, and files that are not what they say."""

from __future__ import annotations

import hashlib
import json
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gaitkeeper import models
from gaitkeeper.models import NETWORKS, build, load, weights
from gaitkeeper.models.errors import UnknownNetwork, WeightsCorrupt, WeightsMissing


def test_the_registry_names_each_network_by_its_own_name() -> None:
    assert {name: network.name for name, network in NETWORKS.items()} == {name: name for name in NETWORKS}


@pytest.mark.parametrize("ask", [build, load])
def test_an_unknown_name_is_answered_with_the_known_ones(ask: type) -> None:
    with pytest.raises(UnknownNetwork, match=r"gaitpart.*gaitset.*gei") as caught:
        ask("gaitprat")
    assert caught.value.code == "unknown_network"


def test_an_unknown_config_field_is_refused() -> None:
    with pytest.raises(TypeError, match="embed_dims"):
        build("gaitpart", embed_dims=3)


def test_without_listed_weights_a_network_is_seeded_and_says_untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "manifest", dict)
    first, second = load("gaitset"), load("gaitset")
    assert first.weights_id == "untrained-seed0"
    assert not first.trained
    assert not first.training
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_without_a_seed_every_network_is_another() -> None:
    a, b = build("gaitset"), build("gaitset")
    assert not torch.equal(a.fc.weight, b.fc.weight)
    assert a.training
    assert a.weights_id == "untrained"


def test_listed_weights_are_loaded_by_name_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = build("gaitset", seed=3, embed_dim=8)
    models.save(net, tmp_path / "shipped.safetensors")
    digest = hashlib.sha256((tmp_path / "shipped.safetensors").read_bytes()).hexdigest()
    entry = weights.Entry("gaitset", "network", "shipped.safetensors", digest, "Apache-2.0")
    monkeypatch.setattr(weights, "manifest", lambda: {"gaitset": entry})
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    monkeypatch.setenv("GAITKEEPER_CACHE", str(tmp_path / "cache"))
    loaded = load("gaitset")
    assert loaded.weights_id == digest[:16]
    assert loaded.trained
    assert torch.equal(loaded.fc.weight, net.fc.weight)
    (tmp_path / "shipped.safetensors").write_bytes(b"something else")
    with pytest.raises(WeightsCorrupt):
        load("gaitset")
    (tmp_path / "shipped.safetensors").unlink()
    with pytest.raises(WeightsMissing, match="weights pull gaitset"):
        load("gaitset")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"none\.safetensors"):
        load(tmp_path / "none.safetensors")


def test_config_comes_back_as_it_was(tmp_path: Path) -> None:
    net = build("gaitpart", channels=(4, 8, 16), strips=(1, 2, 4), windows=(3,), embed_dim=8)
    models.save(net, tmp_path / "net.safetensors")
    assert load(str(tmp_path / "net.safetensors")).config == net.config


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    tensors = load_file(path)
    about = header["__metadata__"]
    if how == "no safetensors":
        path.write_bytes(b"\x80\x02 a pickle, perhaps")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(data[:-8])
    elif how == "a header longer than the file":
        path.write_bytes((2**40).to_bytes(8, "little") + data[8:])
    elif how == "no metadata":
        save_file(tensors, path)
    elif how == "another format":
        save_file(tensors, path, about | {"format": "gaitkeeper-weights/999"})
    elif how == "an unknown network":
        save_file(tensors, path, about | {"network": "gaitprat"})
    elif how == "a broken config":
        save_file(tensors, path, about | {"config": "{"})
    elif how == "a config that is no dict":
        save_file(tensors, path, about | {"config": "[1]"})
    elif how == "an unknown field":
        save_file(tensors, path, about | {"config": '{"no_such_field": 1}'})
    elif how == "a value of another kind":
        save_file(tensors, path, about | {"config": '{"embed_dim": "many"}'})
    elif how == "other widths":
        save_file(tensors, path, about | {"config": '{"embed_dim": 16}'})
    elif how == "more depth than tensors":
        save_file(tensors, path, about | {"network": "gaitgl", "config": '{"depth": 1000000}'})
    elif how == "a depth beyond counting":
        save_file(tensors, path, about | {"network": "gaitgl", "config": '{"depth": 1000000000000}'})
    elif how == "a tensor missing":
        save_file({k: v for k, v in tensors.items() if k != "fc.weight"}, path, about)
    elif how == "a tensor too many":
        save_file(tensors | {"extra": torch.zeros(1)}, path, about)


@pytest.mark.parametrize(
    "how",
    [
        "no safetensors",
        "empty",
        "truncated",
        "a header longer than the file",
        "no metadata",
        "another format",
        "an unknown network",
        "a broken config",
        "a config that is no dict",
        "an unknown field",
        "a value of another kind",
        "other widths",
        "more depth than tensors",
        "a depth beyond counting",
        "a tensor missing",
        "a tensor too many",
    ],
)
def test_a_file_that_is_not_what_it_says_is_corrupt(how: str, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    models.save(build("gaitpart", embed_dim=8), path)
    load(path)
    spoil(path, how)
    with pytest.raises(WeightsCorrupt):
        load(path)


def test_a_config_that_asks_for_much_memory_gets_none(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    models.save(build("gaitpart", embed_dim=8), path)
    header = {"format": "gaitkeeper-weights/1", "network": "gaitpart", "config": '{"embed_dim": 200000}'}
    save_file(load_file(path), path, header)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # the most so far, in KiB
    with pytest.raises(WeightsCorrupt, match=r"fc\.weight is \(16, 128, 8\), expected \(16, 128, 200000\)"):
        load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # the network would take 1.6 GB


@pytest.mark.parametrize("config", ['{"skeleton": "kinect"}', '{"skeleton": "kinect", "pooling": "window"}'])
def test_variants_are_loaded_as_they_were(config: str, tmp_path: Path) -> None:
    net = build("jointsgait", **json.loads(config))
    models.save(net, tmp_path / "net.safetensors")
    assert load(tmp_path / "net.safetensors").config == net.config
