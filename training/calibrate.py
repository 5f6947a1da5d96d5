"""Fit thresholds and confidence of a network on people not seen in training: ``gaitkeeper calibrate``.

All people of the part "known" are enrolled with their "enrol" takes, galleries of a given number of people are drawn
from them, and strangers are searched in each. Distances are measured in units, as in the service
(:mod:`gaitkeeper.gallery.decision.units`): once from the gallery alone, once from passers-by of the probe's view. The
threshold for a false-positive identification rate is that share's quantile of the strangers' nearest distances. The
prior, for plain distances, is fitted to a tenth of the rate, because plain distances differ from scene to scene.
Confidence is an isotonic regression of "the nearest subject is the right one" on its distance, over mated and stranger
probes with equal weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from gaitkeeper.gallery.decision.calibration import (
    PER_SUBJECT,
    Calibration,
    ConfidenceMap,
    FmrThresholds,
    FpirThresholds,
    InUnits,
    PartQuantiles,
)
from gaitkeeper.gallery.decision.explain import quantiles
from gaitkeeper.gallery.decision.units import MIN_OTHERS, SUBJECTS
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.distance import part_distances
from gaitkeeper.pipelines.fingerprint import fingerprint_of
from gaitkeeper.pipelines.quality import MIN_RATE
from gaitkeeper.training.datasets import Dataset
from gaitkeeper.training.errors import BadDataset
from gaitkeeper.training.evaluation.embedding import embed_dataset

Array = npt.NDArray[Any]
D = TypeVar("D")

SIZES = (1, 2, 3, 5, 10, 25, 100, 250)
"""Numbers of subjects of the drawn galleries."""
RATES = (0.01, 0.001)
DRAWS = 40
STRICTER = 10
"""Factor by which the prior is stricter than the requested rate."""
PASSERS = 10
PROBES = 1000
"""Maximum number of probes searched in each drawn gallery."""
CONFIDENCE_SIZE = 25
POINTS = 32
BLOCK = 10_000  # pairs whose embeddings are held in memory at once
PAIRS = 200_000
"""Pairs of strangers and enrolled takes, drawn to measure distances of their parts."""


@dataclass(frozen=True, eq=False)
class ProbeDistances:
    """Distances of probes to enrolled takes, among enrolled takes, and of probes to passers-by of their view.

    Attributes:
        to_takes: probes to takes, float32 (n, m).
        people: person of each probe (n,), -1 for strangers.
        owners: person of each take (m,).
        among: takes to takes, float32 (m, m).
        passing: median distance of each probe to ``PASSERS`` strangers of its view, (n,); nan if there are fewer.
    """

    to_takes: Array = field(repr=False)
    people: Array = field(repr=False)
    owners: Array = field(repr=False)
    among: Array = field(repr=False)
    passing: Array = field(repr=False)


@dataclass(frozen=True, eq=False)
class Searched:
    """Results of searching n probes in one drawn gallery, each (n,).

    Attributes:
        distance: plain distance to the nearest subject.
        right: True if that is the probe's own subject.
        collection, camera: units; nan without one.
        claimed: plain distance to one other subject each, drawn at random, with ``claimed_collection`` and
            ``claimed_camera`` its units.
    """

    distance: Array
    right: Array
    collection: Array
    camera: Array
    claimed: Array
    claimed_collection: Array
    claimed_camera: Array


def calibrate(
    net: GaitNetwork,
    walks: Dataset,
    perception: str,
    *,
    sizes: Sequence[int] = SIZES,
    rates: Sequence[float] | None = None,
    seed: int = 0,
    strictness: float = 1.0,
    camera_strictness: float | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Fit a calibration.

    Args:
        net: the network, with the weights that it will be used with.
        walks: takes named "enrolN" and "probeN"; people named "stranger-*" are never enrolled.
        perception: backend of the fingerprint.
        sizes: numbers of subjects in a gallery, rising; sizes that the walks cannot fill are left out.
        rates: false-positive identification rates, and false match rates; ``RATES`` by default.
        seed: seed of the draws of galleries.
        strictness: factor of the thresholds in units that are fitted on these walks, in (0, 1]. Below 1 if real
            strangers come nearer than rendered ones; ``python -m bench.real_people`` measures it.
        camera_strictness: the same for units that use passers-by of a camera, where galleries with people of several
            scenes do less harm; None for the same factor. One-to-one comparison uses ``strictness`` in either case.
        on_progress: called with the number of embedded walks.

    Raises:
        BadDataset: too few people are enrolled, or fewer stranger probes than the lowest rate needs.
    """
    embedded = embed_dataset(net, walks, on_progress=on_progress)
    takes = np.array([sample.take for sample in embedded.samples])
    return calibrate_embedded(
        embedded.embeddings,
        embedded.subjects,
        embedded.views,
        takes,
        str(fingerprint_of(net, perception)),
        sizes=sizes,
        rates=rates or RATES,
        seed=seed,
        strictness=strictness,
        camera_strictness=camera_strictness,
    )


