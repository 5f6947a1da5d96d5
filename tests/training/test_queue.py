"""A queue of trainings: in order, resumed after kill -9, a few at a time, and told of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from making import kinect_config, write_kinect
from safetensors.torch import load_file
from test_loop import _toml
from typer.testing import CliRunner

from gaitkeeper.service.cli import app
from gaitkeeper.training.claims import claim, is_held
from gaitkeeper.training.errors import BadTrainingConfig, TrainingRunning
from gaitkeeper.training.loop import train
from gaitkeeper.training.queue import configurations, standing, standings, work_off

PATIENCE = 180


@pytest.fixture(scope="module")
def kinect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kinect(tmp_path_factory.mktemp("kinect"))


def put(folder: Path, kinect: Path, name: str, **changes: Any) -> Path:
    """A configuration file in the queue's folder."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(_toml(kinect_config(kinect, **changes)))
    return path


def states(paths: list[Path], runs: Path) -> dict[str, tuple[str, int, int]]:
    return {each.name: (each.state, each.step, each.steps) for each in standings(paths, runs)}


def logged_steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]


KILLED_AFTER_FOUR = """
import os, sys
from pathlib import Path
from gaitkeeper.training import loop, queue

def save(fabric, run, step, *others, keep, before=loop.save_checkpoint):
    before(fabric, run, step, *others, keep=keep)
    if (run.name, step) == ("b", 4):
        os.kill(os.getpid(), 9)

loop.save_checkpoint = save
queue.work_off([Path(sys.argv[1])], Path(sys.argv[2]))
"""


