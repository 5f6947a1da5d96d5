"""Peak memory of the service while it identifies a rendered 1080p clip of a minute: ``python -m bench.memory``.

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
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.report import write

TARGET_MB = 1500
PORT = 8765


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
    """Render the clip unless one is given, measure, write ``bench/results/memory.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", nargs="?", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clip = args.clip
        if clip is None:
            from gaitkeeper.training.walkers.clips import pacing, write_clip

            clip = Path(name) / "pacing.mp4"
            write_clip(clip, pacing())
        figures = measure(clip, Path(name))
    print(f"peak {figures['peak_mb']:.0f} MB of {TARGET_MB} MB, {figures['took_s']:.1f} s for a minute of 1080p")
    write("memory", figures)


if __name__ == "__main__":
    main()
