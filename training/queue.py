"""A queue of trainings, one after the other or a few at a time; interrupted trainings resume.

The queue consists of configuration files, and its progress is in the folders of the runs. Any number of processes can
work on one queue, at once or later: each training is locked by its process, and the system releases the lock when the
process ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.training.checkpoints import newest_step
from gaitkeeper.training.claims import is_held
from gaitkeeper.training.config import load_config
from gaitkeeper.training.errors import BadTrainingConfig, TrainingRunning

FAILED = "failed.json"
RECENT = 20
"""Number of log lines from which the speed is computed."""


@dataclass(frozen=True)
class Standing:
    """The status of a training.

    Attributes:
        name: name of the configuration file, without ``.toml``.
        run: folder of the run.
        state: "running" if a process holds it; "failed" if its last process met an error.
        step: saved steps; for a running training the logged steps.
        steps: steps of the whole training.
        loss: last loss in the log; None before the first.
        seconds_left: at the speed of the last lines of the log; None if it is not known, 0 if it is finished.
        problem: the error message; "" without an error.
    """

    name: str
    run: Path
    state: Literal["waiting", "running", "stopped", "done", "failed"]
    step: int
    steps: int
    loss: float | None
    seconds_left: float | None
    problem: str = ""


def configurations(paths: Iterable[Path]) -> list[Path]:
    """The given files and the ``.toml`` files directly in the given folders, in that order and by name; each once.

    Raises:
        BadTrainingConfig: two of them have the same name, and would share a run.
    """
    found = [file for path in paths for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]
    files = list(dict.fromkeys(file.resolve() for file in found))
    names = [file.stem for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadTrainingConfig(f"Two configurations have the name {twice[0]!r} and would share one run.")
    return files


def work_off(paths: Sequence[Path], runs: Path, changes: Sequence[str] = (), *, anyway: bool = False) -> None:
    """Run all trainings that are neither finished nor locked by others, in the order of :func:`configurations`.

    A failed training writes its error to its folder, and the queue continues; the next call tries it again. Folders
    are read again after each training, so files can be added while the queue runs.

    Args:
        paths: configuration files, and folders of them.
        runs: folder of the runs; each is named after its file.
        changes: changes for all configurations, as in :func:`gaitkeeper.training.config.load_config`.
        anyway: train even if a step seems to need more memory than is free.

    Raises:
        BadTrainingConfig: two configurations have the same name.
    """
    from gaitkeeper.training.loop import train

    tried: set[Path] = set()
    while left := [path for path in configurations(paths) if path not in tried]:
        tried.add(left[0])
        run = runs / left[0].stem
        try:
            train(load_config(left[0], changes), run, anyway=anyway)
        except TrainingRunning:
            continue
        except GaitkeeperError as error:
            run.mkdir(parents=True, exist_ok=True)
            (run / FAILED).write_text(json.dumps({"code": error.code, "problem": str(error)}), encoding="utf-8")
        else:
            (run / FAILED).unlink(missing_ok=True)


def work_off_in(processes: int, arguments: Sequence[str]) -> None:
    """Start processes of ``gaitkeeper train ARGUMENTS``, a core each; they end with this one, except after kill -9."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "gaitkeeper", "train", *arguments]
    workers = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603
        for _ in range(processes)
    ]

    def stop(number: int, _: object) -> None:
        for worker in workers:
            worker.terminate()
        sys.exit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for worker in workers:
            worker.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def standings(paths: Sequence[Path], runs: Path, changes: Sequence[str] = ()) -> list[Standing]:
    """The status of each training of a queue; arguments and errors as in :func:`work_off`."""
    return [standing(path, runs / path.stem, changes) for path in configurations(paths)]


def standing(path: Path, run: Path, changes: Sequence[str] = ()) -> Standing:
    """The status of one configuration in its folder; an unreadable configuration counts as failed."""
    try:
        steps, problem = load_config(path, changes).steps, ""
    except BadTrainingConfig as error:
        steps, problem = 0, str(error)
    lines = _log(run)
    step = newest_step(run)
    running = is_held(run)
    if running and lines:
        step = max(step, int(lines[-1]["step"]))
    if not problem and not running and (run / FAILED).is_file():
        problem = str(json.loads((run / FAILED).read_text(encoding="utf-8"))["problem"])
    paces = [line["seconds_per_step"] for line in lines[-RECENT:] if "seconds_per_step" in line]
    done = bool(steps) and step >= steps and not running
    left = (steps - step) * sum(paces) / len(paces) if paces else None
    return Standing(
        name=path.stem,
        run=run,
        state="running" if running else "done" if done else "failed" if problem else "stopped" if step else "waiting",
        step=step,
        steps=steps,
        loss=lines[-1]["loss"] if lines else None,
        seconds_left=0.0 if done else left,
        problem="" if done else problem,
    )


def _log(run: Path) -> list[dict[str, float]]:
    try:
        text = (run / "log.jsonl").read_text(encoding="utf-8")
    except OSError:
        return []
    # A killed process may have left half a line, to which the next one appends.
    lines = []
    for line in text.splitlines()[-2 * RECENT :]:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines
