"""Thresholds and confidence of a network, fitted on people that it never saw: ``gaitkeeper calibrate``.

Everybody of the part "known" is enrolled with all their "enrol" takes, galleries of a stated number of templates are
drawn from them, and strangers are searched in each. The threshold for a false-positive identification rate is that
share's quantile of the strangers' nearest distances; for the relative one see :func:`relative_limits`. Confidence is an
isotonic regression of "the nearest subject is the right one" on its distance, over mated and stranger probes weighing
alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from gallery.calibration import RIVALS, Calibration, ConfidenceMap, FpirThresholds, PartQuantiles, RelativeThresholds
from gallery.explain import quantiles
from gallery.views import corrections_of
from models.base import GaitNetwork
from models.distance import part_distances
from pipelines.fingerprint import fingerprint_of
from training.datasets import Dataset
from training.datasets.errors import BadDataset
from training.evaluation.embedding import Embedded, embed_dataset

Array = npt.NDArray[Any]

SIZES = (10, 100, 1000)
RATES = (0.01, 0.001)
DRAWS = 40
REACH = 5
"""Times the rate that may come near enough for a relative threshold: no more strangers pass it in any gallery."""
CONFIDENCE_SIZE = 100
POINTS = 32
BLOCK = 10_000  # pairs whose embeddings are held at once
PAIRS = 200_000
"""Of strangers and enrolled takes, drawn to measure how far apart their parts are."""


def calibrate(
    net: GaitNetwork,
    walks: Dataset,
    perception: str,
    *,
    sizes: Sequence[int] = SIZES,
    rates: Sequence[float] | None = None,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Fit a calibration.

    Args:
        net: in the weights that it will be used with.
        walks: takes named "enrolN" and "probeN"; people named "stranger-*" are never enrolled.
        perception: the backend whose fingerprint it is for.
        sizes: gallery sizes in templates, rising; those that the walks cannot fill are left out.
        rates: false-positive identification rates; ``RATES`` by default.
        seed: of the draws of galleries.
        on_progress: told the number of walks embedded.

    Raises:
        BadDataset: there are no enrolled people, or fewer stranger probes than the lowest rate needs.
    """
    rates = rates or RATES
    embedded = embed_dataset(net, walks, on_progress=on_progress)
    subjects = embedded.subjects
    takes = np.array([sample.take for sample in embedded.samples])
    enrolled = np.flatnonzero(np.char.startswith(takes, "enrol"))
    stranger = np.char.startswith(subjects, "stranger-")
    probes = np.flatnonzero(np.char.startswith(takes, "probe"))
    strangers, mated = probes[stranger[probes]], probes[~stranger[probes]]
    if not len(enrolled) or len(strangers) * min(rates) < 1:
        raise BadDataset(
            f"{len(enrolled)} enrolled takes, {len(strangers)} of strangers: calibrating for an FPIR of {min(rates):g} "
            f"needs at least {round(1 / min(rates))} of strangers."
        )
    people, owner = np.unique(subjects[enrolled], return_inverse=True)
    to_strangers, to_mated = (
        _nearest(part_distances(embedded.embeddings[p], embedded.embeddings[enrolled]).numpy(), owner, len(people))
        for p in (strangers, mated)
    )
    each = len(enrolled) / len(people)
    rng = np.random.default_rng(seed)
    filled = [size for size in sizes if round(size / each) <= len(people)]
    draws = {
        size: [rng.choice(len(people), max(1, round(size / each)), False) for _ in range(DRAWS)] for size in filled
    }
    confidence = _confidence(
        to_strangers,
        to_mated,
        np.searchsorted(people, subjects[mated]),
        draws.get(CONFIDENCE_SIZE) or draws[filled[-1]],
    )
    centred = _to_centred(embedded, enrolled, strangers, owner, rates)
    return Calibration(
        fingerprint=fingerprint_of(net, perception),
        thresholds=_thresholds(to_strangers, draws, rates),
        relative=_relative(to_strangers, draws, rates),
        centred=() if centred is None else _thresholds(centred, draws, rates),
        relative_centred=() if centred is None else _relative(centred, draws, rates),
        confidence=confidence,
        min_rate_hz=20.0,
        parts=_parts(embedded.embeddings[strangers], embedded.embeddings[enrolled], rng),
    )


def _thresholds(
    to_strangers: Array, draws: Mapping[int, Sequence[Array]], rates: Sequence[float]
) -> tuple[FpirThresholds, ...]:
    nearest = {size: np.concatenate([to_strangers[:, d].min(1) for d in drawn]) for size, drawn in draws.items()}
    return tuple(
        FpirThresholds(
            fpir=rate,
            gallery_sizes=tuple(draws),
            distances=tuple(np.minimum.accumulate([quantile(nearest[size], rate) for size in draws]).tolist()),
        )
        for rate in rates
    )


