"""The effect of a low frame rate: ``python -m bench.low_rates [NETWORK ...]``.

KTH's people are enrolled with their walks outdoors (d1), as filmed at 25 Hz. Probes are walks as a slower camera would
have filmed them: the pipeline gets only some frames a second of every clip, so that detection, tracking and
segmentation use these alone. TUM's silhouettes are thinned afterwards. ``--seconds`` shortens the probes, to measure
how much of a walk is needed at each rate.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.real_open import rates, search
from bench.real_people import calibration_of, interval
from bench.real_walks import Setting, Walks, rank_1, walks_of
from bench.report import data_folder, write
from gaitkeeper import models
from gaitkeeper.gallery.decision.calibration import Calibration
from gaitkeeper.training.datasets import Dataset, kth, open_dataset
from gaitkeeper.training.datasets.sample import Inputs, Sample

NETWORKS = ("fusion", "gaitbase", "gaittemplate")
RATES = (25.0, 12.5, 8.0, 5.0)
SETTINGS = {"d4": "KTH d4, indoors", "d3": "KTH d3, clothes"}
FULL = 25.0


def slower(inputs: Inputs, rate: float) -> Inputs:
    """The frames of a walk nearest to the ticks of a slower clock."""
    times = inputs.timestamps if inputs.timestamps is not None else np.arange(len(inputs)) / 30.0
    ticks = np.arange(times[0], times[-1] + 1e-6, 1 / rate)
    frames = np.unique([int(np.abs(times - tick).argmin()) for tick in ticks])
    return replace(inputs, timestamps=times).take(frames)


def middle(inputs: Inputs, seconds: float) -> Inputs:
    """The middle of a walk, of that many seconds."""
    times = inputs.timestamps if inputs.timestamps is not None else np.arange(len(inputs)) / 30.0
    return inputs.take(np.abs(times - times[len(times) // 2]) <= seconds / 2 + 1e-6)


def changed(dataset: Dataset, how: Any) -> Dataset:
    """A data set with a function applied to the inputs of each walk."""
    samples = tuple(replace(sample, read=partial(_read, sample, how)) for sample in dataset)
    return Dataset(dataset.name, samples)


def _read(sample: Sample, how: Any) -> Inputs:
    found: Inputs = how(sample.read())
    return found


def figures(enrolled: Walks, probes: Walks, name: str, calibration: Calibration | None, draws: int) -> dict[str, Any]:
    """Rank-1, and the open set at the shipped threshold for 1 %."""
    walks = enrolled.beside(probes)
    gallery, rows = np.split(np.arange(len(walks.subjects)), [len(enrolled.subjects)])
    row: dict[str, Any] = {"probes": len(rows), "rank_1": rank_1(walks, gallery, rows)}
    if calibration is not None:
        found = search(Setting(name, walks, ((gallery, rows),)), calibration, 0.01, draws=draws)
        row |= rates(found)
    return row


def where(dataset: Dataset, condition: str) -> Dataset:
    """The walks in one setting."""
    return dataset.where(lambda sample: sample.condition == condition)


def probes_at(folder: Path, sets: dict[str, Dataset], rate: float, seen: bool) -> dict[str, Dataset]:
    """Probe walks by setting, at the frame rate.

    Args:
        folder: folder of the real clips.
        sets: data sets as filmed: "kth", and "tum" if the network reads only silhouettes.
        rate: frame rate in hertz.
        seen: True to thin KTH's clips before perception, False to thin its sequences afterwards.
    """
    source = sets["kth"]
    if rate < FULL:
        source = kth.read(folder / "kth", rate=rate) if seen else changed(source, partial(slower, rate=rate))
    found = {name: where(source, condition) for condition, name in SETTINGS.items()}
    if "tum" in sets:
        later = sets["tum"].where(lambda sample: sample.take in ("2", "4"))
        found["TUM 1 to 2, 4"] = later if rate >= FULL else changed(later, partial(slower, rate=rate))
    return found


def seen_by(net: models.GaitNetwork, dataset: Dataset) -> Walks:
    """Embeddings of a data set."""
    return walks_of(net, lambda: dataset)


def measure(net: models.GaitNetwork, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each rate, setting and duration of the probes."""
    folder = data_folder()
    sets = {"kth": open_dataset("kth", folder / "kth")}
    if set(net.inputs) == {"silhouettes"}:
        sets["tum"] = open_dataset("tum", folder / "tum")
    enrolled = dict.fromkeys(SETTINGS.values(), seen_by(net, where(sets["kth"], "d1")))
    if "tum" in sets:
        enrolled["TUM 1 to 2, 4"] = seen_by(net, sets["tum"].where(lambda sample: sample.take == "1"))
    calibration = calibration_of(net)
    rows = []
    for rate in args.rates:
        for name, probes in probes_at(folder, sets, rate, not args.after).items():
            for seconds in args.seconds or [None]:
                cut = probes if seconds is None else changed(probes, partial(middle, seconds=seconds))
                if len(cut):
                    found = figures(enrolled[name], seen_by(net, cut), name, calibration, args.draws)
                    rows.append({"network": net.name, "setting": name, "rate": rate, "seconds": seconds, **found})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """One table."""
    table = Table(
        "network", "setting", "Hz", "seconds", "probes", "rank-1, %", "strangers named at 1 %", "enrolled rightly"
    )
    for row in rows:
        table.add_row(
            row["network"],
            row["setting"],
            f"{row['rate']:g}",
            "all" if row["seconds"] is None else f"{row['seconds']:g}",
            str(row["probes"]),
            f"{row['rank_1']:.0f}",
            *(interval(row[name]) if name in row else "–" for name in ("named", "right")),
        )
    Console(width=130).print(table)


def main() -> None:
    """Embed, search, print the table, write ``bench/results/low_rates.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help=f"names or files; {', '.join(NETWORKS)}")
    parser.add_argument("--rates", nargs="+", type=float, default=RATES, help="of the slower cameras, in hertz")
    parser.add_argument("--seconds", nargs="+", type=float, help="lengths that probes are cut to; whole by default")
    parser.add_argument("--after", action="store_true", help="thin KTH's walks too after they were seen: quick")
    parser.add_argument("--draws", type=int, default=100, help="galleries that are drawn")
    args = parser.parse_args()
    rows = [row for name in args.networks for row in measure(models.load(name), args)]
    show(rows)
    write("low_rates", {"rows": rows, "after": args.after})


if __name__ == "__main__":
    main()