def calibrate_embedded(
    embeddings: Tensor,
    subjects: Array,
    views: Array,
    takes: Array,
    fingerprint: str,
    *,
    sizes: Sequence[int] = SIZES,
    rates: Sequence[float] = RATES,
    seed: int = 0,
    strictness: float = 1.0,
    camera_strictness: float | None = None,
) -> Calibration:
    """As :func:`calibrate`, from embeddings (N, P, C) with the names (N,) of their walks."""
    rng = np.random.default_rng(seed)
    enrolled = np.flatnonzero(np.char.startswith(takes, "enrol"))
    unknown = np.char.startswith(subjects, "stranger-")
    probes = np.flatnonzero(np.char.startswith(takes, "probe"))
    strangers, mated = probes[unknown[probes]], probes[~unknown[probes]]
    people = np.unique(subjects[enrolled])
    if len(people) < MIN_OTHERS + 1 or len(strangers) * min(rates) < 1:
        raise BadDataset(
            f"{len(people)} enrolled people, {len(strangers)} walks of strangers: calibrating for an FPIR of"
            f" {min(rates):g} needs at least {MIN_OTHERS + 1} people, and {round(1 / min(rates))} walks of strangers."
        )
    sides = probe_distances(embeddings, subjects, views, takes, (strangers, mated), rng)
    filled = [size for size in sizes if size <= len(people)]
    drawn = {size: [rng.choice(len(people), size, False) for _ in range(DRAWS)] for size in filled}
    found = {
        size: tuple(joined([search_gallery(side, draw, rng) for draw in draws]) for side in sides)
        for size, draws in drawn.items()
    }
    unit_sizes = [size for size in filled if size > MIN_OTHERS]
    by_camera = [size for size in filled if np.isfinite(found[size][0].camera).any()]
    near = {size: stranger.distance for size, (stranger, _) in found.items()}
    stricter = [rate / STRICTER for rate in rates]
    plain = thresholds({PER_SUBJECT * size: near[size] for size in filled}, rates, stricter, quantile)
    middle = min(CONFIDENCE_SIZE, filled[-1])
    middle = max(size for size in filled if size <= middle)
    return Calibration(
        fingerprint=fingerprint,
        thresholds=plain,
        confidence=confidence_map(*((one.distance, one.right) for one in found[middle])),
        collection=_in_units(found, unit_sizes, rates, "collection", middle, strictness, strictness),
        camera=(
            _in_units(found, by_camera, rates, "camera", middle, camera_strictness or strictness, strictness)
            if by_camera
            else None
        ),
        strictness=strictness,
        camera_strictness=camera_strictness,
        verification=verification([one.claimed for one, _ in found.values()], rates, stricter, quantile),
        min_rate_hz=MIN_RATE,
        parts=part_quantiles(embeddings[strangers], embeddings[enrolled], rng),
    )


def probe_distances(
    embeddings: Tensor,
    subjects: Array,
    views: Array,
    takes: Array,
    sides: Sequence[Array],
    rng: np.random.Generator,
) -> list[ProbeDistances]:
    """Distances of several sets of probes, by index, to all enrolled takes; see :func:`calibrate_embedded`."""
    enrolled = np.flatnonzero(np.char.startswith(takes, "enrol"))
    unknown = np.char.startswith(subjects, "stranger-")
    strangers = np.flatnonzero(np.char.startswith(takes, "probe") & unknown)
    people, owners = np.unique(subjects[enrolled], return_inverse=True)
    among, sectors = part_distances(embeddings[enrolled], embeddings[enrolled]).numpy(), _sectors(views)
    return [
        ProbeDistances(
            to_takes=part_distances(embeddings[probes], embeddings[enrolled]).numpy(),
            people=np.where(unknown[probes], -1, np.searchsorted(people, subjects[probes])),
            owners=owners,
            among=among,
            passing=_passing(embeddings, subjects, sectors, probes, strangers, rng),
        )
        for probes in sides
    ]


