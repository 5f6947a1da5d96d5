"""Moving 10,000 templates to another network and back under a stream of searches: ``python -m bench.migration``.

Every answer during the move must come entirely from one network or entirely from the other, without errors. The other
network is a small seeded GaitSet, because the move and not the network is measured. The bench uses an SQLite file, or a
collection of its own in the store that ``--store`` names; the collection is removed afterwards.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import write
from gaitkeeper import models
from gaitkeeper.gallery import Gallery, open_store
from gaitkeeper.gallery.migration import migrate, rollback
from gaitkeeper.gallery.networks import network_of
from gaitkeeper.gallery.stores.protocol import NewSubject, NewTemplate, Store
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.fingerprint import fingerprint_of
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.recognition import canary

PERCEPTION = "blazepose-full/1"
COLLECTION = "bench-migration"
WALKS = 200  # different walks; each is enrolled many times


def walk(seed: int) -> GaitSequence:
    """16 frames of an ellipse with an individual pattern of holes."""
    still = canary.sequence(PERCEPTION, 16).without_heatmaps()
    holes = np.random.default_rng(seed).random((16, 64, 64)) < 0.2
    return replace(still, silhouettes=np.where(holes, np.uint8(0), still.silhouettes))


def fill(store: Store, templates: int) -> None:
    """Enrol the walks repeatedly, embedded by the gait energy image."""
    network = models.load("gei")
    walks = [walk(i) for i in range(WALKS)]
    embeddings, files = embed(walks, network).numpy(), [seq.to_bytes() for seq in walks]
    fingerprint, quality = fingerprint_of(network, PERCEPTION), walks[0].quality
    for i in range(templates):
        k = i % WALKS
        new = NewTemplate(fingerprint, embeddings[k], files[k], False, quality, 1, 0.0, 0.5, f"{i:064x}")
        store.enroll(COLLECTION, NewSubject(f"p{k:03}"), new)


class Searches(threading.Thread):
    """Identifies the same walkers without a pause, and keeps the answers."""

    def __init__(self, gallery: Gallery, probes: list[GaitSequence]) -> None:
        super().__init__(daemon=True)
        self.gallery, self.probes, self.stop = gallery, probes, threading.Event()
        self.answers: list[tuple[int, str, tuple[float, ...]]] = []
        self.seconds: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        """Run until stopped."""
        while not self.stop.is_set():
            for i, probe in enumerate(self.probes):
                began = time.perf_counter()
                try:
                    self.answers.append(seen(self.gallery, i, probe))
                except Exception as error:
                    self.errors.append(repr(error))
                self.seconds.append(time.perf_counter() - began)


def seen(gallery: Gallery, i: int, probe: GaitSequence) -> tuple[int, str, tuple[float, ...]]:
    """The part of an answer that depends on the network."""
    answer = gallery.identify(probe)
    return i, str(answer.fingerprint), tuple(candidate.distance for candidate in answer.candidates)


def measure(url: str, weights: Path, templates: int) -> dict[str, Any]:
    """Fill, move and move back; returns the seconds of each, and the results of the searches."""
    models.save(models.build("gaitset", seed=3, embed_dim=16, channels=(8, 8, 16)), weights)
    store = open_store(url)
    if any(found.name == COLLECTION for found in store.collections()):
        raise SystemExit(f"There is a collection {COLLECTION!r} in this store already.")
    store.ensure_collection(COLLECTION)
    began = time.perf_counter()
    fill(store, templates)
    filled = time.perf_counter() - began
    probes = [walk(1000 + i) for i in range(4)]
    with Gallery.open(url, COLLECTION, fallback=weights, calibrations={}) as gallery:
        known = {seen(gallery, i, probe) for i, probe in enumerate(probes)}
        searches = Searches(gallery, probes)
        searches.start()
        began = time.perf_counter()
        migrate(store, COLLECTION, models.load(weights))
        moved = time.perf_counter() - began
        known |= {seen(gallery, i, probe) for i, probe in enumerate(probes)}
        began = time.perf_counter()
        rollback(store, COLLECTION, network_of)
        back = time.perf_counter() - began
        known |= {seen(gallery, i, probe) for i, probe in enumerate(probes)}
        searches.stop.set()
        searches.join()
    store.delete_collection(COLLECTION)
    store.close()
    return {
        "store": url.partition(":")[0],
        "templates": templates,
        "filling_s": filled,
        "migration_s": moved,
        "rollback_s": back,
        "rollback_target_s": 5.0,
        "searches": len(searches.answers),
        "errors": searches.errors,
        "mixed": sum(answer not in known for answer in searches.answers),
        "networks_seen": sorted({fingerprint for _, fingerprint, _ in searches.answers}),
        "median_search_s": float(np.median(searches.seconds)),
        "longest_search_s": max(searches.seconds),
    }


def main() -> None:
    """Measure, print, write ``bench/results/migration-STORE.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=int, default=10_000)
    parser.add_argument("--store", help="a Redis, say: redis://127.0.0.1:6379/0; an SQLite file where not given")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = args.store or f"sqlite:///{folder}/gallery.db"
        figures = measure(url, Path(folder) / "small.safetensors", args.templates)
    for name, value in figures.items():
        print(f"{name:18} {value}")
    write(f"migration-{figures['store']}", figures)


if __name__ == "__main__":
    main()
