"""Real people as enrolled people and as strangers: ``python -m bench.strangers WALKERS_XL [--psymo ARCHIVE]``.

Four real people are enrolled from the front beside 50 rendered ones. Seen from behind they should match. Each of them
after erasing their own templates, and three people of other clips, should not match. These seven people are also used
to choose networks and thresholds, so the result proves nothing.

With ``--psymo``, PsyMo's people are enrolled with their normal walks beside four walks of each rendered person. All
their other walks are searched, and again without the templates of the walking person.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.quartet import NAMES, left_to_right
from bench.report import data_folder, write
from gaitkeeper.gallery import Gallery, Verdict
from gaitkeeper.gallery.decision.calibration import Calibration, shipped_calibrations
from gaitkeeper.models import GaitNetwork, load
from gaitkeeper.pipelines import GaitSequence
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.training.datasets import Sample, open_dataset, walks_for
from gaitkeeper.training.datasets.seen import SeenClips

RENDERED = 50
OTHERS = {"hall-a": ("A",), "road-bc": ("B", "C")}


def rendered_people(
    network: GaitNetwork, pack: Path, like: GaitSequence, takes: int = 1
) -> list[tuple[str, GaitSequence]]:
    """Enrolment walks of the first people, from ahead first, like output of the pipeline's own perception."""
    names = [f"enrol{take}" for take in range(takes)]
    walks = walks_for([network], pack).where(lambda sample: sample.take in names)
    first = sorted({sample.subject for sample in walks})[:RENDERED]
    chosen = walks.where(lambda sample: sample.subject in first)
    return [(sample.subject, _seen(network, sample, like)) for sample in chosen]


def _seen(network: GaitNetwork, sample: Sample, like: GaitSequence) -> GaitSequence:
    seq = sample.load().sequence(network.inputs)
    # Data sets have no masks from which to measure the stability.
    return replace(seq, perception=like.perception, quality=replace(like.quality, frames=len(seq)))


def of_psymo(
    network: GaitNetwork, archive: Path, pack: Path, like: GaitSequence, calibrations: Mapping[Fingerprint, Calibration]
) -> dict[str, Any]:
    """How often PsyMo's people are named: while enrolled, and without their own templates."""
    walks = open_dataset("psymo", archive)
    people = sorted({sample.subject for sample in walks})
    enrolled, probes = (
        {name: [sample for sample in walks if sample.subject == name and pick(sample)] for name in people}
        for pick in (lambda sample: sample.recording == "nm-0", lambda sample: sample.recording != "nm-0")
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        Gallery.open(f"sqlite:///{folder}/g.db", network=network, calibrations=calibrations) as gallery,
    ):
        for name, seq in rendered_people(network, pack, like, takes=4):
            gallery.enroll(name, seq)

        def enroll(person: str) -> None:
            for sample in enrolled[person]:
                gallery.enroll(person, _seen(network, sample, like))

        for person in people:
            enroll(person)
        known, strangers = [], []
        for person in people:
            seqs = [_seen(network, sample, like) for sample in probes[person]]
            answers = gallery.identify_many(seqs, top_k=1)
            known += [answer.candidates[0].subject == person and answer.verdict is Verdict.MATCH for answer in answers]
            gallery.erase(person)
            strangers += [answer.verdict is Verdict.MATCH for answer in gallery.identify_many(seqs, top_k=1)]
            enroll(person)
        templates = gallery.identify(seqs[0], top_k=1).threshold.gallery_size
    return {"templates": templates, "probes": len(known), "matched": sum(known), "named": sum(strangers)}


def main() -> None:
    """Enrol, identify, print the verdicts, write ``bench/results/strangers.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("walkers_xl", type=Path, help="the pack that `gaitkeeper walkers render walkers-xl` writes")
    parser.add_argument("--network", default="fusion")
    parser.add_argument("--psymo", type=Path, help="PsyMo's archive")
    parser.add_argument("--alone", action="store_true", help="decide by plain distance, by the strict prior")
    args = parser.parse_args()
    network, calibrations = load(args.network), dict(shipped_calibrations())
    if args.alone:
        plain = {"collection": None, "camera": None}
        calibrations = {key: one.model_copy(update=plain) for key, one in calibrations.items()}
    seen, clips = SeenClips(), data_folder() / "videos"
    front, back = (left_to_right(seen.of(clips / f"quartet-{name}.mp4")) for name in ("gallery", "back"))
    others: dict[str, GaitSequence] = {}
    for clip, names in OTHERS.items():
        others |= dict(zip(names, seen.of(clips / f"{clip}.mp4"), strict=True))
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
        Gallery.open(f"sqlite:///{folder}/g.db", network=network, calibrations=calibrations) as gallery,
    ):
        for name, seq in [*front.items(), *rendered_people(network, args.walkers_xl, front["navy"])]:
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
    report: dict[str, Any] = {
        "network": args.network,
        "first": first,
        "matched": matched,
        "named": named,
        "people": rows,
    }
    if args.psymo is not None:
        psymo = report["psymo"] = of_psymo(network, args.psymo, args.walkers_xl, front["navy"], calibrations)
        print("PsyMo: {matched} of {probes} walks a match; without their templates {named}".format(**psymo))
    write("strangers", report)


if __name__ == "__main__":
    main()