def _in_units(
    found: dict[int, tuple[Searched, ...]],
    sizes: Sequence[int],
    rates: Sequence[float],
    basis: str,
    middle: int,
    strictness: float,
    claim_strictness: float,
) -> InUnits:
    """Thresholds, confidence and verification for distances in units of a basis, "collection" or "camera"."""
    near, claimed = {}, []
    for size in sizes:
        stranger = found[size][0]
        near[size] = strictness * share_of_unit(stranger.distance, getattr(stranger, basis))
        claimed.append(claim_strictness * share_of_unit(stranger.claimed, getattr(stranger, f"claimed_{basis}")))
    at = middle if middle in sizes else sizes[-1]
    rated = []
    for one in found[at]:
        unit = getattr(one, basis)
        known = np.isfinite(unit)
        rated.append((strictness * one.distance[known] / unit[known], one.right[known]))
    return InUnits(
        thresholds=thresholds(near, rates, rates, quantile),
        confidence=confidence_map(*rated),
        verification=verification(claimed, rates, rates, quantile),
    )


def share_of_unit(distance: Array, unit: Array) -> Array:
    """Distances (n,) divided by their units (n,), without those that have none."""
    known = np.isfinite(unit)
    return distance[known] / unit[known]


def thresholds(
    near: Mapping[int, D], rates: Sequence[float], fitted: Sequence[float], limit: Callable[[D, float], float]
) -> tuple[FpirThresholds, ...]:
    """For each rate the table of thresholds by size, fitted to the corresponding second rate.

    Args:
        near: distances of strangers by size of the gallery.
        rates, fitted: false-positive identification rates, and those that are fitted in their place.
        limit: the distance up to which a share of strangers comes.
    """
    return tuple(
        FpirThresholds(
            fpir=rate,
            gallery_sizes=tuple(near),
            distances=tuple(np.minimum.accumulate([limit(one, share) for one in near.values()]).tolist()),
        )
        for rate, share in zip(rates, fitted, strict=True)
    )


def verification(
    claimed: Sequence[D], rates: Sequence[float], fitted: Sequence[float], limit: Callable[[D, float], float]
) -> FmrThresholds:
    """The threshold of each false match rate: the lowest over the sizes of galleries, which hardly differ.

    Args:
        claimed: distances to a claimed subject, for each size.
        rates, fitted, limit: as of :func:`thresholds`.
    """
    by_rate = sorted(zip(rates, fitted, strict=True))
    at = [min(limit(one, share) for one in claimed) for _, share in by_rate]
    return FmrThresholds(fmrs=tuple(rate for rate, _ in by_rate), distances=tuple(np.maximum.accumulate(at).tolist()))


def search_gallery(walks: ProbeDistances, draw: Array, rng: np.random.Generator) -> Searched:
    """Search the strangers, or the mated probes of the people who are enrolled, in one gallery."""
    rows = np.flatnonzero(np.isin(walks.owners, draw))
    owners = np.searchsorted(np.sort(draw), walks.owners[rows])
    mates = np.full(len(walks.people), -1)
    known = np.isin(walks.people, draw)
    mates[known] = np.searchsorted(np.sort(draw), walks.people[known])
    some = np.flatnonzero(known) if (walks.people >= 0).any() else np.arange(len(walks.people))
    some = np.sort(rng.choice(some, min(len(some), PROBES), False))
    apart = walks.to_takes[np.ix_(some, rows)]
    nearest = apart.argmin(1)
    cohort = np.sort(rng.choice(len(draw), min(SUBJECTS, len(draw)), False))
    means = _by_subject(apart, owners, len(draw))[:, cohort]
    of_takes = _by_subject(walks.among[np.ix_(rows, rows)], owners, len(draw))[:, cohort]
    first = owners[nearest]
    collection, camera = _units(means, of_takes[nearest], cohort, first, walks.passing[some])
    # Each probe also claims to be one other subject; the nearest take of that subject counts.
    claims = (first + rng.integers(1, max(len(draw), 2), len(some))) % len(draw) if len(draw) > 1 else first
    claims = np.where(claims == mates[some], (claims + 1) % len(draw), claims)
    own = np.where(owners[None] == claims[:, None], apart, np.inf)
    nearest_own = own.argmin(1)
    claimed = own.min(1)
    claimed_collection, claimed_camera = _units(means, of_takes[nearest_own], cohort, claims, walks.passing[some])
    return Searched(
        apart[np.arange(len(some)), nearest],
        first == mates[some],
        collection,
        camera,
        claimed,
        claimed_collection,
        claimed_camera,
    )


