"""Test the networks on real people: ``python -m bench.real_people [NETWORK ...]``.

Uses KTH's twelve people (clips, through the pipeline), TUM's seventeen and PsyMo's five. First rank-1 by condition,
direction and view, plain and camera-centred. Then the open set: half of the people are enrolled, 100 times, and every
walk is searched. This counts how many strangers are named at the shipped thresholds, and how many enrolled people are
named correctly and wrongly. Networks, fusions and thresholds are chosen on these people; others are kept for tests.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.real_open import Searched, rates, reliability, search, strictness_of
from bench.real_walks import (
    Setting,
    Walks,
    beside,
    cameras,
    centred,
    data_sets,
    embedded,
    every_nth,
    rank_1,
    rendered_people,
    settings,
)
from bench.report import data_folder, write
from gaitkeeper import models
from gaitkeeper.gallery.decision.calibration import Calibration, shipped_calibrations
from gaitkeeper.models.weights import manifest

UNTRAINED = "untrained"
RATES = (0.01, 0.001)
SIZES = (1, 2, 3, 5, 12)
MIXED = (1, 2, 3, 5, 12, 100)
"""Numbers of subjects of the galleries with real and rendered people."""
PASSERS = (5, 10, 20, 50)


def ranks(found: dict[str, Walks]) -> dict[str, float]:
    """Rank-1 in percent by condition."""
    out: dict[str, float] = {}
    if walks := found.get("kth"):
        enrolled = walks.conditions == "d1"
        for condition in ("d3", "d4"):
            probes = walks.conditions == condition
            for label, same in (("", None), (" same direction", True), (" other direction", False)):
                out[f"KTH {condition}{label}"] = rank_1(walks, enrolled, probes, same)
            out[f"KTH {condition} centred"] = rank_1(centred(cameras(walks), enrolled, ~enrolled), enrolled, probes)
    if walks := found.get("quartet"):
        out["quartet, front to back"] = rank_1(walks, walks.conditions == "front", walks.conditions == "back")
    if walks := found.get("tum"):
        for take in ("2", "3", "4"):
            out[f"TUM 1 to {take}"] = rank_1(walks, walks.takes == "1", walks.takes == take)
    if walks := found.get("psymo"):
        enrolled = (walks.conditions == "nm") & (walks.takes == "0")
        for name, own in (("", walks), (" centred", centred(walks, enrolled, ~enrolled))):
            for condition in ("nm", "bg", "cl"):
                probes = (walks.conditions == condition) & ~enrolled
                out[f"PsyMo {condition} same{name}"] = rank_1(own, enrolled, probes, True)
                out[f"PsyMo {condition} across{name}"] = rank_1(own, enrolled, probes, False)
    return out


def opened(
    found: dict[str, Walks], calibration: Calibration, draws: int, rendered: Walks | None = None
) -> dict[str, Any]:
    """The open set at the shipped thresholds: by setting and pooled, in small and mixed galleries, by passers-by."""
    places = list(settings(found))
    fewer = max(1, draws // 2)
    out: dict[str, Any] = {"halves": {}, "sizes": {}, "mixed": {}, "passers": {}}
    for rate in RATES:
        every = [search(place, calibration, rate, draws=draws) for place in places]
        out["halves"][str(rate)] = {place.name: rates(one) for place, one in zip(places, every, strict=True)}
        out["halves"][str(rate)]["pooled"] = pooled(every)
        if rate == RATES[0]:
            out["strictness"] = strictness_of(every, rate)
            out["reliability"] = reliability(every)
    for size in SIZES:
        fit = [place for place in places if size < len(np.unique(place.walks.subjects))]
        some = [search(place, calibration, RATES[0], draws=fewer, enrolled=size) for place in fit]
        if some:
            out["sizes"][size] = pooled(some)
    if rendered is not None:
        out["mixed"] = mixed(places, rendered, calibration, fewer)
    for passers in PASSERS:
        some = [search(place, calibration, RATES[0], draws=fewer, passers=passers) for place in places]
        out["passers"][passers] = pooled(some) | {
            "by_setting": {place.name: rates(one) for place, one in zip(places, some, strict=True)},
            "strictness": strictness_of(some, RATES[0]),
        }
    return out


def mixed(places: list[Setting], rendered: Walks, calibration: Calibration, draws: int) -> dict[int, Any]:
    """Galleries of real and rendered people by size, if there are enough rendered people; strangers are real.

    Half of the subjects are real, at most half of a setting's people.
    """
    out: dict[int, Any] = {}
    both = [beside(place, rendered) for place in places]
    for size in MIXED:
        halves = [min((size + 1) // 2, len(np.unique(place.walks.subjects)) // 2) for place in places]
        if size - min(halves) > len(np.unique(rendered.subjects)):
            continue
        some = [
            search(place, calibration, RATES[0], draws=draws, enrolled=half, rendered=size - half)
            for place, half in zip(both, halves, strict=True)
        ]
        out[size] = pooled(some) | {
            "by_setting": {place.name: rates(one) for place, one in zip(places, some, strict=True)}
        }
    return out


def pooled(found: list[Searched]) -> dict[str, Any]:
    """The mean over settings, with equal weight; intervals are those of the single settings."""
    each = [rates(one) for one in found]
    return {name: [float(np.mean([one[name][0] for one in each]))] for name in ("named", "right", "wrong", "prior")}


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """The tables: networks down, conditions across."""
    closed = Table("rank-1, %", *(row["network"] for row in rows))
    for name in dict.fromkeys(name for row in rows for name in row["ranks"]):
        values = [row["ranks"].get(name, float("nan")) for row in rows]
        closed.add_row(name, *("–" if np.isnan(value) else f"{value:.0f}" for value in values))
    console.print(closed)
    for row in rows:
        if "open" not in row:
            continue
        title = f"{row['network']}: half enrolled, shipped thresholds, %"
        table = Table("setting", "strangers named at 1 %", "at 0.1 %", "enrolled: rightly", "wrongly", "by the prior",
                      title=title)  # fmt: skip
        found, strict = row["open"], row["open"]["halves"]["0.001"]
        labelled = {
            **found["halves"]["0.01"],
            **{f"{size} enrolled": figures for size, figures in found["sizes"].items()},
            **{f"{size}, real and rendered": figures for size, figures in found["mixed"].items()},
            **{f"{passers} passers-by": figures for passers, figures in found["passers"].items()},
        }
        for place, figures in labelled.items():
            at_one, *others = (interval(figures[name]) for name in ("named", "right", "wrong", "prior"))
            table.add_row(place, at_one, interval(strict[place]["named"]) if place in strict else "", *others)
        console.print(table)
        for bin_ in row["open"]["reliability"]:
            console.print(f"confidence {bin_['confidence']:.2f}: right in {bin_['right']:.2f} of {bin_['probes']}")
        console.print(f"strictness at which strangers are named as often as promised: {row['open']['strictness']:.3f}")


def interval(values: list[float]) -> str:
    """A figure, with its interval if it has one."""
    return f"{values[0]:.1f}" + (f" ({values[1]:.1f}-{values[2]:.1f})" if len(values) == 3 else "")


def calibration_of(network: models.GaitNetwork) -> Calibration | None:
    """The calibration that ships with the network's weights; None if there is none."""
    known = shipped_calibrations().items()
    return next((one for key, one in known if key.weights == network.weights_id != "none"), None)


