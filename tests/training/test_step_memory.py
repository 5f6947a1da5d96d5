"""What a step needs: the estimate against the measured memory of the real loop, and the refusal with its advice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from making import TINY, kinect_config, sequences_config, write_sequences
from test_loop import _toml
from typer.testing import CliRunner

from gaitkeeper.service.cli import app
from gaitkeeper.training import memory
from gaitkeeper.training.config import load_config
from gaitkeeper.training.errors import TrainingTooLarge, TrainingUnmeasured
from gaitkeeper.training.estimate import estimate, measure, random_walks
from gaitkeeper.training.free_memory import free_memory
from gaitkeeper.training.loop import make_network, train
from gaitkeeper.training.memory import needed

ROOT = Path(__file__).resolve().parents[2]
MEGA = 2**20


def machine(folder: Path, available: int, cgroup: str) -> Path:
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable: {available // 1024} kB\n")
    (folder / "self" / "cgroup").write_text(cgroup)
    return folder


def group(folder: Path, names: tuple[str, str, str], limit: str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cached}\n")


V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = ("memory.max", "memory.current", "inactive_file")


def test_the_strictest_of_machine_and_groups_counts(tmp_path: Path) -> None:
    proc = machine(tmp_path / "proc", 900 * MEGA, "9:cpu:/x\n4:cpuset,memory:/a/b\n0::/c/d\n")
    groups = tmp_path / "groups"
    assert free_memory(proc, groups) == 900 * MEGA
    group(groups / "c" / "d", V2, "max", 5 * MEGA, 0)
    group(groups / "c", V2, str(700 * MEGA), 100 * MEGA, 20 * MEGA)
    assert free_memory(proc, groups) == 620 * MEGA
    group(groups / "memory" / "a" / "b", V1, str(500 * MEGA), 150 * MEGA, 50 * MEGA)
    assert free_memory(proc, groups) == 400 * MEGA
    group(groups / "memory", V1, str(10 * MEGA), 150 * MEGA, 0)  # the root, as a container sees its own group
    assert free_memory(proc, groups) == 0


def test_a_system_that_does_not_say_has_no_limit(tmp_path: Path) -> None:
    assert free_memory(tmp_path / "none", tmp_path) is None
    assert (free_memory() or 1) > 0


@pytest.mark.parametrize("name", sorted(TINY))
def test_the_need_of_every_network_grows_with_the_batch(name: str, tmp_path: Path) -> None:
    config = sequences_config(tmp_path, name)
    net = make_network(config, 3)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    small = needed(config, net, half=False)
    wide = config.model_copy(update={"batch": config.batch.model_copy(update={"people": 30})})
    large = needed(wide, net, half=False)
    assert small.network > 0
    assert small.losses > 0
    assert large.optimiser == small.optimiser == 3 * sum(p.numel() * 4 for p in net.parameters())
    assert 5 * small.network < large.network <= 10.5 * small.network
    assert large.losses > 10 * small.losses
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    halved = config.model_copy(update={"run": config.run.model_copy(update={"precision": "bf16"})})
    assert needed(halved, net, half=True).network < 1.01 * small.network


def test_the_estimate_is_near_what_the_real_loop_takes() -> None:
    """A batch large enough that the measuring process's own memory is a small part."""
    config = load_config(
        ROOT / "training" / "configs" / "gaitbase-walkers-cpu.toml",
        ["batch.takes=16", "batch.people=8", "run.precision=fp32", "run.device=cpu"],
    )
    found = estimate(config, people=8)
    assert found.measured is not None
    taken = found.measured.peak_bytes - found.measured.start_bytes
    assert 0.6 * taken < found.need.total < 1.4 * taken, (taken, found.need)
    assert found.measured.step_processor_seconds > 0
    assert found.people == 8


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * MEGA)


