"""Peak memory of the service while it identifies a 1080p clip of a minute: ``python -m bench.memory``.

A rendered person walks across the picture and back, six times, and turns outside it. The clip is ``pacing`` of the
tests, scaled up from 640 × 360, with the noise of a sensor. Until 0.2.0 it was rendered at 1080p and showed a plainer
walker of the same size in the picture; size, duration, frame rate and number of walks are the same.

The service runs as a user would start it; the figure is the PSS (proportional set size) summed over its processes,
sampled twenty times a second.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import psutil

from bench.clips import pictures
from bench.report import write
from gaitkeeper.training.bodies.encode import encode

TARGET_MB = 1500
PORT = 8765
SIZE = (1920, 1080)
_NOISE, _SHIFTS = 1.6, 61  # standard deviation in grey levels; places of one noise tile, which moves in every frame


def pss(process: psutil.Process) -> float:
    """Summed PSS in MB of a process and its descendants."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


class Sampler(threading.Thread):
    """Samples the memory of a process until stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process, self.peak, self.stop = psutil.Process(pid), 0.0, threading.Event()

    def run(self) -> None:
        """Sample every 50 ms."""
        while not self.stop.wait(0.05):
            self.peak = max(self.peak, pss(self.process))


def wait_ready(client: httpx.Client, seconds: float = 60) -> None:
    """Wait until ``/readyz`` succeeds.

    Raises:
        SystemExit: it did not within ``seconds``.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit("The service did not become ready.")


def a_minute(path: Path, size: tuple[int, int] = SIZE, repeat: int = 6) -> Path:
    """Write a clip in which a person walks back and forth, ten seconds ``repeat`` times, (width, height) in pixels."""
    rng = np.random.default_rng(0)
    tile = rng.normal(0, _NOISE, (size[1] + _SHIFTS, size[0] + _SHIFTS, 1)).astype(np.float32)

    def images() -> Iterator[np.ndarray]:
        for picture in pictures("pacing"):
            y, x = rng.integers(_SHIFTS, size=2)
            noisy = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC) + tile[y : y + size[1], x : x + size[0]]
            yield np.clip(noisy + 0.5, 0, 255).astype(np.uint8)

    encode(path, images(), size, 30, repeat)
    return path


def measure(clip: Path, folder: Path) -> dict[str, Any]:
    """Serve, enrol and identify the clip; returns the memory at rest and at its peak."""
    command = [sys.executable, "-m", "gaitkeeper", "serve", "--port", str(PORT), "--store", f"sqlite:///{folder}/g.db"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=1800) as client:
            wait_ready(client)
            ready = pss(psutil.Process(server.pid))
            sampler = Sampler(server.pid)
            sampler.start()
            start = time.perf_counter()
            with clip.open("rb") as file:
                reply = client.post("/identify", files={"clip": (clip.name, file, "video/mp4")})
            took = time.perf_counter() - start
            sampler.stop.set()
            sampler.join()
        reply.raise_for_status()
        return {
            "reply": reply.status_code,
            "walkers": len(reply.json()["people"]),
            "took_s": took,
            "ready_mb": ready,
            "peak_mb": sampler.peak,
            "target_mb": TARGET_MB,
            "clip_mb": clip.stat().st_size / 1e6,
        }
    finally:
        server.terminate()
        server.wait(30)


def main() -> None:
    """Make the clip unless one is given, measure, write ``bench/results/memory.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", nargs="?", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clip = args.clip or a_minute(Path(name) / "pacing.mp4")
        figures = measure(clip, Path(name))
    print(f"peak {figures['peak_mb']:.0f} MB of {TARGET_MB} MB, {figures['took_s']:.1f} s for a minute of 1080p")
    write("memory", figures)


if __name__ == "__main__":
    main()
