"""Real people in a gallery, and out of it: ``python -m bench.strangers WALKERS_B``.

Four real people are enrolled from the front beside 50 rendered ones. Seen from behind they should be a match; each of
them with their own templates erased, and three people of other clips, should not. Real clips serve for choosing here,
they prove nothing: there are seven of them.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.quartet import NAMES, left_to_right
from bench.report import data_folder, write
from gallery import Gallery
from models import load
from pipelines import GaitSequence, Pipeline
from training.datasets import load_partition, open_dataset

OTHERS = {"hall-a": ("A",), "road-bc": ("B", "C")}


def rendered_people(pack: Path, front: GaitSequence) -> dict[str, GaitSequence]:
    """The first normal walk of every test person, from ahead, as if the pipeline's own perception had seen it."""
    walks = load_partition("kinect_75_15_50").of(open_dataset("walkers", pack), "test")
    chosen = walks.where(lambda sample: sample.recording == "nm-01" and sample.view == "000")
    out = {}
    for sample in chosen:
        seq = sample.load().sequence(("silhouettes", "joints"))
        # Packs keep no masks to tell their stability by; the renderer's hardly flicker.
        quality = replace(front.quality, frames=len(seq))
        out[sample.subject] = replace(seq, perception=front.perception, quality=quality)
    return out


def main() -> None:
    """Enrol, identify, print the verdicts, write ``bench/results/strangers.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("walkers_b", type=Path, help="the pack that `gaitkeeper walkers render walkers-b` writes")
    parser.add_argument("--network", default="fusion")
    args = parser.parse_args()
    pipeline, clips = Pipeline(), data_folder() / "videos"
    front, back = (left_to_right(pipeline.sequences(clips / f"quartet-{name}.mp4")) for name in ("gallery", "back"))
    others: dict[str, GaitSequence] = {}
    for clip, names in OTHERS.items():
        found = sorted(pipeline.sequences(clips / f"{clip}.mp4"), key=lambda seq: seq.timestamps[0])
        others |= dict(zip(names, found, strict=True))
    rows: list[dict[str, Any]] = []

    def ask(gallery: Gallery, person: str, seq: GaitSequence, enrolled: bool) -> None:
        found = gallery.identify(seq, top_k=1)
        first = found.candidates[0]
        rows.append({
            "person": person, "enrolled": enrolled, "verdict": found.verdict.value, "first": first.subject,
            "distance": first.distance, "threshold": found.threshold.value,
        })  # fmt: skip

    with (
        tempfile.TemporaryDirectory() as folder,
        Gallery.open(f"sqlite:///{folder}/g.db", network=load(args.network)) as gallery,
    ):
        for name, seq in {**front, **rendered_people(args.walkers_b, front["navy"])}.items():
            gallery.enroll(name, seq)
        for name, seq in back.items():
            ask(gallery, name, seq, enrolled=True)
        for name, seq in others.items():
            ask(gallery, name, seq, enrolled=False)
        for name in NAMES:
            gallery.erase(name)
            ask(gallery, name, back[name], enrolled=False)
            gallery.enroll(name, front[name])
    table = Table("person", "enrolled", "verdict", "first", "distance", "threshold")
    for row in rows:
        threshold = "–" if row["threshold"] is None else f"{row['threshold']:.3f}"
        table.add_row(
            row["person"],
            "yes" if row["enrolled"] else "no",
            row["verdict"],
            row["first"],
            f"{row['distance']:.3f}",
            threshold,
        )
    Console(width=100).print(table)
    matched = sum(row["verdict"] == "match" and row["first"] == row["person"] for row in rows if row["enrolled"])
    named = sum(row["verdict"] == "match" for row in rows if not row["enrolled"])
    first = sum(row["first"] == row["person"] for row in rows if row["enrolled"])
    print(f"{args.network}: enrolled: {first} of 4 first, {matched} a match; strangers: {named} of 7 a match")
    write("strangers", {"network": args.network, "first": first, "matched": matched, "named": named, "people": rows})


if __name__ == "__main__":
    main()
