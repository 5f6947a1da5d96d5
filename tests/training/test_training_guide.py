"""docs/training.md does what it says: its files are used as printed, and its commands run in their order."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from making import write_sequences
from typer.main import get_command
from typer.testing import CliRunner

from bench import plain_deep
from gaitkeeper import models
from gaitkeeper.service.cli import app
from gaitkeeper.training.config import load_config
from gaitkeeper.training.loop import make_network
from gaitkeeper.training.memory import needed

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```toml file=(\S+)\n(.+?)^```", PAGE, re.M | re.S))
COMMANDS = [line for block in re.findall(r"^```sh\n(.+?)^```", PAGE, re.M | re.S) for line in block.splitlines()]
ELSEWHERE = {
    "dataset build": "test_datasets_build.py",
    "calibrate": "test_own_people.py",
}
"""Commands that perceive clips, and the tests that run them."""


def brief(text: str) -> str:
    """With a thousandth of the steps: 2000 become 2, in files, options and folders."""
    text = re.sub(r"\bsteps ?= ?(\d)000\b", r"steps=\1", text)
    text = re.sub(r"(warmup|checkpoint_every) = \d+", r"\1 = 1", text)
    return re.sub(r"step-0000(\d)000", r"step-0000000\1", text)


def test_the_guide_has_its_files_and_every_kind_of_step() -> None:
    assert FILES.keys() == {"people.toml", "own.toml"}
    words = " ".join(COMMANDS)
    for step in ("dataset build", "--estimate", "--status", "--set steps", "evaluate", "calibrate", "export", "import"):
        assert step in words


@pytest.mark.parametrize("command", [c for c in COMMANDS if any(f"gaitkeeper {name}" in c for name in ELSEWHERE)])
def test_commands_that_are_run_elsewhere_exist_with_their_options(command: str) -> None:
    name = next(name for name in ELSEWHERE if f"gaitkeeper {name}" in command)
    assert (Path(__file__).parent / ELSEWHERE[name]).is_file()
    click_command = get_command(app)
    for word in name.split():
        click_command = click_command.commands[word]  # type: ignore[attr-defined]
    known = {option for parameter in click_command.params for option in parameter.opts}
    assert {word for word in shlex.split(command) if word.startswith("--")} <= known


def test_the_table_of_steps_is_of_the_shipped_files() -> None:
    folder = Path(__file__).resolve().parents[2] / "training" / "configs"
    table, _, rest = PAGE.partition("## Memory and time\n")[2].partition("\nNot measured: ")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", table, re.M))
    assert rows
    assert rows.keys() | set(re.findall(r"`([\w-]+)`", rest)) == {file.stem for file in folder.glob("*.toml")}
    for name, row in rows.items():
        config = load_config(folder / f"{name}.toml", ["run.threads=1", "run.device=cpu"])
        batch, people, needs, _, _ = row.split(" | ")
        assert batch == f"{config.batch.people} × {config.batch.takes} × {config.batch.frames}"
        if name in ("gaitbase-walkers-cpu", "gaitset-casia-b", "jointsgait-kinect"):
            net = make_network(config, int(people))
            assert needed(config, net, half=False).total / 1e9 == pytest.approx(float(needs), rel=0.05, abs=0.05)


def test_its_commands_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_sequences(tmp_path / "walks", people=7, takes=4, frames=16)
    for name, text in FILES.items():
        (tmp_path / name).write_text(brief(text), encoding="utf-8")
    torch.save(plain_deep.make("deepgaitv2-p3d").state_dict(), tmp_path / "checkpoint.pt")
    ran = [c for c in COMMANDS if not any(f"gaitkeeper {name}" in c for name in ELSEWHERE)]
    outputs = {}
    for command in ran:
        program, *arguments = shlex.split(brief(command))
        assert program == "gaitkeeper"
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, (command, done.output)
        outputs[command] = done.stdout
    assert len(outputs) == len(COMMANDS) - len(ELSEWHERE)
    assert "own: done, 2 of 2 steps" in outputs["gaitkeeper train own.toml --status"]
    assert "3 steps in" in outputs["gaitkeeper train own.toml --set steps=3000"]
    results = json.loads((tmp_path / "own.json").read_text(encoding="utf-8"))
    assert [result["network"] for result in results] == ["gei", "gaitbase", "gaitbase"]
    assert {result["people"] for result in results} == {3}
    with (tmp_path / "own.csv").open(encoding="utf-8", newline="") as file:
        assert {line["network"] for line in csv.DictReader(file)} == {"gei", "gaitbase"}
    assert "\\toprule" in (tmp_path / "own.tex").read_text(encoding="utf-8")
    assert (tmp_path / "own.onnx").stat().st_size > 100_000
    assert models.load(tmp_path / "deepgaitv2.safetensors").config.blocks == (2, 3, 1, 2)
