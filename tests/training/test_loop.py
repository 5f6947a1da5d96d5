"""The loop: it learns, resumes to the bit, shares the work out, and stops with a reason."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from making import TINY, kinect_config, sequences_config, write_kinect, write_sequences
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from gaitkeeper import models
from gaitkeeper.service.cli import app
from gaitkeeper.training.batches import Batches, training_walks
from gaitkeeper.training.checkpoints import CONFIG
from gaitkeeper.training.config import TrainingConfig
from gaitkeeper.training.errors import BadTrainingConfig, TrainingDiverged
from gaitkeeper.training.loop import make_network, train
from gaitkeeper.training.objective import Objective
from gaitkeeper.training.optimise import learning_rate, make_optimiser, set_step


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sequences(tmp_path_factory.mktemp("sequences"))


@pytest.fixture(scope="module")
def kinect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kinect(tmp_path_factory.mktemp("kinect"))


def logged(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_every_network_is_tried() -> None:
    assert set(TINY) == set(models.NETWORKS) - {"gei"}


@pytest.mark.parametrize("name", TINY)
def test_every_network_learns_one_batch_by_heart(name: str, sequences: Path, tmp_path: Path) -> None:
    # A rate that falls to zero: at a steady one the loss leaps now and then, when depends on the processor's rounding.
    result = train(sequences_config(sequences, name, optimiser={"schedule": "cosine"}), tmp_path)
    lines = logged(tmp_path)
    assert lines[0]["loss"] > 0.1
    assert result.loss is not None
    assert result.loss < 0.02
    net = models.load(result.weights)
    assert net.name == name
    assert net.trained


@pytest.mark.parametrize("name", ["gaitheat", "gaitgl", "gaitbase", "deepgaitv2", "skeletongaitpp", "gaittemplate"])
def test_networks_with_a_classifier_learn_its_loss_too(name: str, sequences: Path, tmp_path: Path) -> None:
    losses = [{"kind": "batch_all"}, {"kind": "cross_entropy", "scale": 16.0}]
    train(sequences_config(sequences, name, losses=losses), tmp_path)
    first, last = logged(tmp_path)[0], logged(tmp_path)[-1]
    named = [key for key in first if "/" in key]
    assert len(named) == (6 if name == "gaitheat" else 2)
    assert all(last[key] < 0.2 * first[key] for key in named)


def test_a_network_without_weights_is_refused(sequences: Path, tmp_path: Path) -> None:
    config = sequences_config(sequences, "gaitset", network={"name": "gei", "options": {}})
    with pytest.raises(BadTrainingConfig, match="no weights"):
        train(config, tmp_path)


def test_a_killed_training_goes_on_to_the_same_bits(kinect: Path, tmp_path: Path) -> None:
    config = kinect_config(kinect)
    whole = train(config, tmp_path / "whole")
    (tmp_path / "config.json").write_text(config.model_dump_json())
    script = (
        "import os, sys; from pathlib import Path; from gaitkeeper.training.loop import train; "
        "from gaitkeeper.training.config import TrainingConfig; folder = Path(sys.argv[1]); "
        "config = TrainingConfig.model_validate_json((folder / 'config.json').read_text()); "
        "train(config, folder / 'killed', on_step=lambda n: os.kill(os.getpid(), 9) if n == 5 else None)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in sorted((tmp_path / "killed").glob("step-*"))] == ["step-00000002", "step-00000004"]
    steps: list[int] = []
    resumed = train(config, tmp_path / "killed", on_step=steps.append)
    assert steps == [5, 6]
    assert resumed.loss == whole.loss
    ours, theirs = load_file(whole.weights), load_file(resumed.weights)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    states = [torch.load(r.weights.with_name("state.pt"), weights_only=True) for r in (whole, resumed)]
    flat = [dict(_flatten(state)) for state in states]
    assert flat[0].keys() == flat[1].keys()
    assert any("classifier" in key for key in flat[0])
    assert any("exp_avg" in key for key in flat[0])
    assert all(torch.equal(torch.as_tensor(flat[0][key]), torch.as_tensor(flat[1][key])) for key in flat[0])


def _flatten(value: object, name: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [pair for key, v in value.items() for pair in _flatten(v, f"{name}.{key}")]
    if isinstance(value, list):
        return [pair for i, v in enumerate(value) for pair in _flatten(v, f"{name}.{i}")]
    return [(name, value)] if isinstance(value, (torch.Tensor, int, float)) else []


def test_a_finished_training_has_nothing_left_to_do(kinect: Path, tmp_path: Path) -> None:
    config = kinect_config(kinect, steps=2)
    first = train(config, tmp_path)
    again = train(config, tmp_path)
    assert (again.weights, again.step, again.loss) == (first.weights, 2, None)


def test_a_folder_of_another_training_is_not_mixed_up(kinect: Path, tmp_path: Path) -> None:
    train(kinect_config(kinect, steps=2), tmp_path)
    with pytest.raises(BadTrainingConfig, match="another seed"):
        train(kinect_config(kinect, steps=2, seed=4), tmp_path)
    with pytest.raises(BadTrainingConfig, match="another steps"):
        train(kinect_config(kinect, steps=1), tmp_path)
    assert train(kinect_config(kinect, steps=2, seed=4), tmp_path, fresh=True).loss is not None
    (tmp_path / CONFIG).write_text("{}")
    with pytest.raises(BadTrainingConfig, match="no readable configuration"):
        train(kinect_config(kinect, steps=2), tmp_path)


def test_a_training_can_be_made_longer_also_by_a_later_version(kinect: Path, tmp_path: Path) -> None:
    train(kinect_config(kinect, steps=2), tmp_path)
    told = json.loads((tmp_path / CONFIG).read_text())
    del told["augment"]["joint_bias"]  # as if the option were new
    (tmp_path / CONFIG).write_text(json.dumps(told))
    longer = train(kinect_config(kinect, steps=3), tmp_path)
    assert (longer.step, longer.loss is not None) == (3, True)
    assert json.loads((tmp_path / CONFIG).read_text())["steps"] == 3


def test_two_processes_learn_what_one_does(sequences: Path, tmp_path: Path) -> None:
    """GaitPart has no batch norm, so sharing the batch out changes nothing but rounding."""
    root = write_sequences(tmp_path / "four", people=4, frames=8)
    # Plain SGD, in small steps: Adam would blow rounding up where a gradient is next to nothing, and large steps where
    # another frame becomes the maximum.
    config = sequences_config(
        root,
        "gaitpart",
        steps=4,
        batch={"people": 4, "frames": 4, "window": [4, 6]},
        optimiser={"kind": "sgd", "rate": 0.01},
    )
    alone = train(config, tmp_path / "alone")
    path = tmp_path / "gaitpart.toml"
    path.write_text(_toml(config))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["gaitkeeper", "train", str(path), "--out", str(tmp_path / "shared")]
    done = subprocess.run(command, check=False, timeout=240, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = load_file(alone.weights)
    theirs = load_file(tmp_path / "shared" / alone.weights.parent.name / alone.weights.name)
    start = models.build("gaitpart", seed=0, **make_network(config, 4).config.__dict__).state_dict()
    half = train(config.model_copy(update={"batch": config.batch.model_copy(update={"people": 2})}), tmp_path / "half")
    theirs_of_half = load_file(half.weights)
    for name, tensor in ours.items():
        learnt = (tensor - start[name]).norm()
        assert learnt > 0, name
        # A processor's order of summation shows in the fourth digit, whose share a process forgets in the first.
        assert (tensor - theirs[name]).norm() < 1e-2 * learnt, name
        assert (tensor - theirs_of_half[name]).norm() > 0.5 * learnt, name


def _toml(config: TrainingConfig) -> str:
    """JSON's scalars, lists and strings are TOML's; tables are written as inline ones."""

    def value(x: object) -> str:
        if isinstance(x, dict):
            return "{" + ", ".join(f"{k} = {value(v)}" for k, v in x.items() if v is not None) + "}"
        if isinstance(x, list):
            return "[" + ", ".join(map(value, x)) + "]"
        return json.dumps(x)

    return "\n".join(f"{key} = {value(v)}" for key, v in config.model_dump(mode="json").items())


def test_accumulation_is_the_mean_over_groups_of_people(kinect: Path, tmp_path: Path) -> None:
    options = {**TINY["jointsgait"], "skeleton": "kinect"}
    changes = {"steps": 1, "network": {"options": options}, "batch": {"people": 4}}
    config = kinect_config(kinect, run={"accumulate": 2}, **changes)
    train(config, tmp_path)
    walks = training_walks(config)
    net = make_network(config, len(walks.subjects)).train()
    batch = Batches(config, walks, net)[0]
    expected = 0.0
    for half in (slice(0, 4), slice(4, 8)):
        out = net.training_outputs(batch.tensors[0][half])
        assert out.logits is not None
        total, _ = Objective(config.losses)(out.embeddings, out.logits, batch.subjects[half], batch.views[half])
        expected += total.item() / 2
    assert logged(tmp_path)[0]["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_no_number_stops_the_training(kinect: Path, tmp_path: Path) -> None:
    config = kinect_config(
        kinect, steps=50, optimiser={"kind": "sgd", "rate": 1e30, "schedule": "constant", "warmup": 0}
    )
    with pytest.raises(TrainingDiverged, match=r"At step \d+ the .* not finite.*learning rate is 1e\+30") as caught:
        train(config, tmp_path)
    assert caught.value.code == "training_diverged"
    assert caught.value.extra["step"] < 10


def test_bfloat16_trains_in_half_and_saves_in_full(kinect: Path, tmp_path: Path) -> None:
    full = train(kinect_config(kinect), tmp_path / "fp32")
    half = train(kinect_config(kinect, run={"precision": "bf16"}), tmp_path / "bf16")
    assert half.loss != full.loss
    assert half.loss == pytest.approx(full.loss, rel=0.2)
    assert all(t.dtype != torch.bfloat16 for t in load_file(half.weights).values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_an_error(kinect: Path, tmp_path: Path) -> None:
    with pytest.raises(BadTrainingConfig, match="no GPU"):
        train(kinect_config(kinect, run={"device": "cuda"}), tmp_path)


def test_weights_leave_the_classifier_out_and_old_checkpoints_go(kinect: Path, tmp_path: Path) -> None:
    result = train(kinect_config(kinect), tmp_path)
    assert not [name for name in load_file(result.weights) if "classifier" in name]
    assert models.load(result.weights).config.num_classes is None
    assert len(list(tmp_path.glob("step-*"))) == 2
    assert not list(tmp_path.glob("partial-*"))


def test_tensorboard_has_what_the_log_has(kinect: Path, tmp_path: Path) -> None:
    train(kinect_config(kinect), tmp_path)
    events = EventAccumulator(str(tmp_path)).Reload()
    lines = logged(tmp_path)
    assert set(lines[0]) - {"step"} == set(events.Tags()["scalars"])
    assert [e.value for e in events.Scalars("loss")] == pytest.approx([line["loss"] for line in lines])


def test_from_the_command_line(kinect: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(_toml(kinect_config(kinect)))
    arguments = ["train", str(path), "--set", "steps=2", "--set", "losses.0.weight=0.5", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    reply = json.loads(result.stdout)
    assert reply["step"] == 2
    assert Path(reply["weights"]).is_file()
    line = logged(tmp_path / "run")[0]
    assert line["loss"] == pytest.approx(0.5 * line["main/batch_hard"] + 0.1 * line["main/arcface"], rel=1e-5)


def test_learning_rates_follow_their_schedules() -> None:
    table = kinect_config(Path(), optimiser={"rate": 1.0, "warmup": 4}).optimiser
    cosine = [learning_rate(step, table, 104) for step in range(105)]
    assert cosine[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert cosine[54] == pytest.approx(0.5)
    assert cosine[104] == pytest.approx(0)
    falling = table.model_copy(update={"schedule": "steps", "milestones": (10, 20), "warmup": 0})
    assert [learning_rate(s, falling, 30) for s in (0, 9, 10, 19, 20)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_one_cycle_is_torchs() -> None:
    """Held against OneCycleLR, whose state it does without."""
    table = kinect_config(Path(), optimiser={"kind": "adamw", "rate": 2e-3, "schedule": "one_cycle", "warmup": 9})
    weight = torch.nn.Linear(2, 2)
    ours, theirs = (make_optimiser(weight, table.optimiser) for _ in range(2))
    schedule = torch.optim.lr_scheduler.OneCycleLR(theirs, 2e-3, total_steps=100, pct_start=0.1)
    for step in range(100):
        set_step(ours, step, table.optimiser, 100)
        for mine, their in zip(ours.param_groups, theirs.param_groups, strict=True):
            assert mine["lr"] == pytest.approx(their["lr"], rel=1e-6)
            assert mine["betas"] == pytest.approx(their["betas"])
        if step < 99:
            theirs.step()
            schedule.step()


def test_takes_of_different_lengths_train(sequences: Path, tmp_path: Path) -> None:
    batch = {"shortest": 2, "min_frames": 2}
    config = sequences_config(sequences, "gaitset", steps=2, batch={**batch, "people": 2}, run={"accumulate": 1})
    assert train(config, tmp_path).loss is not None


def test_a_training_may_start_from_weights(kinect: Path, tmp_path: Path) -> None:
    first = train(kinect_config(kinect, steps=2), tmp_path / "first")
    options = {**TINY["jointsgait"], "skeleton": "kinect", "dropout": 0.3}
    network = {"options": options, "weights": str(first.weights)}
    # At next to no rate what is left after a step is what it began with.
    optimiser = {"kind": "sgd", "rate": 1e-30, "schedule": "constant", "warmup": 0}
    second = train(kinect_config(kinect, steps=1, network=network, optimiser=optimiser), tmp_path / "second")
    ours, theirs = load_file(first.weights), load_file(second.weights)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if "running" not in name and "num_" not in name)
    first.weights.unlink()  # a training that is gone on with needs it no more
    assert train(kinect_config(kinect, steps=2, network=network, optimiser=optimiser), tmp_path / "second").step == 2
    other = {"options": {**options, "channels": [8, 16]}, "weights": str(second.weights)}
    with pytest.raises(BadTrainingConfig, match="other sizes than this jointsgait"):
        train(kinect_config(kinect, steps=1, network=other), tmp_path / "third")
