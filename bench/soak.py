"""Does the service's memory grow? A thousand short identifications, one after the other: ``python -m bench.soak``.

The slope of the main process's memory is fitted by least squares after the first fifth, when all caches are filled.
The bench stops at its time limit, and reports how many identifications it made.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.report import write
from bench.served import served, short_walk

COUNT = 1000
SECONDS = 3600.0
MOST_KB = 10.0
"""Tolerated growth of memory per identification."""


def measure(folder: Path, count: int = COUNT, seconds: float = SECONDS, **settings: object) -> dict[str, Any]:
    """Identify a short clip again and again.

    Args:
        folder: folder for the clip and the gallery.
        count: number of identifications, at least 20.
        seconds: time limit.
        settings: settings of the service.

    Returns:
        Figures: memory in MB, slope in kB per identification, and the number of identifications.

    Raises:
        SystemExit: an answer was not 200, or there were too few answers.
    """
    clip = short_walk(folder / "walk.mp4").read_bytes()
    memory: list[float] = []
    with served(folder, **settings) as service, httpx.Client(base_url=service.url, timeout=300) as client:
        client.post("/enroll", data={"subject": "ann"}, files={"clip": clip}).raise_for_status()
        end = time.monotonic() + seconds
        began = time.perf_counter()
        while len(memory) < count and time.monotonic() < end:
            reply = client.post("/identify", files={"clip": clip})
            if reply.status_code != 200:
                raise SystemExit(f"Answer {len(memory) + 1} was {reply.status_code}: {reply.text}")
            memory.append(service.own_rss())
        took = time.perf_counter() - began
    settled = len(memory) // 5
    if len(memory) < 20:
        raise SystemExit(f"{len(memory)} identifications are too few to tell.")
    rows = np.arange(settled, len(memory))
    slope = float(np.polyfit(rows, memory[settled:], 1)[0]) * 1000
    return {
        "identifications": len(memory),
        "asked_for": count,
        "took_s": took,
        "first_mb": memory[0],
        "settled_mb": memory[settled],
        "last_mb": memory[-1],
        "slope_kb": slope,
        "most_kb": MOST_KB,
        "passed": slope <= MOST_KB,
    }


def main() -> None:
    """Measure, print, write ``bench/results/soak.json``; exit code 1 if memory grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), args.count, args.seconds, rate="1000000/minute")
    print(
        f"{found['identifications']} of {found['asked_for']} identifications in {found['took_s']:.0f} s: "
        f"{found['settled_mb']:.0f} MB after the first fifth, {found['last_mb']:.0f} MB at the end, "
        f"{found['slope_kb']:+.2f} kB each (bar: {found['most_kb']:g})"
    )
    write("soak", found)
    raise SystemExit(not found["passed"])


if __name__ == "__main__":
    main()
