"""Four real people, enrolled from the front and identified from behind: ``python -m bench.quartet [NETWORK]``.

The people are known by their positions: in both clips they walk in the same order from left to right.
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.report import data_folder, write
from gaitkeeper.gallery import Gallery
from gaitkeeper.models import load
from gaitkeeper.pipelines import GaitSequence
from gaitkeeper.training.datasets.seen import SeenClips

NAMES = ("navy", "grey", "white", "yellow")


def left_to_right(seqs: list[GaitSequence]) -> dict[str, GaitSequence]:
    """The four people by name.

    Raises:
        SystemExit: the clip does not give four sequences.
    """
    if len(seqs) != len(NAMES):
        raise SystemExit(f"{len(NAMES)} walkers expected, {len(seqs)} found.")
    return dict(zip(NAMES, sorted(seqs, key=lambda seq: float(np.median(seq.boxes[:, [0, 2]]))), strict=True))


def main() -> None:
    """Enrol, identify, print the ranks, write ``bench/results/quartet.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", nargs="?", default="gei")
    network = parser.parse_args().network
    seen, clips = SeenClips(), data_folder() / "videos"
    front, back = (left_to_right(seen.of(clips / f"quartet-{name}.mp4")) for name in ("gallery", "back"))
    rows: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Gallery.open(f"sqlite:///{folder}/g.db", network=load(network)) as gallery,
    ):
        for name, seq in front.items():
            gallery.enroll(name, seq)
        for name, seq in back.items():
            found = gallery.identify(seq, top_k=4)
            rank = next(c.rank for c in found.candidates if c.subject == name)
            distances = {c.subject: c.distance for c in found.candidates}
            rows.append({"person": name, "rank": rank, "verdict": found.verdict.value, "distances": distances})
    table = Table("person", "rank", "verdict", *NAMES)
    for row in rows:
        shown = (f"{row['distances'][name]:.2f}" for name in NAMES)
        table.add_row(row["person"], str(row["rank"]), row["verdict"], *shown)
    Console(width=100).print(table)
    first = sum(row["rank"] == 1 for row in rows)
    print(f"{network}: rank 1 for {first} of {len(rows)}")
    write("quartet", {"network": network, "rank_1": first, "people": rows})


if __name__ == "__main__":
    main()
