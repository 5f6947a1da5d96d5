"""Open-set test on real people: some are enrolled, the others are strangers; counts how often each is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.real_walks import Setting
from gaitkeeper.gallery.decision.calibration import Calibration
from gaitkeeper.gallery.decision.units import Unit, units_of

Array = npt.NDArray[Any]
REPLICATES = 1000


@dataclass(frozen=True, eq=False)
class Searched:
    """Results of n probes in drawn galleries.

    Attributes:
        people: index of the walking person, (n,).
        mated, right: True if that person is enrolled, and is the nearest, bool (n,).
        named: True if the nearest is a match, bool (n,).
        shares: distance in units divided by the threshold for that size, (n,); nan where the prior decides.
        confidences: confidence in [0, 1], (n,).
    """

    people: Array = field(repr=False)
    mated: Array = field(repr=False)
    right: Array = field(repr=False)
    named: Array = field(repr=False)
    shares: Array = field(repr=False)
    confidences: Array = field(repr=False)


def search(
    setting: Setting,
    calibration: Calibration,
    rate: float,
    *,
    draws: int,
    enrolled: int | None = None,
    rendered: int = 0,
    passers: int = 0,
    seed: int = 0,
) -> Searched:
    """Draw people to enrol, search every probe, and decide as the service does.

    Args:
        setting: the walks.
        calibration: calibration that ships with the network.
        rate: requested false-positive identification rate.
        draws: number of galleries.
        enrolled: real people in a gallery; None enrols half of them.
        rendered: number of the setting's rendered people who are also enrolled.
        passers: number of passers-by of the camera, drawn for each probe from walks of the same setting; they may
            include walks of the probe's person and of enrolled people.
        seed: seed of the draws.
    """
    rng = np.random.default_rng(seed)
    walks = setting.walks
    names, person = np.unique(walks.subjects, return_inverse=True)
    company = np.unique(person[setting.company])
    real = np.setdiff1d(person, company)
    # Row numbers replace embeddings, because the distances are already known.
    row = torch.arange(len(person), dtype=torch.float64)[:, None, None]
    known = torch.from_numpy(walks.distances)
    columns: list[tuple[Array, ...]] = []
    for _ in range(draws):
        chosen = rng.choice(real, enrolled or len(real) // 2, False)
        if rendered:
            chosen = np.concatenate([chosen, rng.choice(company, rendered, False)])
        for gallery, probes in setting.parts:
            every = np.concatenate([gallery, setting.company])
            rows = every[np.isin(person[every], chosen)]
            if not len(rows):
                continue
            nearest = rows[walks.distances[np.ix_(probes, rows)].argmin(1)]
            cohort = {str(names[i]): row[rows[person[rows] == i]] for i in np.unique(person[rows])}
            seen = None
            if passers:
                others = [rng.choice(probes[probes != row], min(passers, len(probes) - 1), False) for row in probes]
                seen = [row[some] for some in others]
            units = units_of(
                row[probes],
                list(row[nearest]),
                [str(names[i]) for i in person[nearest]],
                cohort,
                seen,
                apart=lambda a, b: known[a[:, 0].long(), b[:, 0, 0].long()[None]],
            )
            distance = walks.distances[probes, nearest]
            columns.append(
                (
                    person[probes],
                    np.isin(person[probes], chosen),
                    person[nearest] == person[probes],
                    *_decided(calibration, rate, distance, units, len(rows), len(cohort)),
                )
            )
    return Searched(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _decided(
    calibration: Calibration, rate: float, distances: Array, units: list[Unit | None], size: int, subjects: int
) -> tuple[Array, Array, Array]:
    named, shares, confidences = [], [], []
    for distance, unit in zip(distances.tolist(), units, strict=True):
        threshold = calibration.threshold(rate, size, subjects=subjects, unit=unit)
        assert threshold.value is not None
        named.append(distance <= threshold.value)
        shares.append(float("nan") if threshold.unit is None else distance / threshold.value)
        confidences.append(calibration.confidence_of(distance, unit))
    return np.array(named), np.array(shares), np.array(confidences)


def rates(found: Searched, seed: int = 0) -> dict[str, Any]:
    """Percent of strangers named, and of enrolled people named correctly and wrongly; 95 % intervals.

    Intervals are of 1,000 bootstrap draws of people, each with all their probes. ``prior`` is the percentage of
    searches without a unit, which the prior decided.
    """
    rng = np.random.default_rng(seed)
    people = int(found.people.max()) + 1
    weights = rng.multinomial(people, np.full(people, 1 / people), size=REPLICATES)
    out: dict[str, Any] = {"strangers": int((~found.mated).sum()), "enrolled": int(found.mated.sum())}
    for name, event, among in (
        ("named", found.named, ~found.mated),
        ("right", found.named & found.right, found.mated),
        ("wrong", found.named & ~found.right, found.mated),
    ):
        hits = np.bincount(found.people, event & among, people)
        total = np.bincount(found.people, among, people)
        drawn = weights @ hits / np.maximum(weights @ total, 1)
        low, high = np.percentile(drawn, (2.5, 97.5))
        out[name] = [100 * float(hits.sum() / max(total.sum(), 1)), 100 * float(low), 100 * float(high)]
    out["prior"] = [100 * float(np.isnan(found.shares).mean())]
    return out


def strictness_of(found: list[Searched], rate: float) -> float:
    """The factor for thresholds in units at which these strangers pass at the rate; settings have equal weight."""
    strangers = [one.shares[~one.mated & np.isfinite(one.shares)] for one in found]
    strangers = [shares for shares in strangers if len(shares)]
    if not strangers:
        return float("nan")
    grid = np.unique(np.concatenate([np.sort(shares)[: max(2, len(shares) // 4)] for shares in strangers]))
    passed = np.mean([np.searchsorted(np.sort(shares), grid, side="right") / len(shares) for shares in strangers], 0)
    return float(grid[max(0, int(np.searchsorted(passed, rate, side="right")) - 1)])


def reliability(found: list[Searched], bins: int = 5) -> list[dict[str, float]]:
    """Mean confidence, and how often the nearest subject is right; strangers and enrolled people have equal weight."""
    confidence = np.concatenate([one.confidences for one in found])
    right = np.concatenate([one.right & one.mated for one in found]).astype(float)
    mated = np.concatenate([one.mated for one in found])
    weight = np.where(mated, 1 / max(mated.sum(), 1), 1 / max((~mated).sum(), 1))
    rows = []
    for low in np.linspace(0, 1, bins + 1)[:-1]:
        here = (confidence >= low) & ((confidence < low + 1 / bins) | (low + 1 / bins >= 1))
        if here.any():
            w = weight[here]
            rows.append({
                "confidence": float((confidence[here] * w).sum() / w.sum()),
                "right": float((right[here] * w).sum() / w.sum()),
                "probes": int(here.sum()),
            })  # fmt: skip
    return rows
