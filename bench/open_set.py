"""How often a drawn stranger gets a name: ``python -m bench.open_set WALKERS_XL``.

Galleries of 10, 100 and 1,000 templates are drawn from the enrolled people of Walkers-XL, four templates each, and
every stranger probe is searched in each. Printed are the false-positive identification rate at the thresholds that
ship, the false-negative identification rate there, and the latter at a threshold that these strangers themselves set,
beside that of the gait energy image. Intervals are of 1,000 bootstrap draws of strangers, people with all their probes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import models
from bench.report import write
from gallery.calibration import shipped_calibrations
from models.distance import part_distances
from training.datasets import Dataset, open_dataset
from training.evaluation.embedding import embed_dataset

Array = npt.NDArray[Any]
RATE = 0.01
DRAWS = 40
REPLICATES = 1000


def nearest(network: models.GaitNetwork, walks: Dataset, keep: Path | None) -> dict[str, Array]:
    """Distances (n, people) of strangers and of mated probes to each enrolled person's nearest template."""
    names = np.array([sample.subject for sample in walks.samples])
    takes = np.array([sample.take for sample in walks.samples])
    if keep is not None and keep.exists():
        embeddings = torch.load(keep, weights_only=True)
    else:
        with Progress() as progress:
            task = progress.add_task(network.name, total=len(walks))
            embedded = embed_dataset(network, walks, on_progress=lambda done: progress.update(task, completed=done))
        if len(embedded.samples) != len(walks):
            raise SystemExit(f"{len(walks) - len(embedded.samples)} walks could not be embedded.")
        embeddings = embedded.embeddings
        if keep is not None:
            torch.save(embeddings, keep)
    enrolled = np.flatnonzero(np.char.startswith(takes, "enrol"))
    probes = np.flatnonzero(np.char.startswith(takes, "probe"))
    stranger = np.char.startswith(names[probes], "stranger-")
    people, owner = np.unique(names[enrolled], return_inverse=True)
    out: dict[str, Array] = {"people": people}
    for kind, some in (("strangers", probes[stranger]), ("mated", probes[~stranger])):
        out[kind] = np.full((len(some), len(people)), np.inf, np.float32)
        out[f"{kind}_names"] = names[some]
        for start in range(0, len(some), 512):
            rows = some[start : start + 512]
            apart = part_distances(embeddings[rows], embeddings[enrolled]).numpy()
            for person in range(len(people)):
                out[kind][start : start + 512, person] = apart[:, owner == person].min(1)
    return out


def rates(found: dict[str, Array], people: int, threshold: float | None, seed: int) -> dict[str, Any]:
    """Rates over galleries of that many people, at a threshold or, where None, at the strangers' own."""
    rng = np.random.default_rng(seed)
    count = len(found["people"])
    draws = [rng.choice(count, people, False) for _ in range(1 if people == count else DRAWS)]
    strangers = np.stack([found["strangers"][:, drawn].min(1) for drawn in draws], 1)
    if threshold is None:
        threshold = float(np.nextafter(np.sort(strangers, None)[int(RATE * strangers.size)], np.float32(0)))
    names, which = np.unique(found["strangers_names"], return_inverse=True)
    passed = (strangers <= threshold).mean(1)
    by_person = np.array([passed[which == i].mean() for i in range(len(names))])
    boots = by_person[rng.integers(len(names), size=(REPLICATES, len(names)))].mean(1)
    mates = np.searchsorted(found["people"], found["mated_names"])
    missed: list[float] = []
    for drawn in draws:
        here = np.flatnonzero(np.isin(mates, drawn))
        rows = found["mated"][here][:, drawn]
        right = drawn[rows.argmin(1)] == mates[here]
        missed.append(1 - float((right & (rows.min(1) <= threshold)).mean()))
    return {
        "people": people,
        "threshold": threshold,
        "fpir": float(passed.mean()),
        "fpir_low": float(np.quantile(boots, 0.025)),
        "fpir_high": float(np.quantile(boots, 0.975)),
        "fnir": float(np.mean(missed)),
        "stranger_probes": len(strangers),
        "strangers": len(names),
    }


def main() -> None:
    """Search, print, write ``bench/results/open_set.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("walkers_xl", type=Path, help="the pack that `gaitkeeper walkers render walkers-xl` writes")
    parser.add_argument("--network", default="fusion")
    parser.add_argument("--keep", type=Path, help="folder to keep embeddings in, or to take them from")
    args = parser.parse_args()
    walks = open_dataset("walkers", args.walkers_xl)
    each = sum(sample.take.startswith("enrol") for sample in walks.samples) // len(
        {sample.subject for sample in walks.samples if sample.take.startswith("enrol")}
    )
    rows: list[dict[str, Any]] = []
    for name in (args.network, "gei"):
        network = models.load(name) if name != "gei" else models.build("gei")
        keep = None if args.keep is None else args.keep / f"{args.walkers_xl.stem}-{name}-{network.weights_id}.pt"
        found = nearest(network, walks, keep)
        shipped = [c for print_, c in shipped_calibrations().items() if print_.weights == network.weights_id]
        for size in (10, 100, 1000):
            people = max(1, round(size / each))
            for calibration in (*shipped, None):
                threshold = None if calibration is None else calibration.threshold(RATE, size).value
                rows.append({
                    "network": name, "templates": size,
                    "from": "strangers themselves" if calibration is None else "calibration",
                    **rates(found, people, threshold, size),
                })  # fmt: skip
        everybody = len(found["people"])
        rows.append({
            "network": name, "templates": everybody * each, "from": "strangers themselves",
            **rates(found, everybody, None, everybody),
        })  # fmt: skip
    table = Table("network", "templates", "people", "threshold from", "threshold", "FPIR, %", "FNIR, %")
    for row in rows:
        fpir = f"{100 * row['fpir']:.2f} ({100 * row['fpir_low']:.2f}-{100 * row['fpir_high']:.2f})"
        table.add_row(
            row["network"], str(row["templates"]), str(row["people"]), row["from"], f"{row['threshold']:.3f}", fpir,
            f"{100 * row['fnir']:.1f}",
        )  # fmt: skip
    Console(width=110).print(table)
    print(f"{rows[0]['stranger_probes']} probes of {rows[0]['strangers']} strangers")
    write("open_set", {"rate": RATE, "rows": rows})


if __name__ == "__main__":
    main()
