"""A lock on the folder of a training, which the system releases when the process ends, even if it is killed."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaitkeeper.training.errors import TrainingRunning

TRIES, PAUSE = 10, 0.1  # :func:`is_held` also takes the lock, for an instant


@contextmanager
def claim(run: Path) -> Iterator[None]:
    """Lock a run's folder against other processes, and other claims of this process.

    Raises:
        TrainingRunning: the folder is locked.
    """
    path = _lock_file(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        for left in reversed(range(TRIES)):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if not left:
                    raise TrainingRunning(f"Another process is training in {run}.") from error
                time.sleep(PAUSE)
        yield


def is_held(run: Path) -> bool:
    """True while a process holds the lock of the folder."""
    try:
        with _lock_file(run).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lock_file(run: Path) -> Path:
    return run.with_name(f".{run.name}.lock")  # beside the folder, which may be deleted to start afresh
