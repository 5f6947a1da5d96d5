"""The Kinect tables, beside those of the JointsGait paper: ``python -m bench.kinect``.

Folds are over walks, ``StratifiedKFold(10, shuffle=True, random_state=0)`` by person: the nine other folds are the
gallery, and each probe walk is ranked against all people by its nearest walk. The second table is on unseen people:
every walk of the test half of ``partitions/kinect_70.toml`` against all others of that half. Both tables contain a
nearest neighbour by bone lengths.

JointsGait's rows come from ``gaitkeeper cross-validate training/configs/jointsgait-kinect.toml --json > folds.json``,
passed as ``--folds NAME=folds.json``, and from a network trained on the train half (``gaitkeeper train ... --set
data.partition=kinect_70``, without folds), passed as ``--weights NAME=net.safetensors``. ``--scaled`` says that these
networks read scale-normalised joints.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.report import data_folder, write
from gaitkeeper.models import load
from gaitkeeper.models.distance import part_distances
from gaitkeeper.training.datasets import Dataset, load_partition, open_dataset
from gaitkeeper.training.evaluation import Embedded, Evaluation, embed_dataset, evaluate_embedded, find_protocol
from gaitkeeper.training.evaluation.bone_lengths import READINGS, embed_bone_lengths
from gaitkeeper.training.evaluation.evaluate import EvaluationSettings
from gaitkeeper.training.folds import stratified_folds

FOLDS = 10
PARTITION = "kinect_70"
PAPER = {
    "Andersson and Araujo": 87.7,
    "Yang et al.": 94.5,
    "Li et al.": 96.6,
    "Khamsemanan et al.": 97.0,
    "Sun et al.": 82.7,
    "Liu et al.": 97.4,
    "JointsGait (16 joints, x and y)": 97.8,
}
"""Table 2 of the JointsGait paper, in percent."""


def fold_accuracies(embedded: Embedded, walks: Dataset) -> list[float]:
    """Rank-1 of each fold's walks among those of the other folds."""
    distances = part_distances(embedded.embeddings, embedded.embeddings).numpy()
    subjects = embedded.subjects
    shares = []
    for gallery, probes in stratified_folds(walks, FOLDS):
        nearest = gallery[distances[np.ix_(probes, gallery)].argmin(axis=1)]
        shares.append(float((subjects[nearest] == subjects[probes]).mean()))
    return shares


def named(text: str) -> tuple[str, Path]:
    """Parse ``NAME=FILE`` of the command line."""
    name, equals, path = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"NAME=FILE expected, got {text!r}")
    return name, Path(path)


def disjoint(embedded: Embedded) -> Evaluation:
    """Rank-1 of every walk against all others, on unseen people."""
    return evaluate_embedded(embedded, find_protocol("leave_one_out"), EvaluationSettings(), dataset="kinect")


def main() -> None:
    """Measure, print both tables and write ``bench/results/kinect.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=named, action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--weights", type=named, action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--scaled", action="store_true")
    options = parser.parse_args()

    walks = open_dataset("kinect", data_folder() / "kinect-gait")
    test = load_partition(PARTITION).of(walks, "test")
    by_fold: dict[str, list[float]] = {}
    unseen: dict[str, Evaluation] = {}
    for reading in READINGS:
        name = f"bone lengths, {reading}"
        by_fold[name] = fold_accuracies(embed_bone_lengths(walks, reading), walks)
        unseen[name] = disjoint(embed_bone_lengths(test, reading))
    for name, path in options.folds:
        content = json.loads(path.read_text(encoding="utf-8"))
        by_fold[name] = [fold["hits"] / fold["probes"] for fold in content["folds"]]
    for name, path in options.weights:
        unseen[name] = disjoint(embed_dataset(load(path), test, scaled=options.scaled))

    console = Console()
    console.print(folds_table(by_fold, walks))
    console.print(unseen_table(unseen, test))
    write(
        "kinect",
        {
            "paper_table_2": PAPER,
            "folds": {name: {"mean": float(np.mean(shares)), "folds": shares} for name, shares in by_fold.items()},
            "person_disjoint": {name: found.as_json() for name, found in unseen.items()},
        },
    )


def folds_table(by_fold: dict[str, list[float]], walks: Dataset) -> Table:
    """The paper's rows, then ours with the range of the folds."""
    title = f"Kinect, {len(walks.subjects)} people, {len(walks)} walks: rank-1, folds over walks"
    table = Table("method", "%", "folds", "worst – best fold", title=title)
    for name, value in PAPER.items():
        table.add_row(f"{name} (paper)", f"{value:.1f}", "10", "")
    table.add_section()
    for name, shares in by_fold.items():
        spread = f"{100 * min(shares):.1f} – {100 * max(shares):.1f}"
        table.add_row(name, f"{100 * np.mean(shares):.1f}", str(len(shares)), spread)
    return table


def unseen_table(unseen: dict[str, Any], test: Dataset) -> Table:
    """Our rows on unseen people."""
    title = f"Kinect, {len(test.subjects)} other people, {len(test)} walks: each against all others"
    table = Table("method", "rank-1 %", "95 % interval over people", "mAP %", title=title)
    for name, found in unseen.items():
        metrics = found.rows["all"].groups["all"].identification.metrics
        rank_1 = metrics["rank_1"]
        interval = f"{100 * rank_1.low:.1f} – {100 * rank_1.high:.1f}"
        table.add_row(name, f"{100 * rank_1.value:.1f}", interval, f"{100 * metrics['map'].value:.1f}")
    return table


if __name__ == "__main__":
    main()
