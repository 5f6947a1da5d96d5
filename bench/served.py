"""Start the service as a user would, for measurements: its own process on a free port, with an empty gallery."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import psutil

from bench.clips import pictures
from gaitkeeper.training.bodies.encode import encode

READY = re.compile(r"gaitkeeper on (http://\S+)")


@dataclass(frozen=True)
class Served:
    """A running service.

    Attributes:
        url: its address.
        process: its main process, the parent of decoder processes.
    """

    url: str
    process: psutil.Process

    def rss(self) -> float:
        """Memory of the process and its descendants in MB, with shared pages counted in each."""
        total = 0
        for one in [self.process, *self.process.children(recursive=True)]:
            try:
                total += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 1e6

    def cpu(self) -> float:
        """Processor seconds of the process and its descendants so far."""
        total = 0.0
        for one in [self.process, *self.process.children(recursive=True)]:
            try:
                times = one.cpu_times()
                total += times.user + times.system
            except psutil.NoSuchProcess:
                continue
        return total

    def own_rss(self) -> float:
        """Memory of the main process alone, in MB."""
        return float(self.process.memory_info().rss) / 1e6


@contextmanager
def served(folder: Path, **settings: object) -> Iterator[Served]:
    """Run a service with a gallery in ``folder``; settings by name.

    Raises:
        SystemExit: it did not start.
    """
    environment = {f"GAITKEEPER_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "gaitkeeper", "serve", "--port", "0", "--store", f"sqlite:///{folder}/gallery.db"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | environment)
    assert server.stderr is not None
    try:
        found = next((match for line in server.stderr if (match := READY.search(line))), None)
        if found is None:
            raise SystemExit("The service did not start.")
        # Drain its log, or the service would block.
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield Served(found[1], psutil.Process(server.pid))
    finally:
        server.terminate()
        server.wait(60)


class Peak(threading.Thread):
    """Samples the main process's memory until stopped.

    Attributes:
        mb: the peak in MB.
    """

    def __init__(self, service: Served) -> None:
        super().__init__(daemon=True)
        self._service, self._ended, self.mb = service, threading.Event(), service.own_rss()

    def run(self) -> None:
        """Sample every 20 ms."""
        while not self._ended.wait(0.02):
            self.mb = max(self.mb, self._service.own_rss())

    def stop(self) -> float:
        """The peak in MB."""
        self._ended.set()
        self.join()
        return self.mb


def short_walk(path: Path) -> Path:
    """Write a clip of 0.8 s, 320 × 240, in which a rendered person walks."""
    encode(path, islice(pictures("person-1-walk-1"), 24), (320, 240), 30)
    return path


def padded(clip: Path, path: Path, size: int) -> Path:
    """Write a clip of ``size`` bytes that is processed as fast as its source, which is padded."""
    data = clip.read_bytes()
    free = size - len(data)
    with path.open("wb") as file:
        file.write(data + free.to_bytes(4, "big") + b"free")
        file.truncate(size)
    return path
