"""Fit a calibration on an operator's own people: ``gaitkeeper calibrate NETWORK --clips DIR``.

Own people are few. So each draw makes a few of them strangers and enrols the others, with one clip of each left out
to be searched, and the draws are fitted together, in the units of :mod:`gaitkeeper.training.calibrate`. The nearest of
ten strangers is no estimate of the nearest of a hundred: a threshold is therefore also at most the lower end of the
prediction interval for one more stranger, by Student's t. It is the stricter, the fewer people there are.

What the people can show is measured by leaving each out of the fit: how many of their walks the others' thresholds
would name. A rate of 1 % cannot be measured on ten people, and the report says what can be.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import beta
from scipy.stats import t as student
from torch import Tensor

from gaitkeeper.gallery.decision.calibration import (
    PER_SUBJECT,
    Calibration,
    InUnits,
)
from gaitkeeper.gallery.decision.units import MIN_OTHERS
from gaitkeeper.gallery.decision.verdict import QualityGates
from gaitkeeper.gallery.errors import PoorQuality
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.errors import ClipError
from gaitkeeper.pipelines.fingerprint import fingerprint_of
from gaitkeeper.pipelines.quality import MIN_RATE
from gaitkeeper.training.calibrate import (
    RATES,
    STRICTER,
    Searched,
    confidence_map,
    joined,
    part_quantiles,
    probe_distances,
    quantile,
    search_gallery,
    share_of_unit,
    thresholds,
    verification,
)
from gaitkeeper.training.datasets.build import VIDEOS
from gaitkeeper.training.errors import BadDataset

Array = npt.NDArray[Any]

LEAST_PEOPLE = 6
"""With two strangers among them, four are left: one more than a unit takes."""
DRAWS = 60
STRANGERS = 0.25
"""Share of the people who are strangers in a draw."""
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class OwnWalks:
    """The walks of a folder of own clips.

    Attributes:
        embeddings: (N, P, C).
        subjects: person of each walk, (N,).
        perception: the perception backend.
        skipped: clips that were not used, with the reason.
    """

    embeddings: Tensor = field(repr=False)
    subjects: Array
    perception: str
    skipped: dict[str, str]


@dataclass(frozen=True)
class Shown:
    """What the own people show about one rate.

    Attributes:
        fpir: the rate.
        walks: walks of people who were left out of the fit.
        named: those of them that the other people's thresholds would name.
        people, people_named: the same, counted as people.
        at_most: upper end of the 95 % interval of the share of strangers who are named, by people.
    """

    fpir: float
    walks: int
    named: int
    people: int
    people_named: int
    at_most: float


def walks_of(
    folder: Path, network: GaitNetwork, pipeline: Pipeline, on_progress: Callable[[int, int, str], None]
) -> OwnWalks:
    """Process and embed every ``folder/subject/clip.mp4``. Each clip must show one person, good enough to enrol.

    Args:
        folder: the folder; other files in it are ignored.
        network: the network.
        pipeline: processes the clips.
        on_progress: called with the number of processed clips, of all clips, and the name of the next.

    Raises:
        BadDataset: there are no such clips, or none can be used.
        GaitkeeperError: the pipeline itself cannot run.
    """
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in VIDEOS and path.is_file())
    if not paths:
        raise BadDataset(f"No clips in {folder}: subject/clip.mp4 expected.")
    gates = QualityGates()
    found, subjects, skipped = [], [], {}
    for done, path in enumerate(paths):
        name = f"{path.parent.name}/{path.name}"
        on_progress(done, len(paths), name)
        try:
            walkers = pipeline.sequences(path)
            if len(walkers) > 1:
                skipped[name] = f"{len(walkers)} walks are in it; one walk of one person expected"
                continue
            gates.check_enrolment(walkers[0])
        except (ClipError, PoorQuality) as error:
            skipped[name] = error.detail
            continue
        found.append(embed(walkers, network)[0].cpu())
        subjects.append(path.parent.name)
    if not found:
        raise BadDataset(f"None of the {len(paths)} clips in {folder} can be used: {next(iter(skipped.values()))}")
    return OwnWalks(torch.stack(found), np.array(subjects), pipeline.perception.name, skipped)


def calibrate_own(
    network: GaitNetwork, walks: OwnWalks, rates: Sequence[float] = RATES, seed: int = 0
) -> tuple[Calibration, list[Shown]]:
    """Fit a calibration on own people, and say what they show about each rate.

    Args:
        network: the network that embedded the walks.
        walks: the walks.
        rates: false-positive identification rates, and false match rates.
        seed: seed of the draws.

    Raises:
        BadDataset: there are too few people, or too few with several clips.
    """
    fingerprint = fingerprint_of(network, walks.perception)
    return fit(walks.embeddings, walks.subjects, str(fingerprint), rates, seed)


def fit(
    embeddings: Tensor, subjects: Array, fingerprint: str, rates: Sequence[float] = RATES, seed: int = 0
) -> tuple[Calibration, list[Shown]]:
    """As :func:`calibrate_own`, from embeddings (N, P, C) and the person of each (N,)."""
    rng = np.random.default_rng(seed)
    counts = Counter(subjects.tolist())
    several = [name for name, count in counts.items() if count > 1]
    if len(counts) < LEAST_PEOPLE or len(several) < LEAST_PEOPLE - 1:
        raise BadDataset(
            f"{len(counts)} people with usable clips, {len(several)} of them with two or more: at least {LEAST_PEOPLE} "
            f"people are needed, {LEAST_PEOPLE - 1} of them with two clips or more, and many more are better."
        )
    strangers, mated = _drawn(embeddings, subjects, sorted(counts), rng)
    sizes = sorted(strangers)
    unit_sizes = [size for size in sizes if size > MIN_OTHERS]
    largest = sizes[-1]
    sides = joined([one for ones in strangers[largest].values() for one in ones]), joined(mated[largest])
    plain = {size: _by_person(strangers[size], "distance") for size in sizes}
    shares = {size: _by_person(strangers[size], "distance", "collection") for size in unit_sizes}
    stricter = [rate / STRICTER for rate in rates]
    calibration = Calibration(
        fingerprint=fingerprint,
        thresholds=thresholds({PER_SUBJECT * size: found for size, found in plain.items()}, rates, stricter, limit_of),
        confidence=confidence_map(*((one.distance, one.right) for one in sides)),
        collection=InUnits(
            thresholds=thresholds(shares, rates, rates, limit_of),
            confidence=confidence_map(*map(_in_shares, sides)),
            verification=verification(
                [_by_person(strangers[largest], "claimed", "claimed_collection")], rates, rates, limit_of
            ),
        ),
        verification=verification([_by_person(strangers[largest], "claimed")], rates, stricter, limit_of),
        min_rate_hz=MIN_RATE,
        parts=part_quantiles(*_two_sides(embeddings, subjects), rng),
    )
    return calibration, [_shown(shares[largest], rate) for rate in rates]


def limit_of(found: Mapping[str, Array], rate: float) -> float:
    """The distance up to which at most a share of strangers comes: the lower of the quantile of what was seen, and of
    what one more person is predicted to show.

    Args:
        found: distances of each person as a stranger, (draws, walks).
        rate: the share, in (0, 1).
    """
    seen = quantile(np.concatenate([one.ravel() for one in found.values()]), rate)
    nearest = np.array([one.mean(0).min() for one in found.values()])
    count = len(nearest)
    margin = float(student.ppf(1 - rate, count - 1)) * float(nearest.std(ddof=1)) * math.sqrt(1 + 1 / count)
    return max(0.0, min(seen, float(nearest.mean()) - margin))


def _by_person(strangers: Mapping[str, Sequence[Searched]], name: str, unit: str | None = None) -> dict[str, Array]:
    """A distance of each stranger, (draws, walks), in units if one is named."""
    return {
        person: np.stack([getattr(one, name) / (1.0 if unit is None else getattr(one, unit)) for one in ones])
        for person, ones in strangers.items()
    }


def _in_shares(found: Searched) -> tuple[Array, Array]:
    return share_of_unit(found.distance, found.collection), found.right[np.isfinite(found.collection)]


def _drawn(
    embeddings: Tensor, subjects: Array, people: Sequence[str], rng: np.random.Generator
) -> tuple[dict[int, dict[str, list[Searched]]], dict[int, list[Searched]]]:
    """Searches of drawn galleries by number of enrolled people: those of strangers by stranger, and mated ones."""
    most = len(people) - max(1, round(STRANGERS * len(people)))
    sizes = sorted({size for size in (1, 2, 3, MIN_OTHERS + 1, 5, 10, 25, 100, 250) if size < most} | {most})
    strangers: dict[int, dict[str, list[Searched]]] = {size: {} for size in sizes}
    mated: dict[int, list[Searched]] = {size: [] for size in sizes}
    for _ in range(DRAWS):
        order = rng.permutation(len(people))
        unknown = [people[i] for i in order[most:]]
        takes, named = _takes(subjects, unknown, rng)
        probes = np.flatnonzero(takes == "probe0")
        known = probes[~np.char.startswith(named[probes], "stranger-")]
        sides = [np.flatnonzero(named == f"stranger-{one}") for one in unknown] + ([known] if len(known) else [])
        views = np.full(len(takes), "", dtype="<U1")
        walks = probe_distances(embeddings, named, views, takes, sides, rng)
        there = len(np.unique(named[np.char.startswith(takes, "enrol")]))
        for size in sizes:
            draw = rng.choice(there, min(size, there), False)
            for one, side in zip(unknown, walks, strict=False):
                strangers[size].setdefault(one, []).append(search_gallery(side, draw, rng))
            if len(known):
                mated[size].append(search_gallery(walks[-1], draw, rng))
    return strangers, mated


def _takes(subjects: Array, unknown: Sequence[str], rng: np.random.Generator) -> tuple[Array, Array]:
    """What each walk is in a draw, "enrol0" or "probe0", and the names of the people; strangers begin "stranger-"."""
    takes = np.full(len(subjects), "enrol0", dtype="<U6")
    named = subjects.astype("<U160").copy()
    for name in np.unique(subjects):
        own = np.flatnonzero(subjects == name)
        if name in unknown:
            takes[own] = "probe0"
            named[own] = f"stranger-{name}"
        elif len(own) > 1:
            takes[rng.choice(own)] = "probe0"
    return takes, named


def _shown(shares: Mapping[str, Array], rate: float) -> Shown:
    """Leave each person out of the fit, and count those of their walks that the others' threshold would name, in the
    mean over the draws.
    """
    walks = named = people_named = 0
    for name, own in shares.items():
        limit = limit_of({other: found for other, found in shares.items() if other != name}, rate)
        hits = own.mean(0) <= limit
        walks += len(hits)
        named += int(hits.sum())
        people_named += bool(hits.any())
    return Shown(rate, walks, named, len(shares), people_named, _upper(people_named, len(shares)))


def _upper(hits: int, of: int) -> float:
    """Upper end of the one-sided Clopper-Pearson interval of a share."""
    return 1.0 if hits >= of else float(beta.ppf(CONFIDENCE, hits + 1, of - hits))


def _two_sides(embeddings: Tensor, subjects: Array) -> tuple[Tensor, Tensor]:
    """Half of the people against the others, so that every pair of walks is of two people."""
    names = np.unique(subjects)
    first = np.isin(subjects, names[: math.ceil(len(names) / 2)])
    return embeddings[torch.from_numpy(first)], embeddings[torch.from_numpy(~first)]
