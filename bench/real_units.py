"""Compare units of distance on real people: ``python -m bench.real_units [NETWORK ...]``.

All units are compared at equal strictness: each with its own threshold that names 1 % of the strangers of the settings
of ``bench.real_people``, with equal weight. A better unit spreads these evenly over the settings (the share of the
worst setting is printed), and names more enrolled people correctly. In each draw half of a setting's people are
enrolled, at least three.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from bench.real_people import networks
from bench.real_walks import Setting, data_sets, embedded, settings
from bench.report import data_folder, write

Array = npt.NDArray[Any]
Side = Callable[[Array], Array]
"""Reduces a side's sorted distances to other people, (n, k), to (n,)."""
RATE = 0.01
ENROLLED = 3
PASSERS = (5, 10, 20, 50)


def mean(apart: Array) -> Array:
    """Of all."""
    return np.asarray(apart.mean(1))


def median(apart: Array) -> Array:
    """Of all."""
    return np.asarray(np.median(apart, 1))


def nearest(apart: Array, count: int) -> Array:
    """Mean of the nearest few, or of all if there are no more."""
    return np.asarray(apart[:, :count].mean(1))


def trimmed(apart: Array) -> Array:
    """Mean without the nearest and the farthest tenth (at least one each), if three are left."""
    cut = min(max(1, apart.shape[1] // 10), (apart.shape[1] - 3) // 2) if apart.shape[1] > 4 else 0
    return np.asarray(apart[:, cut : apart.shape[1] - cut].mean(1))


def ratio(distance: Array, sides: list[Array], of: list[Side]) -> Array:
    """The distance divided by the mean of both sides."""
    return np.asarray(distance / np.mean([side(apart) for side, apart in zip(of, sides, strict=True)], 0))


def deviations(distance: Array, sides: list[Array]) -> Array:
    """Deviations below the mean, averaged over both sides: symmetric score normalisation."""
    scores = [(distance - apart.mean(1)) / np.maximum(apart.std(1), 1e-9) for apart in sides]
    return np.asarray(np.mean(scores, 0))


def ways() -> dict[str, tuple[int, Callable[[Array, list[Array]], Array]]]:
    """Scores by name: the number of passers-by for the probe's side (0 for the collection), and the combination."""
    found: dict[str, tuple[int, Callable[[Array, list[Array]], Array]]] = {
        "plain distance": (0, lambda distance, _: distance),
        "collection: mean (ships)": (0, partial(ratio, of=[mean, mean])),
        "collection: probe's side alone": (0, lambda distance, sides: distance / mean(sides[0])),
        "collection: template's side alone": (0, lambda distance, sides: distance / mean(sides[1])),
        "collection: median": (0, partial(ratio, of=[median, median])),
        "collection: trimmed mean": (0, partial(ratio, of=[trimmed, trimmed])),
        "collection: 2 nearest subjects": (0, partial(ratio, of=[partial(nearest, count=2)] * 2)),
        "collection: 4 nearest subjects": (0, partial(ratio, of=[partial(nearest, count=4)] * 2)),
        "collection: means and deviations": (0, deviations),
    }
    for passers in PASSERS:
        found[f"{passers} passers-by: median (ships)"] = (passers, partial(ratio, of=[median, mean]))
        found[f"{passers} passers-by: mean"] = (passers, partial(ratio, of=[mean, mean]))
        found[f"{passers} passers-by: trimmed mean"] = (passers, partial(ratio, of=[trimmed, mean]))
        found[f"{passers} passers-by: 3 nearest"] = (passers, partial(ratio, of=[partial(nearest, count=3), mean]))
        found[f"{passers} passers-by: means and deviations"] = (passers, deviations)
    return found


def scored(setting: Setting, draws: int, seed: int = 0) -> tuple[dict[str, Array], Array, Array]:
    """Scores of each unit, and whether the person is enrolled and is the nearest, (n,) each."""
    rng, walks, tried = np.random.default_rng(seed), setting.walks, ways()
    names, person = np.unique(walks.subjects, return_inverse=True)
    apart = walks.distances.astype(np.float64)
    columns: list[tuple[Array, ...]] = []
    for _ in range(draws):
        chosen = rng.choice(len(names), max(ENROLLED, len(names) // 2), False)
        for gallery, probes in setting.parts:
            rows = gallery[np.isin(person[gallery], chosen)]
            there, owner = np.unique(person[rows], return_inverse=True)
            if len(there) < ENROLLED:
                continue
            share = (owner[:, None] == np.arange(len(there))) / np.bincount(owner)
            first = apart[np.ix_(probes, rows)].argmin(1)
            others = np.arange(len(there)) != owner[first][:, None]
            of_probes, of_templates = (
                np.sort((apart[np.ix_(ends, rows)] @ share)[others].reshape(len(probes), -1), 1)
                for ends in (probes, rows[first])
            )
            seen = {
                count: np.sort(
                    np.stack([apart[row, rng.choice(probes[probes != row], min(count, len(probes) - 1), False)]
                              for row in probes]), 1)
                for count in PASSERS
            }  # fmt: skip
            distance = apart[probes, rows[first]]
            scores = [score(distance, [seen[n] if n else of_probes, of_templates]) for n, score in tried.values()]
            own = person[probes]
            columns.append((*scores, np.isin(own, chosen), person[rows[first]] == own))
    *scores, mated, right = (np.concatenate(column) for column in zip(*columns, strict=True))
    return dict(zip(tried, scores, strict=True)), mated, right


def judged(every: list[tuple[dict[str, Array], Array, Array]], way: str) -> dict[str, float]:
    """Percent named at the threshold at which 1 % of strangers are named; settings have equal weight."""
    strangers = [np.sort(scores[way][~mated]) for scores, mated, _ in every]
    grid = np.unique(np.concatenate([values[: len(values) // 4] for values in strangers]))
    passed = np.array([np.searchsorted(values, grid, side="right") / len(values) for values in strangers])
    at = max(0, int(np.searchsorted(passed.mean(0), RATE, side="right")) - 1)
    named = [scores[way][mated] <= grid[at] for scores, mated, _ in every]
    rightly = [(is_named & right[mated]).mean() for is_named, (_, mated, right) in zip(named, every, strict=True)]
    wrongly = [(is_named & ~right[mated]).mean() for is_named, (_, mated, right) in zip(named, every, strict=True)]
    return {
        "threshold": float(grid[at]),
        "worst": 100 * float(passed[:, at].max()),
        "rightly": 100 * float(np.mean(rightly)),
        "wrongly": 100 * float(np.mean(wrongly)),
    }


def main() -> None:
    """Embed, score, print, write ``bench/results/real_units.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=["gaitbase", "fusion", "gaittemplate"])
    parser.add_argument("--draws", type=int, default=50, help="galleries that are drawn")
    parser.add_argument("--keep", type=Path, help="folder to keep embeddings in, or to take them from")
    args = parser.parse_args()
    sets = data_sets(data_folder(), heatmaps=False)
    rows: list[dict[str, Any]] = []
    for network in networks(args.networks):
        every = [scored(place, args.draws) for place in settings(embedded(network, sets, args.keep))]
        rows += [{"network": network.name, "way": way, **judged(every, way)} for way in every[0][0]]
    table = Table("network", "unit", "strangers named in the worst setting, %", "enrolled: rightly", "wrongly")
    for row in rows:
        table.add_row(row["network"], row["way"], *(f"{row[name]:.1f}" for name in ("worst", "rightly", "wrongly")))
    Console(width=110).print(table)
    write("real_units", {"rate": RATE, "draws": args.draws, "rows": rows})


if __name__ == "__main__":
    main()
