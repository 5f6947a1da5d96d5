"""Metrics on plain arrays of distances, without rounding.

Identification follows re-identification (Zheng et al., ICCV 2015; mINP: Ye et al., TPAMI 2021); verification and
open-set rates follow ISO/IEC 19795-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Results of N probes against one gallery.

    Attributes:
        rank: float64 (N,); rank of the nearest template of the same person, from 1; inf without such a template.
        average_precision: float64 (N,); mean of the precision at each template of the same person, in (0, 1]; nan
            without such a template.
        inverse_negative_penalty: float64 (N,); number of the person's templates / rank of the last one; nan as above.
    """

    rank: Array
    average_precision: Array
    inverse_negative_penalty: Array


def rank_probes(distances: Array, mates: Array, allowed: Array | None = None) -> Ranked:
    """Rank a gallery's templates by distance, probe by probe. Ties count against the probe.

    Args:
        distances: (N, M).
        mates: bool (N, M), True if the template is of the probe's own person.
        allowed: bool (N, M), False for pairs that must not be compared; None compares all.
    """
    count = distances.shape[1]
    if allowed is not None:
        # Pairs that are not allowed are ranked last, as strangers.
        distances, mates = np.where(allowed, distances, np.inf), mates & allowed
    order = np.lexsort((mates, distances), axis=-1)
    hits = np.take_along_axis(mates, order, axis=1)
    found = hits.cumsum(axis=1)
    total = hits.sum(axis=1)
    mated = total > 0
    places = np.arange(1, count + 1)
    rank = np.where(mated, hits.argmax(axis=1) + 1.0 if count else np.inf, np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(hits, found / places, 0).sum(axis=1) / total
        last = np.where(hits, places, 0).max(axis=1, initial=0)
        penalty = total / last
    return Ranked(rank, np.where(mated, precision, np.nan), np.where(mated, penalty, np.nan))


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Detection error trade-off of comparisons that accept at a distance of at most the threshold.

    Attributes:
        threshold: float64 (K,), rising, from −inf.
        fmr: float64 (K,), false match rate, rising from 0 to 1.
        fnmr: float64 (K,), false non-match rate, falling from 1 to 0.
    """

    threshold: Array
    fmr: Array
    fnmr: Array

    @property
    def equal_error_rate(self) -> float:
        """Where both rates are equal, linear between the two thresholds around that point."""
        after = int(np.argmax(self.fmr >= self.fnmr))
        gaps = (self.fnmr - self.fmr)[[after - 1, after]]
        share = gaps[0] / (gaps[0] - gaps[1])
        return float(self.fmr[after - 1] + share * (self.fmr[after] - self.fmr[after - 1]))

    def fnmr_at(self, rate: float) -> float:
        """The smallest false non-match rate at a false match rate of at most ``rate``."""
        return float(self.fnmr[np.searchsorted(self.fmr, rate * (1 + 1e-12), side="right") - 1])


class MergedScores:
    """Distances of genuine and impostor pairs, sorted once, so that curves for many weights are cheap.

    Args:
        genuine: distances (G,) between walks of one person.
        impostor: distances (I,) between walks of two.
    """

    def __init__(self, genuine: Array, impostor: Array) -> None:
        values = np.concatenate([genuine, impostor])
        self._order = np.argsort(values, kind="stable")
        values = values[self._order]
        self._ends = np.flatnonzero(np.r_[values[1:] != values[:-1], True])
        self._threshold = np.r_[-np.inf, values[self._ends]]
        self._sizes = len(genuine), len(impostor)

    def curve(self, genuine_weights: Array | None = None, impostor_weights: Array | None = None) -> ErrorCurve:
        """The trade-off over all distinct thresholds; a pair counts once, or with its weight."""
        g, i = self._sizes
        counts = np.zeros((2, g + i))
        counts[0, :g] = 1 if genuine_weights is None else genuine_weights
        counts[1, g:] = 1 if impostor_weights is None else impostor_weights
        passed = counts[:, self._order].cumsum(axis=1)
        shares = passed[:, self._ends] / passed[:, -1:]
        return ErrorCurve(self._threshold, np.r_[0.0, shares[1]], np.r_[1.0, 1 - shares[0]])


def error_curve(genuine: Array, impostor: Array) -> ErrorCurve:
    """The trade-off of genuine distances (G,) and impostor distances (I,)."""
    return MergedScores(genuine, impostor).curve()


def miss_rate(
    right: Array, wrong: Array, rate: float, right_weights: Array | None = None, wrong_weights: Array | None = None
) -> float:
    """Share of ``right`` that is missed at a threshold which at most a share ``rate`` of ``wrong`` passes.

    This is FNIR at an FPIR if ``right`` are distances of mated probes to the right person (inf if another was nearer)
    and ``wrong`` the smallest distances of strangers. It is FNMR at an FMR for genuine and impostor distances. The
    threshold is the largest that the rate allows: distances below the first of ``wrong`` that would exceed it pass.

    Args:
        right: distances that should pass (R,).
        wrong: distances that should not (W,).
        rate: in [0, 1).
        right_weights, wrong_weights: weights; None for 1.
    """
    limit = threshold_at(wrong, rate, wrong_weights)
    weights = np.ones(len(right)) if right_weights is None else right_weights
    return float(weights[right >= limit].sum() / weights.sum())


def threshold_at(wrong: Array, rate: float, weights: Array | None = None) -> float:
    """The largest distance below which at most a share ``rate`` of ``wrong`` lies; inf if all may pass."""
    order = np.argsort(wrong, kind="stable")
    weights = np.ones(len(wrong)) if weights is None else weights
    passed = np.cumsum(weights[order])
    # Rounding of the product must not lose a probe: 0.01 · 300 may be slightly below 3.
    first = int(np.searchsorted(passed, rate * passed[-1] * (1 + 1e-12), side="right"))
    return float(wrong[order[first]]) if first < len(wrong) else np.inf
