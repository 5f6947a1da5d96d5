"""``gaitkeeper weights pull``, ``import`` and ``export``, and the page that lists the commands."""

from __future__ import annotations

import io
import json
import re
import sys
from functools import partial
from pathlib import Path

import onnx
import pytest
import torch
import typer
from serving import Run

from bench import plain
from gaitkeeper import models
from gaitkeeper.models.export import run_onnx
from gaitkeeper.service.cli import app

LICENCE = "AGPL-3.0"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


@pytest.fixture
def weights(command: Run) -> Run:
    """``gaitkeeper weights``."""
    return partial(command, "weights")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small checkpoint as the toolkit writes it in training."""
    state = plain.make("gaitbase-narrow").state_dict()
    torch.save({"model": state, "optimizer": {"lr": 0.1}, "iteration": 7}, tmp_path / "in.pt")
    return tmp_path / "in.pt"


def test_a_checkpoint_is_imported_and_the_command_says_what_it_dropped(
    weights: Run, checkpoint: Path, tmp_path: Path
) -> None:
    target = tmp_path / "new" / "gaitbase.safetensors"
    done = weights("import", "--network", "gaitbase", "--format", "opengait", checkpoint, target)
    net = models.load(target)
    assert (done.code, done.err) == (0, "")
    parameters = sum(p.numel() for p in net.parameters())
    assert f"gaitbase: {parameters:,} parameters, weights {net.weights_id} ({target})" in done.out
    assert "channels=(8, 16, 32, 64)" in done.out and "embed_dim=32" in done.out
    dropped = next(line for line in done.out.splitlines() if line.startswith("dropped: "))
    for entry in ("optimizer", "iteration", "BNNecks.fc_bin"):
        assert entry in dropped
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_json_says_the_same(weights: Run, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    reply = json.loads(weights("import", "-n", "gaitbase", checkpoint, target, "--json").out)
    assert (reply["network"], reply["path"]) == ("gaitbase", str(target))
    assert reply["config"] == {"channels": [8, 16, 32, 64], "parts": 16, "embed_dim": 32}
    assert reply["weights_id"] == models.load(target).weights_id
    assert "optimizer" in reply["dropped"]


@pytest.mark.parametrize(
    ("network", "format_", "source", "target", "code", "reason"),
    [
        ("gaitset", "opengait", "in.pt", "out.safetensors", "bad_checkpoint", "no entry"),
        ("gaitbase", "opengait", "none.pt", "out.safetensors", "bad_checkpoint", "no readable checkpoint"),
        ("gaitbase", "opengait", "in.pt", "out.pt", "bad_checkpoint", r"ends in \.safetensors"),
        ("gaitbase", "opengait", "in.pt", "in.pt/out.safetensors", "cannot_write", "cannot be written"),
        ("gaitbase", "opengait", "in.pt", ".", "cannot_write", "it is a folder"),
        ("gaitbase", "other", "in.pt", "out.safetensors", "unknown_network", "Known are opengait"),
        ("gaitprat", "opengait", "in.pt", "out.safetensors", "unknown_network", "gaitbase, gaitgl, gaitpart"),
    ],
)
def test_what_cannot_be_imported_is_a_sentence_and_a_code(
    weights: Run, checkpoint: Path, tmp_path: Path, network: str, format_: str, source: str, target: str, code: str,
    reason: str,
) -> None:  # fmt: skip
    refused = weights("import", "-n", network, "--format", format_, tmp_path / source, tmp_path / target)
    assert (refused.code, refused.out) == (2, "")
    assert re.search(rf"error: .*{reason}.* \[{code}\]", refused.err)
    assert [path.name for path in tmp_path.iterdir()] == ["in.pt"]


def test_an_imported_network_is_exported_and_embeds_the_same(weights: Run, checkpoint: Path, tmp_path: Path) -> None:
    weights("import", "-n", "gaitbase", checkpoint, tmp_path / "net.safetensors")
    net = models.load(tmp_path / "net.safetensors")
    done = weights("export", tmp_path / "net.safetensors", tmp_path / "net.onnx")
    assert (done.code, done.err) == (0, "")
    assert f"gaitbase: weights {net.weights_id} ({tmp_path / 'net.onnx'})" in done.out
    assert "input silhouettes (N, T, 1, 64, 44)" in done.out and "output embeddings (N, 16, 32)" in done.out
    silhouettes = (torch.rand(2, 5, 1, 64, 44, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    lengths = torch.tensor([5, 3])
    with torch.no_grad():
        expected = net(silhouettes, lengths=lengths)
    torch.testing.assert_close(run_onnx(tmp_path / "net.onnx", (silhouettes,), lengths), expected, rtol=1e-4, atol=1e-4)
    about = {prop.key: prop.value for prop in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert about["weights_id"] == net.weights_id


def test_a_network_without_weights_is_exported_with_a_remark(weights: Run, tmp_path: Path) -> None:
    models.save(models.build("gei"), tmp_path / "gei.safetensors")
    assert weights("export", tmp_path / "gei.safetensors", tmp_path / "gei.onnx").err == ""
    done = weights("export", "gaitset", tmp_path / "gaitset.onnx", "--json")
    reply = json.loads(done.out)
    assert reply["inputs"] == {"silhouettes": ["N", "T", 1, 64, 44], "lengths": ["N"]}
    assert reply["outputs"] == {"embeddings": ["N", 62, 256]}
    assert "random" in done.err and reply["weights_id"].startswith("untrained")


def test_an_unknown_network_cannot_be_exported(weights: Run, tmp_path: Path) -> None:
    refused = weights("export", "gaitprat", tmp_path / "net.onnx")
    assert refused.code == 2 and "[unknown_network]" in refused.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("absent", ["onnx", "onnxscript"])
def test_without_the_extra_the_command_says_what_to_install(
    weights: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)  # what makes an import fail as if it were not installed
    refused = weights("export", "gei", tmp_path / "gei.onnx")
    assert refused.code == 2 and "[export_unavailable]" in refused.err and "gaitkeeper-id[export]" in refused.err
    assert not list(tmp_path.iterdir())


def commands(group: typer.Typer, before: str = "gaitkeeper") -> set[str]:
    """Full names of every command."""
    own = {f"{before} {c.name or c.callback.__name__.replace('_', '-')}" for c in group.registered_commands}
    return own.union(*(commands(inner.typer_instance, f"{before} {inner.name}") for inner in group.registered_groups))


def test_the_page_lists_the_commands_that_there_are() -> None:
    rows = re.findall(r"^\| `(gaitkeeper [^`]+)` \|", PAGE.read_text(), re.MULTILINE)
    words = [[word for word in row.split() if re.fullmatch("[a-z][a-z-]*", word)] for row in rows]
    assert sorted(" ".join(row) for row in words) == sorted(commands(app))


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def unaccepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder with a file of a network whose licence nobody accepted."""
    monkeypatch.setenv("GAITKEEPER_CACHE", str(tmp_path))
    monkeypatch.delenv("GAITKEEPER_ACCEPT_LICENSES", raising=False)
    (tmp_path / "yolo26m-seg.pt").write_bytes(b"a stand-in")
    return tmp_path


def test_a_licence_is_to_be_accepted_first(weights: Run, unaccepted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = weights("pull", "yolo26m-seg")
    assert refused.code != 0 and "[licence_not_accepted]" in refused.err
    assert f"GAITKEEPER_ACCEPT_LICENSES={LICENCE}" in refused.err
    monkeypatch.setenv("GAITKEEPER_ACCEPT_LICENSES", LICENCE)
    done = weights("pull", "yolo26m-seg")
    assert done.code == 0 and f"recorded, {LICENCE}" in done.out


def test_a_yes_at_the_prompt_accepts(weights: Run, unaccepted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert "[licence_not_accepted]" in weights("pull", "yolo26m-seg").err
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    asked = weights("pull", "yolo26m-seg", "--json")
    assert asked.code == 0 and LICENCE in asked.err  # shown before it is asked for
    [row] = json.loads(asked.out)
    assert row["state"] == "recorded" and row["licence"] == LICENCE
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert weights("pull", "yolo26m-seg").code == 0  # remembered
