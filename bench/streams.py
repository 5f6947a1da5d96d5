"""Several live cameras on one machine, at real time: ``python -m bench.streams``.

A service in its own process gets 1, 2 and 4 streams of JPEG pictures side by side, each a clip of ``../shared`` that is
repeated. For each stream: the seconds from sending a frame to its boxes, the share of frames dropped by the service or
for lack of a credit, and the number of verdicts other than ``inconclusive``; for all together the service's processor
seconds a second and its memory. The gallery holds the four walkers of ``quartet-gallery``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.live import Frames, coded, enrol_strangers, run
from bench.report import data_folder, write
from bench.served import Peak, served
from gaitkeeper.service.client import Client

CLIPS = ("hall-a", "quartet-gallery")
COUNTS = (1, 2, 4)
GAP = 1.0
"""Seconds of nothing between two repeats, so that the walkers of the next are new."""


def repeated(frames: Frames, seconds: float) -> Frames:
    """The frames again and again for at least some seconds."""
    first, span = frames[0][0], frames[-1][0] - frames[0][0] + GAP
    times = max(1, -(-seconds // span))
    return [(t - first + number * span, data) for number in range(int(times)) for t, data in frames]


def side_by_side(url: str, frames: Frames, count: int) -> list[dict[str, Any]]:
    """Figures of each of some streams of the same frames at the same time."""

    def stream(number: int) -> dict[str, Any]:
        time.sleep(number / 30 / count)  # cameras do not take their pictures in step
        with Client(url) as client:
            return run(client, frames, "jpeg")

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(stream, range(count)))


def measure(folder: Path, clips: list[str], counts: list[int], seconds: float) -> list[dict[str, Any]]:
    """Figures of each clip and number of streams, after an uncounted warm-up run."""
    enrol_strangers(folder)
    rows = []
    with served(folder, streams=max(counts)) as service:
        for clip in clips:
            once = coded(data_folder() / "videos" / f"{clip}.mp4", "jpeg")
            side_by_side(service.url, once, 1)
            frames = repeated(once, seconds)
            for count in counts:
                load, peak = os.getloadavg()[0], Peak(service)
                peak.start()
                before, began = service.cpu(), time.monotonic()
                streams = side_by_side(service.url, frames, count)
                took = time.monotonic() - began
                rows.append({
                    "clip": clip, "streams": count, "load": load, "cores": (service.cpu() - before) / took,
                    "memory_mb": peak.stop(), "each": streams,
                })  # fmt: skip
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print a row for each clip and number of streams; shares of the single streams."""
    told = ("median latency, s", "95 %, s", "dropped, % of each stream", "verdicts of each", "cores", "memory, MB")
    table = Table("clip", "streams", "load before", *told)
    for row in rows:
        each = row["each"]
        table.add_row(
            row["clip"],
            str(row["streams"]),
            f"{row['load']:.1f}",
            f"{mean(one['latency_median_s'] for one in each):.3f}",
            f"{max(one['latency_p95_s'] for one in each):.3f}",
            ", ".join(f"{100 * one['dropped_share']:.1f}" for one in each),
            ", ".join(str(one["verdicts"]) for one in each),
            f"{row['cores']:.2f}",
            f"{row['memory_mb']:.0f}",
        )
    Console(width=140).print(table)


def main() -> None:
    """Measure, print, write ``bench/results/streams.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", action="append", help=f"a clip of ../shared; {' and '.join(CLIPS)} by default")
    parser.add_argument("--streams", action="append", type=int, help="1, 2 and 4 by default")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each stream")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), args.clip or list(CLIPS), args.streams or list(COUNTS), args.seconds)
    show(rows)
    write("streams", {"seconds": args.seconds, "rows": rows})


if __name__ == "__main__":
    main()
