"""Verification and open-set identification, from one matrix of distances between probes and templates."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.evaluation.bootstrap import INTERVAL, people_weights
from gaitkeeper.training.evaluation.metrics import MergedScores, error_curve, miss_rate
from gaitkeeper.training.evaluation.results import Estimate, OpenSet, Verification

if TYPE_CHECKING:
    from gaitkeeper.training.evaluation.evaluate import EvaluationSettings

Array = npt.NDArray[Any]

DET_POINTS = 400
DRAWN_PAIRS = 200_000
REPLICATES = 200
"""Maximum number of replicates of a bootstrap over pairs, which is slow."""


def verify(
    distances: Array, probes: Array, templates: Array, allowed: Array, settings: EvaluationSettings
) -> Verification | None:
    """One-to-one figures of all allowed pairs; None without genuine or without impostor pairs.

    The figures use all pairs; the intervals use at most ``DRAWN_PAIRS`` random impostor pairs. In the bootstrap, a
    pair's weight is the product of the counts of its two people; for a genuine pair, the count of the person.

    Args:
        distances: (N, M).
        probes, templates: person of each (N,), (M,).
        allowed: bool (N, M).
        settings: seed, rates and replicates.
    """
    people, codes = np.unique(np.concatenate([probes, templates]), return_inverse=True)
    a, b = codes[: len(probes)], codes[len(probes) :]
    mates = a[:, None] == b[None]
    rows, columns = np.nonzero(allowed & mates)
    genuine, owners = distances[rows, columns].astype(np.float64), a[rows]
    rows, columns = np.nonzero(allowed & ~mates)
    impostor, first, second = distances[rows, columns].astype(np.float64), a[rows], b[columns]
    impostors = len(impostor)
    if not len(genuine) or not impostors:
        return None
    curve = error_curve(genuine, impostor)
    if len(impostor) > DRAWN_PAIRS:
        some = np.random.default_rng(settings.seed).choice(len(impostor), DRAWN_PAIRS, replace=False)
        impostor, first, second = impostor[some], first[some], second[some]
    merged = MergedScores(genuine, impostor)
    eers: list[float] = []
    misses: dict[float, list[float]] = {rate: [] for rate in settings.rates}
    for drawn in people_weights(len(people), min(settings.replicates, REPLICATES), settings.seed):
        mine, theirs = drawn[owners], drawn[first] * drawn[second]
        if not mine.any() or not theirs.any():
            continue
        replicate = merged.curve(mine, theirs)
        eers.append(replicate.equal_error_rate)
        for rate, found in misses.items():
            found.append(replicate.fnmr_at(rate))
    points = np.unique(np.linspace(0, len(curve.fmr) - 1, DET_POINTS).astype(int))
    low = np.unique(np.searchsorted(curve.fmr, np.geomspace(1 / impostors, 1, DET_POINTS)).clip(0, len(curve.fmr) - 1))
    points = np.union1d(points, low)
    return Verification(
        eer=_estimate(curve.equal_error_rate, eers),
        fnmr={f"{rate:g}": _estimate(curve.fnmr_at(rate), found) for rate, found in misses.items()},
        genuine=len(genuine),
        impostor=impostors,
        resolved={f"{rate:g}": impostors * rate >= 1 for rate in settings.rates},
        det=[(float(curve.fmr[i]), float(curve.fnmr[i])) for i in points],
    )


def open_set(
    distances: Array,
    probes: Array,
    templates: Array,
    allowed: Array,
    settings: EvaluationSettings,
    strangers: Collection[str] = (),
) -> OpenSet | None:
    """FNIR at each FPIR; None if there are too few people to have a gallery and strangers.

    The distance to a subject is the smallest over its allowed templates. With ``strangers`` all other people are
    enrolled (or a draw of ``gallery_size``); otherwise enrolled people are drawn, and the others are strangers.

    Args:
        distances: (N, M).
        probes, templates: person of each (N,), (M,).
        allowed: bool (N, M).
        settings: gallery size, draws, seed, rates and replicates.
        strangers: people who are never enrolled.
    """
    people, owner = np.unique(templates, return_inverse=True)
    nearest = np.full((len(probes), len(people)), np.inf)
    held = np.where(allowed, distances, np.inf)
    for i in range(len(people)):
        nearest[:, i] = held[:, owner == i].min(axis=1, initial=np.inf)
    size = settings.gallery_size or (len(people) if strangers else len(people) // 2)
    size = min(size, len(people) if strangers else len(people) - 1)
    if size < 1:
        return None
    rng = np.random.default_rng(settings.seed)
    names, who = np.unique(probes, return_inverse=True)
    own = np.searchsorted(people, probes).clip(0, len(people) - 1)
    in_people = people[own] == probes
    draws = 1 if size == len(people) else settings.draws
    fnir: dict[float, list[float]] = {rate: [] for rate in settings.rates}
    spread: dict[float, list[float]] = {rate: [] for rate in settings.rates}
    sizes: list[tuple[float, float, float]] = []
    weights = people_weights(len(names), min(settings.replicates, REPLICATES), settings.seed)
    for draw in range(draws):
        enrolled = np.sort(rng.permutation(len(people))[:size])
        best = nearest[:, enrolled].min(axis=1)
        known, searched = in_people & np.isin(own, enrolled), np.isfinite(best)
        mated, lone = known & searched, ~known & searched
        mine = nearest[np.arange(len(probes)), own]
        right, wrong = np.where(mine <= best, mine, np.inf)[mated], best[lone]
        if not len(right) or not len(wrong):
            continue
        templates_seen = allowed[:, np.isin(owner, enrolled)].sum(axis=1).mean()
        sizes.append((float(templates_seen), len(right), len(wrong)))
        for rate in settings.rates:
            fnir[rate].append(miss_rate(right, wrong, rate))
        for row in weights[draw::draws]:
            a, b = row[who[mated]], row[who[lone]]
            if a.any() and b.any():
                for rate in settings.rates:
                    spread[rate].append(miss_rate(right, wrong, rate, a, b))
    if not sizes:
        return None
    seen, mates, unknown = np.mean(sizes, axis=0)
    return OpenSet(
        fnir={f"{rate:g}": _estimate(float(np.mean(fnir[rate])), spread[rate]) for rate in settings.rates},
        gallery_subjects=float(size),
        gallery_templates=float(seen),
        mated_probes=float(mates),
        stranger_probes=float(unknown),
        resolved={f"{rate:g}": bool(unknown * rate >= 1) for rate in settings.rates},
        draws=len(sizes),
    )


def _estimate(value: float, drawn: list[float]) -> Estimate:
    if not drawn:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(drawn, INTERVAL)
    return Estimate(value, float(low), float(high))
