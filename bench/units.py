"""What a clip and a walk cost, the units of docs/scale.md: ``python -m bench.units``.

Processor seconds, which others on the machine change little, and bytes; of a rendered clip with one walker.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import models
from bench.report import write
from pipelines.embed import embed
from pipelines.pipeline import Pipeline
from training.walkers import clips
from training.walkers.person import draw_people

SIZE, SECONDS = (640, 480), 3.0


def processor_seconds() -> float:
    """Of this process and its ended children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def units(clip: bytes) -> dict[str, float]:
    """What one clip and one walk cost, in this process alone."""
    with_decoder = Pipeline()
    with_decoder.process(clip)
    with_decoder.close()  # so that the decoder's time counts from here on
    before = processor_seconds()
    result = with_decoder.process(clip)
    with_decoder.close()
    looked = processor_seconds() - before
    network, walk = models.load("gaitpart"), result.sequences[0]
    spent = []
    for _ in range(5):
        before = processor_seconds()
        embedding = embed([walk], network)
        spent.append(processor_seconds() - before)
    return {
        "perception_core_seconds_per_clip_second": looked / result.clip.duration,
        "embedding_core_seconds_per_walk": statistics.median(spent),
        "frames_per_walk": len(walk),
        "clip_bytes_per_second": len(clip) / result.clip.duration,
        "sequence_bytes_per_second": len(walk.without_heatmaps().to_bytes()) / result.clip.duration,
        "embedding_bytes": int(np.prod(embedding.shape)) * 4,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write bench/results/units.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        (person,) = draw_people(1, seed=0)
        path = clips.write_clip(Path(folder, "clip.mp4"), clips.crossing(person, seconds=SECONDS, size=SIZE))
        clip = path.read_bytes()
    figures: dict[str, Any] = {"clip": {"size": SIZE, "seconds": SECONDS}, "units": units(clip)}
    for name, value in figures["units"].items():
        print(f"{name}: {value:.4g}")
    write("units", figures)


if __name__ == "__main__":
    main()
