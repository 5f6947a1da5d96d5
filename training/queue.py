"""Several trainings, one after the other or a few at a time, each gone on with where it was stopped.

What there is to do lies in configuration files, how far it is in the folders of the runs. So any number of processes
may work on one queue, at once or later: a lock that the system drops with its process says who trains what.
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

from models.errors import GaitkeeperError
from training.checkpoints import newest_step
from training.claims import is_held
from training.config import load_config
from training.errors import BadTrainingConfig, TrainingRunning

FAILED = "failed.json"
RECENT = 20
"""Lines of a log that the speed is taken from."""


@dataclass(frozen=True)
class Standing:
    """Where a training stands.

    Attributes:
        name: of the configuration file, without ``.toml``.
        run: folder of the run.
        state: "running" where a process holds it; "failed" where the last one that did met an error.
        step: steps that are made and would not be lost; of a running one those that it has told of.
        steps: of the whole training.
        loss: the last one in the log; None before there is any.
        seconds_left: at the speed of the last lines of the log; None if it is not known, 0 where it is done.
        problem: the sentence of the error; "" where there was none.
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
    """The files themselves and every ``.toml`` file right in the folders, in that order and by name; each once.

    Raises:
        BadTrainingConfig: two of them have the same name, and so would have the same run.
    """
    found = [file for path in paths for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]
    files = list(dict.fromkeys(file.resolve() for file in found))
    names = [file.stem for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadTrainingConfig(f"Two configurations are called {twice[0]!r}, and would share one run.")
    return files


def work_off(paths: Sequence[Path], runs: Path, changes: Sequence[str] = ()) -> None:
    """Train everything that is not done and that no other process trains, in the order of :func:`configurations`.

    A training that fails keeps its error in its folder and gives way to the next; the next call tries it again.
    Folders are looked through anew after each training, so files may join the queue while it is worked off.

    Args:
        paths: configuration files, and folders of them.
        runs: folder of the runs; each is called after its file.
        changes: as :func:`training.config.load_config` takes them, for all.

    Raises:
        BadTrainingConfig: two configurations have the same name.
    """
    from training.loop import train

    tried: set[Path] = set()
    while left := [path for path in configurations(paths) if path not in tried]:
        tried.add(left[0])
        run = runs / left[0].stem
        try:
            train(load_config(left[0], changes), run)
        except TrainingRunning:
            continue
        except GaitkeeperError as error:
            run.mkdir(parents=True, exist_ok=True)
            (run / FAILED).write_text(json.dumps({"code": error.code, "problem": str(error)}), encoding="utf-8")
        else:
            (run / FAILED).unlink(missing_ok=True)


def work_off_in(processes: int, arguments: Sequence[str]) -> None:
    """So many processes of ``gaitkeeper train ARGUMENTS``, a core each; they end with this one, but for kill -9."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "service.cli", "train", *arguments]
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
    """Where each training of a queue stands; arguments and errors as of :func:`work_off`."""
    return [standing(path, runs / path.stem, changes) for path in configurations(paths)]


def standing(path: Path, run: Path, changes: Sequence[str] = ()) -> Standing:
    """Where the training of one configuration stands in its folder; one that cannot be read has failed."""
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
    # A process that was killed may have left half a line, which the next one writes on.
    lines = []
    for line in text.splitlines()[-2 * RECENT :]:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines
