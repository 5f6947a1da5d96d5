"""Time from the start of the process to the first answers: ``python -m bench.cold_start``.

A service is started repeatedly, as a user would start it, with an empty gallery. Measured are the seconds from the
start of the process to the open port, to ``/readyz``, and to the first identified clip. The baseline, in turns with it,
is a process that only imports torch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.report import write
from bench.served import served, short_walk

RUNS = 5


def start(folder: Path, clip: bytes) -> dict[str, float]:
    """Seconds of one start."""
    began = time.perf_counter()
    with served(folder) as service, httpx.Client(base_url=service.url, timeout=120) as client:
        listening = time.perf_counter()
        client.get("/readyz").raise_for_status()
        ready = time.perf_counter()
        client.post("/identify", files={"clip": ("walk.mp4", clip)}).raise_for_status()
        first = time.perf_counter()
        client.post("/identify", files={"clip": ("walk.mp4", clip)}).raise_for_status()
        second = time.perf_counter()
    return {
        "listening_s": listening - began,
        "ready_s": ready - began,
        "first_answer_s": first - began,
        "later_answer_s": second - first,
    }


def importing() -> float:
    """Seconds of a process that imports torch."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def measure(runs: int, uncounted: int = 1) -> dict[str, Any]:
    """Medians over ``runs`` starts, after uncounted warm-up starts."""
    starts, imports = [], []
    with tempfile.TemporaryDirectory() as name:
        clip = short_walk(Path(name) / "walk.mp4").read_bytes()
        for run in range(uncounted + runs):
            folder = Path(name) / str(run)
            folder.mkdir()
            starts.append(start(folder, clip))
            imports.append(importing())
    medians = {key: median(one[key] for one in starts[uncounted:]) for key in starts[0]}
    plain = median(imports[uncounted:])
    return {"runs": runs, **medians, "import_torch_s": plain, "ready_over_import_torch": medians["ready_s"] / plain}


def main() -> None:
    """Measure, print, write ``bench/results/cold_start.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    found = measure(parser.parse_args().runs)
    for name, value in found.items():
        print(f"{name:24} {value:.2f}")
    write("cold_start", found)


if __name__ == "__main__":
    main()
