"""Clips per second through Ray Serve, with one replica of perception and with two: ``python -m bench.hosts``.

The cluster is this machine alone. The same clips are also processed in one process without Ray, by one thread and by
two, to separate the cost of Ray and the gain of a second replica from the limits of the processor. The bench also
measures the units of docs/scale.md: processor seconds, which other load on the machine changes little, and bytes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bench.clips import CLIPS
from bench.report import write
from gaitkeeper import models
from gaitkeeper.gallery.networks import DEFAULT_NETWORK
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.pipeline import ClipResult, Pipeline
from gaitkeeper.service.hosts.cluster import LOCAL, joined, prepare
from gaitkeeper.service.settings import load_settings
from gaitkeeper.service.settings.scale import Replicas

SIZE, SECONDS = (640, 480), 3.0
"""Of the clip ``walk``: one person walks across."""


def through(look: Callable[[bytes], ClipResult], clip: bytes, count: int, callers: int) -> float:
    """Clips per second, from the first request to the last answer."""
    started = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(look, [clip] * count))
    return count / (time.perf_counter() - started)


def processor_seconds() -> float:
    """Processor seconds of this process and its ended children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def units(clip: bytes) -> dict[str, float]:
    """The cost of one clip and of one walk, in this process."""
    with_decoder = Pipeline()
    with_decoder.process(clip)
    with_decoder.close()  # so that the decoder's time is counted from here on
    before = processor_seconds()
    result = with_decoder.process(clip)
    with_decoder.close()
    looked = processor_seconds() - before
    network, walk = models.load(DEFAULT_NETWORK), result.sequences[0]
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


def served(clip: bytes, count: int, replicas: Sequence[int]) -> dict[str, float]:
    """Clips per second by number of replicas, on a cluster of this machine alone."""
    prepare(LOCAL)
    found = {}
    with joined(LOCAL, load_settings()):
        from ray import serve

        from gaitkeeper.service.hosts.remote import RemotePipeline
        from gaitkeeper.service.hosts.replicas import Perception

        try:
            for number in replicas:
                scale = Replicas(least=number, most=number, batch=2, cpus=0.5)
                app = serve.deployment(
                    num_replicas=number, max_ongoing_requests=4, ray_actor_options=scale.reserved("cpu")
                )(Perception)
                handle = serve.run(app.bind(scale.batch, scale.wait), name=f"bench{number}", route_prefix=None)
                pipeline = RemotePipeline(load_settings().pipeline, handle)
                through(pipeline.process, clip, 2 * number, 2 * number)  # loads the models
                found[f"replicas_{number}"] = through(pipeline.process, clip, count, 4)
                serve.delete(f"bench{number}")
        finally:
            serve.shutdown()
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write bench/results/hosts.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=12, help="clips for each figure")
    parser.add_argument("--units", action="store_true", help="only what one clip and one walk cost, without Ray")
    asked = parser.parse_args(argv)
    clip = (CLIPS / "walk.mp4").read_bytes()
    figures: dict[str, Any] = {"clip": {"size": SIZE, "seconds": SECONDS}, "clips": asked.clips, "units": units(clip)}
    if asked.units:
        for name, value in figures["units"].items():
            print(f"{name}: {value:.4g}")
        return
    plain = Pipeline()
    plain.process(clip)
    rates = {f"threads_{n}": through(plain.process, clip, asked.clips, n) for n in (1, 2)}
    plain.close()
    rates |= served(clip, asked.clips, (1, 2))
    figures["clips_per_second"] = rates
    figures["ratios"] = {
        "two replicas to one": rates["replicas_2"] / rates["replicas_1"],
        "two replicas to two threads": rates["replicas_2"] / rates["threads_2"],
    }
    for name, rate in rates.items():
        print(f"{name}: {rate:.2f} clips/s, {rate * SECONDS:.2f} × real time")
    for name, value in (figures["units"] | figures["ratios"]).items():
        print(f"{name}: {value:.4g}")
    write("hosts", figures)


if __name__ == "__main__":
    main()