def _relative(
    to_strangers: Array, draws: Mapping[int, Sequence[Array]], rates: Sequence[float]
) -> tuple[RelativeThresholds, ...]:
    """At the sizes of galleries where there are rivals."""
    found = {size: drawn for size, drawn in draws.items() if len(drawn[0]) > RIVALS}
    near = [
        [np.concatenate(parts) for parts in zip(*(beside(to_strangers[:, d]) for d in drawn), strict=True)]
        for drawn in found.values()
    ]
    tables = []
    for rate in rates if found else ():
        limits = [relative_limits(nearest, rivals, rate) for nearest, rivals in near]
        distances = np.minimum.accumulate([distance for distance, _ in limits])
        tables.append(
            RelativeThresholds(
                fpir=rate,
                gallery_sizes=tuple(found),
                distances=tuple(distances.tolist()),
                ratios=tuple(ratio for _, ratio in limits),
            )
        )
    return tuple(tables)


def beside(distances: Array) -> tuple[Array, Array]:
    """The nearest of n probes' (n, people) distances, (n,), and the mean of the ``RIVALS`` next ones, (n,)."""
    nearest = np.sort(np.partition(distances, RIVALS, axis=1)[:, : RIVALS + 1], axis=1)
    return nearest[:, 0], nearest[:, 1:].mean(1)


def relative_limits(nearest: Array, rivals: Array, rate: float) -> tuple[float, float]:
    """A distance and a ratio to the rivals that at most that share of strangers are both within.

    Args:
        nearest: distances of strangers to the nearest subject, (n,).
        rivals: of :func:`beside`, (n,).
        rate: in (0, 1); ``REACH`` times as many strangers are within the distance.
    """
    distance = quantile(nearest, min(REACH * rate, 0.5))
    ratio = quantile(np.where(nearest <= distance, nearest / rivals, 1), rate)
    return distance, ratio * (1 - 1e-6)  # a product with it is not rounded above what it was the quotient of


def _to_centred(
    embedded: Embedded, enrolled: Array, strangers: Array, owner: Array, rates: Sequence[float]
) -> Array | None:
    """Strangers' (n, people) distances where every view is known from passers-by.

    Half of the strangers teach, the other half is searched. A view is an eighth of the circle of azimuths. None where
    the walks have none, or the strangers are too few.
    """
    try:
        azimuths = embedded.views.astype(float)
    except ValueError:
        return None
    sectors = ((azimuths + 22.5) % 360 // 45).astype(int)
    names = np.unique(embedded.subjects[strangers])
    teach = np.isin(embedded.subjects, names[::2])
    searched = strangers[~teach[strangers]]
    if len(searched) * min(rates) < 1:
        return None
    known = {
        int(sector): (int(some.sum()), embedded.embeddings[some].mean(0))
        for sector in np.unique(sectors)
        if (some := teach & (sectors == sector)).any()
    }
    embeddings = embedded.embeddings.clone()
    for sector, correction in corrections_of(known).items():
        embeddings[sectors == sector] -= correction
    apart = part_distances(embeddings[searched], embeddings[enrolled]).numpy()
    return _nearest(apart, owner, int(owner.max()) + 1)


def _parts(strangers: Tensor, enrolled: Tensor, rng: np.random.Generator) -> PartQuantiles:
    """How far apart strangers and enrolled people are, part by part, (n, P, C) and (m, P, C)."""
    all_pairs = len(strangers) * len(enrolled)
    drawn = rng.choice(all_pairs, min(PAIRS, all_pairs), replace=False)
    apart = [
        torch.linalg.vector_norm(strangers[i // len(enrolled)].double() - enrolled[i % len(enrolled)].double(), dim=2)
        for i in np.array_split(drawn, max(1, len(drawn) // BLOCK))
    ]
    found = quantiles(torch.cat(apart).T.numpy())
    return PartQuantiles(pairs=len(drawn), quantiles=tuple(map(tuple, found.round(6).tolist())))


def _nearest(distances: Array, owner: Array, people: int) -> Array:
    """(n, people) distance to each person's nearest template."""
    out = np.full((len(distances), people), np.inf, np.float32)
    for person in range(people):
        out[:, person] = distances[:, owner == person].min(1)
    return out


def quantile(values: Array, rate: float) -> float:
    """The largest threshold whose share of values at or below it is at most the rate."""
    ordered = np.sort(values)
    return float(np.nextafter(ordered[int(rate * len(ordered))], np.float32(0), dtype=np.float32))


def _confidence(to_strangers: Array, to_mated: Array, mates: Array, draws: Sequence[Array]) -> ConfidenceMap:
    distance: list[Array] = []
    right: list[Array] = []
    weight: list[Array] = []
    for drawn in draws:
        here = np.flatnonzero(np.isin(mates, drawn))
        rows = to_mated[here][:, drawn]
        for near, hit in (
            (rows.min(1), drawn[rows.argmin(1)] == mates[here]),
            (to_strangers[:, drawn].min(1), np.zeros(len(to_strangers), bool)),
        ):
            distance.append(near)
            right.append(hit.astype(np.float64))
            weight.append(np.full(len(near), 1 / max(len(near), 1)))
    x, y, w = (np.concatenate(parts) for parts in (distance, right, weight))
    fit = IsotonicRegression(increasing=False, y_min=0.0, y_max=1.0).fit(x, y, sample_weight=w)
    at = np.unique(np.quantile(x, np.linspace(0, 1, POINTS)))
    return ConfidenceMap(distances=tuple(at.tolist()), confidences=tuple(fit.predict(at).round(4).tolist()))