def test_a_training_that_cannot_fit_is_refused_before_anything_is_deleted(tmp_path: Path, scarce: None) -> None:
    root = write_sequences(tmp_path / "data", people=8)
    config = sequences_config(root, "gaitset", batch={"people": 8, "takes": 2})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("kept")
    with pytest.raises(TrainingTooLarge) as caught:
        train(config, tmp_path / "run", fresh=True)
    assert (tmp_path / "run" / "mine.txt").read_text() == "kept"
    said = str(caught.value)
    assert "8 people × 2 takes × 4 frames" in said
    for word in ("batch.people", "batch.takes", "batch.frames", 'run.precision = "bf16"', "--anyway"):
        assert word in said
    assert caught.value.extra["free_bytes"] == 2 * MEGA < caught.value.extra["needed_bytes"]


def test_the_advice_on_passes_makes_it_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_sequences(tmp_path / "data", people=8)
    config = sequences_config(root, "gaitpart", steps=1, batch={"people": 8, "takes": 2})
    net = make_network(config, 8)
    need = needed(config, net, half=False)
    monkeypatch.setattr(memory, "free_memory", lambda: int(need.optimiser + need.batch + 0.6 * need.network))
    with pytest.raises(TrainingTooLarge, match=r"run\.accumulate = 2 \(passes of 4 people\)"):
        train(config, tmp_path / "run")
    shared = config.model_copy(update={"run": config.run.model_copy(update={"accumulate": 2})})
    assert train(shared, tmp_path / "run").step == 1


def test_one_may_go_on_all_the_same(tmp_path: Path, scarce: None) -> None:
    root = write_sequences(tmp_path / "data")
    config = sequences_config(root, "gaitset", steps=1)
    file = tmp_path / "set.toml"
    file.write_text(_toml(config))
    arguments = ["train", str(file), "--out", str(tmp_path / "run")]
    with pytest.raises(TrainingTooLarge):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    done = CliRunner().invoke(app, [*arguments, "--anyway"])
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(app, arguments)  # nothing is left to do, so nothing is refused
    assert again.exit_code == 0, again.output


def test_a_queue_says_which_training_does_not_fit_and_goes_on(tmp_path: Path, scarce: None) -> None:
    root = write_sequences(tmp_path / "data")
    folder = tmp_path / "queue"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.toml").write_text(_toml(sequences_config(root, "gaitset", steps=1)))
    arguments = ["train", str(folder), "--out", str(tmp_path / "runs"), "--json"]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert [each["state"] for each in json.loads(refused.stdout)] == ["failed", "failed"]
    assert "batch.people" in json.loads(refused.stdout)[0]["problem"]
    done = CliRunner().invoke(app, [*arguments, "--anyway"])
    assert [each["state"] for each in json.loads(done.stdout)] == ["done", "done"]


@pytest.mark.parametrize("inputs", ["kinect", "silhouettes", "heatmaps"])
def test_random_walks_are_long_enough_and_have_the_inputs(inputs: str, tmp_path: Path) -> None:
    configs = {
        "kinect": kinect_config(tmp_path),
        "silhouettes": sequences_config(tmp_path, "gaitset"),
        "heatmaps": sequences_config(tmp_path, "gaitheat"),
    }
    config = configs[inputs]
    walks = random_walks(config, 3)
    assert len(walks.subjects) == 3
    result = train(config.model_copy(update={"steps": 1}), tmp_path / "run", walks=walks)
    assert result.step == 1


def test_the_command_says_what_a_file_needs_without_its_data(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(_toml(kinect_config(tmp_path / "absent")))
    done = CliRunner().invoke(app, ["train", str(file), "--estimate", "--json"])
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.stdout)
    assert (told["name"], told["people"], told["steps"]) == ("own", 2, 6)
    assert told["needed_bytes"] > 0
    assert told["measured"]["peak_bytes"] > told["measured"]["start_bytes"] > MEGA
    assert not (tmp_path / "runs").exists()
    text = CliRunner().invoke(app, ["train", str(file), "--estimate"])
    assert "own: " in text.stdout and "GB" in text.stdout and "a step" in text.stdout


def test_a_measurement_that_ends_early_says_so(tmp_path: Path) -> None:
    config = kinect_config(tmp_path)
    broken = config.model_copy(update={"network": config.network.model_copy(update={"name": "gei", "options": {}})})
    with pytest.raises(TrainingUnmeasured, match=r"exit code 1.*'gei' cannot be built"):
        measure(broken, 2)
