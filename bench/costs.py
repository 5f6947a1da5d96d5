"""Processor time from file to embeddings, by stage: ``python -m bench.costs``.

Takes clips as arguments, by default two real ones. Every stage runs in one thread, and the time is that of the
processor, not of the clock, so that the figures hold on a busy machine, too (a busy machine's caches make each step
slower, so two versions must still be compared on the same machine, in turn). Clips are decoded in this process: the
sandbox would hide the decoder's time.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import cv2
import torch
from rich.console import Console
from rich.table import Table

from bench.report import data_folder, write
from gaitkeeper import models
from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.crossing import Crossings
from gaitkeeper.pipelines.decode import ClipInfo, Frame, InProcess, Source, probe
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.perception.blazepose import Landmarker, Model
from gaitkeeper.pipelines.perception.watcher import BlazePoseWatcher
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.track import Tracker
from gaitkeeper.pipelines.tracklet import Tracklet

CLIPS = ("hall-a", "quartet-gallery")
STAGES = ("decode", "search", "landmarks", "masks", "tracking", "sightings", "sequences", "embedding", "other")
"""``search``: looking for people who are not followed yet. ``landmarks``: the landmark network on those who are.
``masks``: its crops, masks and heatmaps. ``sightings``: silhouettes, clothes and portraits. ``sequences``: the walk
made of them. ``embedding``: the default network."""


class Costs:
    """Seconds of processor time and calls by stage; a stage inside another one does not count for it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self.calls: Counter[str] = Counter()
        self._searching = False

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Count the block as the stage's work; the landmark network and masks of a search count for the search."""
        began, before = time.process_time(), self.total
        outer, self._searching = self._searching, self._searching or stage == "search"
        stage = "search" if self._searching else stage
        try:
            yield
        finally:
            inside = self.total - before
            self.seconds[stage] += time.process_time() - began - inside
            self.calls[stage] += 1
            self._searching = outer

    def around(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted as the stage's work."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.of(stage):
                return function(*args, **kwargs)

        return counted


class Counted(InProcess):
    """Decodes the whole clip before anything else runs, so that the two do not run at once."""

    def __init__(self, settings: PipelineSettings, costs: Costs) -> None:
        super().__init__(settings)
        self._costs = costs

    def frames(self, source: Source, info: ClipInfo, deadline: float | None = None) -> Generator[Frame, None, None]:
        """As in the base."""
        with self._costs.of("decode"):
            found = list(super().frames(source, info, deadline))
        yield from found


@contextmanager
def counting(costs: Costs) -> Iterator[None]:
    """Count the stages' work in this block."""
    places: list[tuple[Any, str, str]] = [
        (BlazePoseWatcher, "_search", "search"),
        (Landmarker, "__call__", "masks"),
        (Tracker, "update", "tracking"),
        (Crossings, "note", "tracking"),
        (Tracklet, "add", "sightings"),
        (Tracklet, "sequence", "sequences"),
    ]
    with ExitStack() as stack:
        for place, name, stage in places:
            stack.enter_context(patch.object(place, name, costs.around(stage, getattr(place, name))))
        # The detector's network belongs to the search, which it always runs in.
        stack.enter_context(patch.object(Model, "__call__", costs.around("landmarks", Model.__call__)))
        yield


def one_by_one(stream: Any, size: int, stage: Any) -> Any:
    """In place of :func:`gaitkeeper.pipelines.stages.ahead`: nothing runs beside the reader."""
    return stream


def measure(clip: Path, net: models.GaitNetwork, runs: int) -> dict[str, Any]:
    """Median figures of one clip over ``runs`` runs after a warm-up."""
    info, rows = probe(clip), []
    pipeline = Pipeline(PipelineSettings(threads=1, sandbox=False))
    for _ in range(runs + 1):
        costs = Costs()
        pipeline.decoder = Counted(pipeline.settings, costs)
        with counting(costs), patch("gaitkeeper.pipelines.pipeline.ahead", one_by_one):
            began = time.process_time()
            result = pipeline.process(clip)
            costs.seconds["other"] += time.process_time() - began - costs.total
        with costs.of("embedding"):
            embed(result.sequences, net)
        rows.append(costs)
    kept = rows[1:]
    seconds = {stage: median(row.seconds[stage] for row in kept) for stage in STAGES}
    return {
        "clip": clip.stem,
        "duration_s": info.duration,
        "walkers": len(result.sequences),
        "sightings": kept[0].calls["sightings"],
        "looks": kept[0].calls["masks"],
        "frames_kept": sum(len(seq) for seq in result.sequences),
        "stages_s": seconds,
        "total_s": median(row.total for row in kept),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print the figures as a table."""
    table = Table("processor seconds", *(f"{row['clip']}, {row['walkers']} walking" for row in rows))
    for stage in STAGES:
        table.add_row(stage, *(f"{row['stages_s'][stage]:.2f}" for row in rows))
    table.add_row("total", *(f"{row['total_s']:.2f}" for row in rows))
    table.add_row("total / duration", *(f"{row['total_s'] / row['duration_s']:.2f}" for row in rows))
    table.add_row("sightings of a person", *(str(row["sightings"]) for row in rows))
    Console(width=130).print(table)


def main() -> None:
    """Measure, print, write ``bench/results/costs.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--network", default="fusion")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    clips = args.clips or [data_folder() / "videos" / f"{name}.mp4" for name in CLIPS]
    net = models.load(args.network)
    rows = [measure(clip, net, args.runs) for clip in clips]
    show(rows)
    write("costs", {"clips": rows})


if __name__ == "__main__":
    main()
