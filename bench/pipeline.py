"""Time from file to gait sequences relative to the clip's duration, by stage: ``python -m bench.pipeline``.

Takes clips as arguments, by default two real ones. The baseline is decoding alone, timed in the same run.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.report import data_folder, write
from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.decode import frames, probe

# Maximum time for a clip, as a multiple of its duration, on two cores.
TARGETS = {"hall-a": 1.0, "quartet-gallery": 3.0}


def measure(pipeline: Pipeline, clip: Path, runs: int) -> dict[str, Any]:
    """Median figures of one clip over ``runs`` runs after a warm-up."""
    info = probe(clip)
    laps, decodes = [], []
    for run in range(runs + 1):
        start = time.perf_counter()
        count = sum(1 for _ in frames(clip, info))
        decoded = time.perf_counter() - start
        result = pipeline.process(clip)
        if run:
            laps.append(result.timings)
            decodes.append(decoded)
    stages = {stage: median(lap[stage] for lap in laps) for stage in laps[0]}
    people = sum(len(seq) + sum(seq.quality.skipped.values()) for seq in result.sequences)
    return {
        "clip": clip.stem,
        "duration_s": info.duration,
        "frames": count,
        "size": [info.width, info.height],
        "walkers": len(result.sequences),
        "ratio": stages["total"] / info.duration,
        "ratios": [lap["total"] / info.duration for lap in laps],
        "target": TARGETS.get(clip.stem),
        "stages_s": stages,
        "decode_alone_s": median(decodes),
        "total_over_decode_alone": stages["total"] / median(decodes),
        "ms_per_person_and_frame": 1000 * stages["perception"] / max(people, 1),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print the figures as a table."""
    table = Table(
        "clip", "walkers", "frames", "clip s", "took s", "ratio", "target", "decode", "perception", "tracking"
    )
    for row in rows:
        stages = row["stages_s"]
        table.add_row(
            row["clip"],
            *(str(row[key]) for key in ("walkers", "frames")),
            *(f"{value:.2f}" for value in (row["duration_s"], stages["total"], row["ratio"])),
            f"{row['target']:.1f}" if row["target"] else "",
            *(f"{stages[stage]:.2f}" for stage in ("decode", "perception", "tracking")),
        )
    Console(width=130).print(table)


def main() -> None:
    """Measure, print, write ``bench/results/pipeline.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    clips = args.clips or [data_folder() / "videos" / f"{name}.mp4" for name in TARGETS]
    pipeline = Pipeline()
    rows = [measure(pipeline, clip, args.runs) for clip in clips]
    show(rows)
    write("pipeline", {"clips": rows})


if __name__ == "__main__":
    main()
