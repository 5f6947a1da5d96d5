"""How often a drawn stranger gets a name: ``python -m bench.open_set WALKERS_XL``.

Galleries of 10, 100 and 1,000 templates are drawn from the enrolled people of Walkers-XL, four templates each, and
every stranger probe is searched in each. Printed are the false-positive identification rate at the thresholds that
ship, the false-negative identification rate there, and the latter at thresholds that these strangers themselves set, by
distance alone and beside the next subjects, with those of the gait energy image. Intervals are of 1,000 bootstrap draws
of strangers, people with all their probes.
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
from gallery.calibration import RIVALS, Calibration, limit_of, shipped_calibrations
from models.distance import part_distances
from training.calibrate import beside, quantile, relative_limits
from training.datasets import Dataset, walks_for
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


def rates(found: dict[str, Array], people: int, calibration: Calibration | str, templates: int) -> dict[str, Any]:
    """Rates over galleries of that many people.

    Args:
        found: of :func:`nearest`.
        people: in a gallery.
        calibration: whose thresholds to take, or ``distance`` or ``ratio`` for the strangers' own.
        templates: in a gallery.
    """
    rng = np.random.default_rng(templates)
    count = len(found["people"])
    draws = [rng.choice(count, people, False) for _ in range(1 if people == count else DRAWS)]
    near = [_beside(found["strangers"][:, drawn]) for drawn in draws]
    first, rivals = (np.stack(parts, 1) for parts in zip(*near, strict=True))
    ratio: float | None = None
    if isinstance(calibration, Calibration):
        limit = limit_of(RATE, templates, calibration.thresholds, calibration.relative)
        if limit is None:
            raise SystemExit(f"{calibration.fingerprint} is not calibrated for an FPIR of {RATE:g}.")
        distance, ratio = limit.distance, limit.ratio
    elif calibration == "ratio":
        distance, ratio = relative_limits(first.ravel(), rivals.ravel(), RATE)
    else:
        distance = quantile(first.ravel(), RATE)
    ratio = 1.0 if ratio is None else ratio  # the first is never farther than the next ones
    names, which = np.unique(found["strangers_names"], return_inverse=True)
    passed = ((first <= distance) & (first <= ratio * rivals)).mean(1)
    by_person = np.array([passed[which == i].mean() for i in range(len(names))])
    boots = by_person[rng.integers(len(names), size=(REPLICATES, len(names)))].mean(1)
    mates = np.searchsorted(found["people"], found["mated_names"])
    missed: list[float] = []
    for drawn in draws:
        here = np.flatnonzero(np.isin(mates, drawn))
        rows = found["mated"][here][:, drawn]
        right = drawn[rows.argmin(1)] == mates[here]
        own, others = _beside(rows)
        missed.append(1 - float((right & (own <= distance) & (own <= ratio * others)).mean()))
    return {
        "people": people,
        "templates": templates,
        "distance": distance,
        "ratio": ratio,
        "fpir": float(passed.mean()),
        "fpir_low": float(np.quantile(boots, 0.025)),
        "fpir_high": float(np.quantile(boots, 0.975)),
        "fnir": float(np.mean(missed)),
        "stranger_probes": len(first),
        "strangers": len(names),
    }


def _beside(distances: Array) -> tuple[Array, Array]:
    """As :func:`training.calibrate.beside`; the rivals are infinitely far where there are too few."""
    if distances.shape[1] > RIVALS:
        return beside(distances)
    return distances.min(1), np.full(len(distances), np.inf, np.float32)


def main() -> None:
    """Search, print, write ``bench/results/open_set.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("walkers_xl", type=Path, help="the pack that `gaitkeeper walkers render walkers-xl` writes")
    parser.add_argument("--network", default="fusion")
    parser.add_argument("--keep", type=Path, help="folder to keep embeddings in, or to take them from")
    args = parser.parse_args()
    networks = [models.load(args.network), models.build("gei")]
    walks = walks_for(networks, args.walkers_xl)
    each = sum(sample.take.startswith("enrol") for sample in walks.samples) // len(
        {sample.subject for sample in walks.samples if sample.take.startswith("enrol")}
    )
    rows: list[dict[str, Any]] = []
    for network in networks:
        keep = (
            None if args.keep is None else args.keep / f"{args.walkers_xl.stem}-{network.name}-{network.weights_id}.pt"
        )
        found = nearest(network, walks, keep)
        shipped = [c for print_, c in shipped_calibrations().items() if print_.weights == network.weights_id]
        everybody = len(found["people"]) * each
        for templates in (10, 100, 1000, everybody):
            people = max(1, round(templates / each))
            own = ("distance", "ratio") if people > RIVALS else ("distance",)
            for source in (*(shipped if templates < everybody else ()), *own):
                said = source if isinstance(source, str) else "shipped"
                rows.append({"network": network.name, "from": said, **rates(found, people, source, templates)})
    table = Table("network", "templates", "people", "limits", "distance", "ratio", "FPIR, %", "FNIR, %")
    for row in rows:
        fpir = f"{100 * row['fpir']:.2f} ({100 * row['fpir_low']:.2f}-{100 * row['fpir_high']:.2f})"
        table.add_row(
            row["network"], str(row["templates"]), str(row["people"]), row["from"], f"{row['distance']:.3f}",
            f"{row['ratio']:.3f}", fpir, f"{100 * row['fnir']:.1f}",
        )  # fmt: skip
    Console(width=110).print(table)
    print(f"{rows[0]['stranger_probes']} probes of {rows[0]['strangers']} strangers")
    write("open_set", {"rate": RATE, "rows": rows})


if __name__ == "__main__":
    main()