def networks(named: list[str]) -> list[models.GaitNetwork]:
    """The named networks, or GEI, an untrained GaitBase, and all shipped networks."""
    shipped = sorted(entry.name for entry in manifest().values() if entry.kind == "network")
    found = []
    for name in named or ["gei", UNTRAINED, *shipped]:
        if name == UNTRAINED:
            network = models.build("gaitbase", seed=0).eval()
            network.weights_id = "untrained-seed0"
        else:
            network = models.load(name)
        found.append(network)
    return found


def main() -> None:
    """Embed, search, print the tables, write ``bench/results/real_people.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", help=f"names, files, or {UNTRAINED}; all that ship by default")
    parser.add_argument("--draws", type=int, default=100, help="galleries that are drawn")
    parser.add_argument("--keep", type=Path, help="folder to keep embeddings in, or to take them from")
    parser.add_argument("--rendered", type=Path, help="a pack as `gaitkeeper walkers render walkers-xl` writes it")
    parser.add_argument("--every", type=int, default=1, help="keep every second frame of all walks, or every third…")
    args = parser.parse_args()
    if args.every > 1 and args.keep is not None:
        parser.error("--keep is for walks with all of their frames")
    chosen = networks(args.networks)
    sets = {wants: data_sets(data_folder(), heatmaps=wants) for wants in {"heatmaps" in net.inputs for net in chosen}}
    if args.every > 1:
        sets = {wants: {name: partial(every_nth, read, args.every) for name, read in them.items()}
                for wants, them in sets.items()}  # fmt: skip
    rows: list[dict[str, Any]] = []
    for network in chosen:
        found = embedded(network, sets["heatmaps" in network.inputs], args.keep)
        name = network.name if network.trained else f"{network.name}, {UNTRAINED}"
        row: dict[str, Any] = {"network": name, "weights": network.weights_id, "ranks": ranks(found)}
        calibration = calibration_of(network)
        if calibration is not None:
            reads = args.rendered is not None and "heatmaps" not in network.inputs
            rendered = rendered_people(network, args.rendered, max(MIXED), args.keep) if reads else None
            row["open"] = opened(found, calibration, args.draws, rendered)
        rows.append(row)
    show(Console(width=120), rows)
    write("real_people", {"draws": args.draws, "every": args.every, "rows": rows})


if __name__ == "__main__":
    main()