def test_a_queue_killed_in_its_second_training_goes_on_there_to_the_same_bits(kinect: Path, tmp_path: Path) -> None:
    folder, runs = tmp_path / "queue", tmp_path / "runs"
    put(folder, kinect, "a", steps=2)
    put(folder, kinect, "b", steps=6)
    put(folder, kinect, "c", steps=2)
    assert states([folder], runs) == {"a": ("waiting", 0, 2), "b": ("waiting", 0, 6), "c": ("waiting", 0, 2)}
    command = [sys.executable, "-c", KILLED_AFTER_FOUR, str(folder), str(runs)]
    killed = subprocess.run(command, check=False, timeout=240, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert states([folder], runs) == {"a": ("done", 2, 2), "b": ("stopped", 4, 6), "c": ("waiting", 0, 2)}
    half_a_line = runs / "b" / "log.jsonl"
    half_a_line.write_text(half_a_line.read_text() + '{"step": 5, "lo')
    result = CliRunner().invoke(app, ["train", str(folder), "--out", str(runs), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [(each["name"], each["state"], each["step"]) for each in told] == [
        ("a", "done", 2),
        ("b", "done", 6),
        ("c", "done", 2),
    ]
    assert logged_steps(runs / "a") == [1, 2]  # it was not touched again
    whole = train(kinect_config(kinect, steps=6), tmp_path / "whole")
    ours, theirs = load_file(whole.weights), load_file(runs / "b" / "step-00000006" / "weights.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_two_processes_share_a_queue_out(kinect: Path, tmp_path: Path) -> None:
    folder, runs = tmp_path / "queue", tmp_path / "runs"
    for name in ("a", "b", "c"):
        put(folder, kinect, name, steps=3)
    command = [sys.executable, "-m", "gaitkeeper", "train", str(folder), "--processes", "2", "--out", str(runs)]
    done = subprocess.run([*command, "--set", "steps=4"], check=False, timeout=400, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.split(", loss")[0] for line in done.stdout.splitlines()] == [
        f"{name}: done, 4 of 4 steps" for name in "abc"
    ]
    assert all(logged_steps(runs / name) == [1, 2, 3, 4] for name in "abc")


def test_processes_of_a_queue_end_with_the_one_that_started_them(kinect: Path, tmp_path: Path) -> None:
    folder, runs = tmp_path / "queue", tmp_path / "runs"
    for name in ("a", "b"):
        put(folder, kinect, name, steps=1_000_000)
    command = [sys.executable, "-m", "gaitkeeper", "train", str(folder), "--processes", "2", "--out", str(runs)]
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(lambda: is_held(runs / "a") and is_held(runs / "b"))
        parent.terminate()
        assert parent.wait(PATIENCE) == 128 + signal.SIGTERM
        wait_for(lambda: not is_held(runs / "a") and not is_held(runs / "b"))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_training_in_other_hands_is_passed_over_and_refused(kinect: Path, tmp_path: Path) -> None:
    folder, runs = tmp_path / "queue", tmp_path / "runs"
    path = put(folder, kinect, "a", steps=2)
    put(folder, kinect, "b", steps=2)
    with claim(runs / "a"):
        work_off([folder], runs)
        assert states([folder], runs) == {"a": ("running", 0, 2), "b": ("done", 2, 2)}
        with pytest.raises(TrainingRunning, match="Another process") as caught:
            train(kinect_config(kinect, steps=2), runs / "a")
        assert caught.value.code == "training_running"
    assert not is_held(runs / "a")
    assert states([path], runs) == {"a": ("waiting", 0, 2)}


def test_what_fails_gives_way_says_why_and_is_tried_again(kinect: Path, tmp_path: Path) -> None:
    folder, runs = tmp_path / "queue", tmp_path / "runs"
    put(folder, kinect, "a", steps=2, data={"root": str(tmp_path / "nowhere")})
    put(folder, kinect, "c", steps=2)
    (folder / "b.toml").write_text("steps = 'many'")
    result = CliRunner().invoke(app, ["train", str(folder), "--out", str(runs)])
    assert result.exit_code == 2
    first, second, third = result.stdout.splitlines()
    assert first.startswith("a: failed, 0 of 2 steps: There is no ")
    assert second.startswith("b: failed, 0 of 0 steps: ")
    assert third.startswith("c: done, 2 of 2 steps, loss ")
    put(folder, kinect, "a", steps=2)
    (folder / "b.toml").unlink()
    work_off([folder], runs)
    assert states([folder], runs) == {"a": ("done", 2, 2), "c": ("done", 2, 2)}


def test_files_may_join_a_queue_that_is_worked_off(
    kinect: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, runs = tmp_path / "queue", tmp_path / "runs"
    put(folder, kinect, "b", steps=2)

    def and_another(*arguments: Any, **named: Any) -> Any:
        put(folder, kinect, "a", steps=2)
        return train(*arguments, **named)

    monkeypatch.setattr("gaitkeeper.training.loop.train", and_another)
    work_off([folder], runs)
    assert states([folder], runs) == {"a": ("done", 2, 2), "b": ("done", 2, 2)}


def test_one_training_tells_where_it_stands_and_when_it_ends(kinect: Path, tmp_path: Path) -> None:
    path, run = put(tmp_path, kinect, "one", steps=4), tmp_path / "run"
    train(kinect_config(kinect, steps=2), run)
    found = standing(path, run)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert (found.state, found.step, found.steps, found.loss) == ("stopped", 2, 4, lines[-1]["loss"])
    assert found.seconds_left == pytest.approx(sum(line["seconds_per_step"] for line in lines))
    arguments = ["train", str(path), "--out", str(run), "--status"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert result.stdout.startswith("one: stopped, 2 of 4 steps, loss ")
    assert standing(path, run) == found  # nothing was trained
    with claim(run):
        assert json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)[0]["state"] == "running"


def test_a_queue_is_its_files_each_once_and_by_name(kinect: Path, tmp_path: Path) -> None:
    one, two = put(tmp_path / "x", kinect, "one"), put(tmp_path / "x", kinect, "two")
    assert configurations([two, tmp_path / "x"]) == [two.resolve(), one.resolve()]
    put(tmp_path / "y", kinect, "one")
    with pytest.raises(BadTrainingConfig, match="Two configurations have the name 'one'"):
        configurations([tmp_path / "x", tmp_path / "y"])
    result = CliRunner().invoke(app, ["train", str(tmp_path / "x"), "--fresh"])
    assert isinstance(result.exception, BadTrainingConfig)