def _units(
    of_probes: Array, of_templates: Array, cohort: Array, subjects: Array, passing: Array
) -> tuple[Array, Array]:
    """Units of a collection and of a camera, as :func:`gaitkeeper.gallery.decision.units.units_of`, (n,) each; nan
    without one.

    Args:
        of_probes, of_templates: mean distances to the subjects of the cohort, (n, S).
        cohort: the subjects of the cohort, (S,).
        subjects: subject of the template that each probe is compared with, (n,).
        passing: distances to passers-by, (n,).
    """
    other = cohort[None] != subjects[:, None]
    count = other.sum(1)
    enough = count >= MIN_OTHERS
    probe, template = ((np.where(other, side, 0).sum(1) / np.maximum(count, 1)) for side in (of_probes, of_templates))
    collection = np.where(enough, (probe + template) / 2, np.nan)
    return collection, np.where(enough, (passing + template) / 2, passing)


def _by_subject(apart: Array, owners: Array, people: int) -> Array:
    """Mean distance (n, people) to each person's takes, from (n, m)."""
    share = (owners[:, None] == np.arange(people)).astype(np.float64)
    return np.asarray(apart.astype(np.float64) @ (share / share.sum(0)))


def joined(found: Sequence[Searched]) -> Searched:
    """The results of several searches as one."""
    names = tuple(Searched.__dataclass_fields__)
    return Searched(*(np.concatenate([getattr(one, name) for one in found]) for name in names))


def _sectors(views: Array) -> Array:
    """The eighth of the circle of each azimuth, (N,); -1 for all if views are not azimuths."""
    try:
        return np.asarray(((views.astype(float) + 22.5) % 360 // 45).astype(int))
    except ValueError:
        return np.full(len(views), -1)


def _passing(
    embeddings: Tensor, subjects: Array, sectors: Array, probes: Array, strangers: Array, rng: np.random.Generator
) -> Array:
    """Median distance of each probe to strangers of its view, without itself."""
    out = np.full(len(probes), np.nan)
    for sector in np.unique(sectors[sectors >= 0]):
        there = strangers[sectors[strangers] == sector]
        for at in np.flatnonzero(sectors[probes] == sector):
            others = there[subjects[there] != subjects[probes[at]]]
            if len(others) >= PASSERS:
                drawn = rng.choice(others, PASSERS, False)
                out[at] = float(part_distances(embeddings[probes[at]][None], embeddings[drawn])[0].median())
    return out


def part_quantiles(strangers: Tensor, enrolled: Tensor, rng: np.random.Generator) -> PartQuantiles:
    """Distances between strangers and enrolled people, by part, from (n, P, C) and (m, P, C)."""
    all_pairs = len(strangers) * len(enrolled)
    drawn = rng.choice(all_pairs, min(PAIRS, all_pairs), replace=False)
    apart = [
        torch.linalg.vector_norm(strangers[i // len(enrolled)].double() - enrolled[i % len(enrolled)].double(), dim=2)
        for i in np.array_split(drawn, max(1, len(drawn) // BLOCK))
    ]
    found = quantiles(torch.cat(apart).T.numpy())
    return PartQuantiles(pairs=len(drawn), quantiles=tuple(map(tuple, found.round(6).tolist())))


def quantile(values: Array, rate: float) -> float:
    """The largest threshold whose share of values at or below it is at most the rate."""
    ordered = np.sort(values)
    return float(np.nextafter(ordered[int(rate * len(ordered))], np.float32(0), dtype=np.float32))


def confidence_map(*sides: tuple[Array, Array]) -> ConfidenceMap:
    """Fit confidence to distances (n,) and correctness (n,) of strangers and mated probes, with equal weight."""
    x = np.concatenate([distance for distance, _ in sides])
    y = np.concatenate([right.astype(np.float64) for _, right in sides])
    w = np.concatenate([np.full(len(distance), 1 / max(len(distance), 1)) for distance, _ in sides])
    fit = IsotonicRegression(increasing=False, y_min=0.0, y_max=1.0).fit(x, y, sample_weight=w)
    at = np.unique(np.quantile(x, np.linspace(0, 1, POINTS)))
    return ConfidenceMap(distances=tuple(at.tolist()), confidences=tuple(fit.predict(at).round(4).tolist()))
