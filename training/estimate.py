"""``gaitkeeper train --estimate``: the memory and the time of a training's steps, measured without its data.

A process of its own runs the real loop on random walks for some steps. Its peak of memory is that of the training, and
if it is killed for want of memory, this process goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.training.batches import training_walks
from gaitkeeper.training.config import TrainingConfig
from gaitkeeper.training.datasets import Dataset, Inputs, Sample, load_partition
from gaitkeeper.training.errors import BadDataset, TrainingUnmeasured
from gaitkeeper.training.loop import make_network, runs_in_half, train
from gaitkeeper.training.memory import Need, free_on, needed

STEPS = 3
PATIENCE = 3600.0


@dataclass(frozen=True)
class Measured:
    """Some steps of the real loop.

    Attributes:
        peak_bytes: largest memory of the process, on a GPU the largest that torch reserved there.
        start_bytes: memory before the network was built: Python, torch and this project.
        step_seconds: of a step by the clock, the first one left out.
        step_processor_seconds: of a step in processor time, summed over threads.
    """

    peak_bytes: int
    start_bytes: int
    step_seconds: float
    step_processor_seconds: float


@dataclass(frozen=True)
class Estimate:
    """What a training needs.

    Attributes:
        people: number of training people, which sets the size of a classifier.
        need: the estimate from a forward pass of a few sequences, as it is made before each training.
        free_bytes: memory that is free here; None if the system does not say.
        measured: None if the estimate is above what is free.
        steps: of the whole training.
    """

    people: int
    need: Need
    free_bytes: int | None
    measured: Measured | None
    steps: int


def estimate(config: TrainingConfig, *, people: int | None = None, most: float | None = None) -> Estimate:
    """Estimate a training, and measure it if it fits.

    Args:
        config: the configuration; its data need not exist.
        people: number of training people; by default those of the data if they exist, else those that the partition
            lists, else those of a batch.
        most: bytes above which nothing is measured; by default what is free.

    Raises:
        BadTrainingConfig: the network cannot be built.
        TrainingUnmeasured: the measuring process ended early.
    """
    people = people or _people(config)
    device = torch.device("cuda" if torch.cuda.is_available() and config.run.device != "cpu" else "cpu")
    net = make_network(config, people)
    need = needed(config, net, half=runs_in_half(config, device))
    free = free_on(device)
    limit = most if most is not None else free
    fits = limit is None or need.total <= limit
    return Estimate(people, need, free, measure(config, people) if fits else None, config.steps)


def measure(config: TrainingConfig, people: int) -> Measured:
    """Run some steps in a process of its own.

    Raises:
        TrainingUnmeasured: it ended early.
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "gaitkeeper.training.estimate", str(people)],
        input=config.model_dump_json(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    try:
        return Measured(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError) as error:
        reason = "killed, as for want of memory" if done.returncode == -9 else f"exit code {done.returncode}"
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise TrainingUnmeasured(f"The measuring process ended early ({reason}). {last}".strip()) from error


def random_walks(config: TrainingConfig, people: int) -> Dataset:
    """Walks of random frames, as many of each person as a batch takes, long enough for every take."""
    table = config.batch
    frames = max(table.frames, table.min_frames, *(table.window if table.ordered else (1,)))
    skeleton = str(config.network.options.get("skeleton", "coco"))
    rng = np.random.default_rng(0)
    builds = rng.random((people, 3)) if table.alike else np.zeros((people, 0))
    samples = [
        Sample(f"{person:06d}", "nm", f"{take % 2}", f"{take:02d}", read, outfit="0", build=tuple(builds[person]))
        for person in range(people)
        for take in range(table.takes)
        for read in [partial(_random, frames, skeleton, config.data.format, (person, take))]
    ]
    return Dataset("random", tuple(samples))


def _random(frames: int, skeleton: str, format: str, seed: tuple[int, int]) -> Inputs:
    rng = np.random.default_rng(seed)
    if skeleton == "kinect":
        return Inputs(joints=rng.normal(size=(frames, 20, 3)).astype(np.float32), skeleton="kinect")
    bodies = np.kron(rng.random((frames, 8, 8)) > 0.5, np.ones((8, 8))) > 0
    joints = np.concatenate([rng.random((frames, 17, 2)) * 60, np.ones((frames, 17, 1))], axis=2)
    heatmaps = rng.integers(0, 256, (frames, 17, 64, 48), np.uint8) if format in HEATMAPS else None
    return Inputs(silhouettes=(bodies * 255).astype(np.uint8), joints=joints.astype(np.float32), heatmaps=heatmaps)


HEATMAPS = ("sequences", "psymo_heatmaps", "walkers_heatmaps")
"""Formats of data sets that may have heatmaps."""


def _people(config: TrainingConfig) -> int:
    try:
        return len(training_walks(config).subjects)
    except BadDataset:
        pass
    try:
        part = load_partition(config.data.partition or "").parts.get(config.data.part)
    except (GaitkeeperError, OSError):
        return config.batch.people
    return max(config.batch.people, len(part.names) if part is not None else 0)


def _measure_here(config: TrainingConfig, people: int) -> Measured:
    """Run the steps in this process, which should do nothing else."""
    start = _resident("VmRSS")
    run = config.run.model_copy(update={"log_every": 1, "checkpoint_every": STEPS, "workers": 0})
    data = config.data.model_copy(update={"folds": None, "min_score": 0.0})
    network = config.network.model_copy(update={"weights": None})
    short = config.model_copy(update={"steps": STEPS, "run": run, "data": data, "network": network})
    at: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        train(
            short,
            Path(folder) / "run",
            anyway=True,
            walks=random_walks(config, people),
            on_step=lambda _: at.append((time.monotonic(), time.process_time())),
        )
    clock, processor = (((at[-1][i] - at[0][i]) / (STEPS - 1)) for i in (0, 1))
    peak = _resident("VmHWM")
    if torch.cuda.is_available() and config.run.device != "cpu":
        peak, start = torch.cuda.max_memory_reserved(), 0
    return Measured(peak, start, clock, processor)


def _resident(name: str) -> int:
    """Bytes of memory of this process, "VmRSS" now or "VmHWM" at its peak; getrusage's peak begins at the parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    found = _measure_here(TrainingConfig.model_validate_json(sys.stdin.read()), int(sys.argv[1]))
    print(json.dumps(asdict(found)))
