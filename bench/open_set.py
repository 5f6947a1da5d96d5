"""How often a rendered stranger is named: ``python -m bench.open_set WALKERS_XL``.

Galleries of 3, 25, 250 and all people are drawn from the enrolled people of Walkers-XL, four templates each, and up to
1,000 stranger probes are searched in each draw; ``--probes``, and a pack of fewer people, save hours of embedding.
The bench prints the false-positive and the false-negative identification rate at the shipped thresholds, in units of
the collection and of a camera with ten passers-by. It also prints the false-negative rate at thresholds fitted on these
strangers, also for plain distances, and for the gait energy image. Intervals are from 1,000 bootstrap draws of blocks
of searches.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from bench.report import write
from gaitkeeper import models
from gaitkeeper.gallery.decision.calibration import PER_SUBJECT, Calibration, shipped_calibrations
from gaitkeeper.training.calibrate import ProbeDistances, Searched, probe_distances, quantile, search_gallery
from gaitkeeper.training.datasets import Dataset, walks_for
from gaitkeeper.training.evaluation.embedding import embed_dataset

Array = npt.NDArray[Any]
RATE = 0.01
SIZES = (3, 25, 250)
DRAWS = 40
REPLICATES = 1000
BLOCK = 100


def chosen(walks: Dataset, probes: int | None) -> Dataset:
    """All walks to enrol, and that many random probes of strangers and of enrolled people; None for all."""
    if probes is None:
        return walks
    asked = walks.where(lambda sample: sample.take.startswith("probe"))
    some = [
        walks.where(lambda sample: sample.take.startswith("enrol")),
        asked.where(lambda sample: sample.subject.startswith("stranger-")).drawn(probes, seed=0),
        asked.where(lambda sample: not sample.subject.startswith("stranger-")).drawn(probes, seed=0),
    ]
    return Dataset(walks.name, tuple(sample for part in some for sample in part))


def embedded_of(network: models.GaitNetwork, walks: Dataset, keep: Path | None) -> Tensor:
    """Embeddings (N, P, C) of all walks; cached in a file."""
    if keep is not None and keep.exists():
        return cast(Tensor, torch.load(keep, weights_only=True))
    with Progress() as progress:
        task = progress.add_task(network.name, total=len(walks))
        embedded = embed_dataset(network, walks, on_progress=lambda done: progress.update(task, completed=done))
    if len(embedded.samples) != len(walks):
        raise SystemExit(f"{len(walks) - len(embedded.samples)} walks could not be embedded.")
    if keep is not None:
        keep.parent.mkdir(parents=True, exist_ok=True)
        torch.save(embedded.embeddings, keep)
    return embedded.embeddings


def rates(
    strangers: ProbeDistances, mated: ProbeDistances, people: int, calibration: Calibration | None, basis: str
) -> dict[str, Any]:
    """Rates over galleries of that many people.

    Args:
        strangers, mated: probe walks of strangers and of enrolled people.
        people: number of people in a gallery.
        calibration: calibration with the thresholds; None fits thresholds on these strangers.
        basis: unit of distances: "plain", or units of the "collection" or the "camera".
    """
    rng = np.random.default_rng(people)
    count = int(strangers.owners.max()) + 1
    draws = [rng.choice(count, people, False) for _ in range(1 if people == count else DRAWS)]
    found = [[search_gallery(side, draw, rng) for draw in draws] for side in (strangers, mated)]
    near, own = ([_told(one, basis) for one in side] for side in found)
    if calibration is None:
        limit = quantile(np.concatenate(near), RATE)
    else:
        known = None if basis == "plain" else getattr(calibration, basis)
        tables = calibration.thresholds if known is None else known.thresholds
        table = next((one for one in tables if np.isclose(one.fpir, RATE)), None)
        if table is None:
            raise SystemExit(f"{calibration.fingerprint} is not calibrated for an FPIR of {RATE:g}.")
        limit = table.at(PER_SUBJECT * people if known is None else people)[0]
    passed = np.concatenate([values <= limit for values in near])
    blocks = np.array([passed[i : i + BLOCK].mean() for i in range(0, len(passed), BLOCK)])
    boots = blocks[rng.integers(len(blocks), size=(REPLICATES, len(blocks)))].mean(1)
    missed = [1 - float((one.right & (values <= limit)).mean()) for one, values in zip(found[1], own, strict=True)]
    return {
        "people": people,
        "templates": PER_SUBJECT * people,
        "basis": basis,
        "limit": limit,
        "fpir": float(passed.mean()),
        "fpir_low": float(np.quantile(boots, 0.025)),
        "fpir_high": float(np.quantile(boots, 0.975)),
        "fnir": float(np.mean(missed)),
        "stranger_probes": len(passed),
    }


def _told(found: Searched, basis: str) -> Array:
    return found.distance if basis == "plain" else found.distance / getattr(found, basis)


def main() -> None:
    """Search, print, write ``bench/results/open_set.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("walkers_xl", type=Path, help="the pack that `gaitkeeper walkers render walkers-xl` writes")
    parser.add_argument("--network", default="fusion")
    parser.add_argument("--keep", type=Path, help="folder to keep embeddings in, or to take them from")
    parser.add_argument("--probes", type=int, help="probes of strangers and of the enrolled, at most; all by default")
    args = parser.parse_args()
    networks = [models.load(args.network), models.build("gei")]
    walks = chosen(walks_for(networks, args.walkers_xl), args.probes)
    names, takes, views = (
        np.array([getattr(sample, field) for sample in walks.samples]) for field in ("subject", "take", "view")
    )
    probes = np.flatnonzero(np.char.startswith(takes, "probe"))
    unknown = np.char.startswith(names[probes], "stranger-")
    rows: list[dict[str, Any]] = []
    for network in networks:
        name = f"{args.walkers_xl.stem}-{network.name}-{network.weights_id}-{len(walks)}.pt"
        keep = None if args.keep is None else args.keep / name
        embeddings, rng = embedded_of(network, walks, keep), np.random.default_rng(0)
        sides = (probes[unknown], probes[~unknown])
        strangers, mated = probe_distances(embeddings, names, views, takes, sides, rng)
        shipped = [c for print_, c in shipped_calibrations().items() if print_.weights == network.weights_id]
        count = int(strangers.owners.max()) + 1
        for people in [*(size for size in SIZES if size < count), count]:
            for source in (*shipped, None):
                for basis in ("collection", "camera") if source is not None else ("plain", "collection", "camera"):
                    said = "own" if source is None else "shipped"
                    figures = rates(strangers, mated, people, source, basis)
                    rows.append({"network": network.name, "from": said, **figures})
    table = Table("network", "templates", "people", "limits", "distances in", "limit", "FPIR, %", "FNIR, %")
    for row in rows:
        fpir = f"{100 * row['fpir']:.2f} ({100 * row['fpir_low']:.2f}-{100 * row['fpir_high']:.2f})"
        table.add_row(
            row["network"], str(row["templates"]), str(row["people"]), row["from"], row["basis"],
            f"{row['limit']:.3f}", fpir, f"{100 * row['fnir']:.1f}",
        )  # fmt: skip
    Console(width=110).print(table)
    print(f"{int(unknown.sum())} probes of {len(np.unique(names[probes][unknown]))} strangers")
    write("open_set", {"rate": RATE, "rows": rows})


if __name__ == "__main__":
    main()
