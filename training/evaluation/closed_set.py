"""The cross-view table: sums by person, probe view and gallery view, from which means and intervals are computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.evaluation.bootstrap import estimate
from gaitkeeper.training.evaluation.metrics import rank_probes
from gaitkeeper.training.evaluation.results import Estimate, Identification

Array = npt.NDArray[Any]

RANKS = 20


class CellTable:
    """One cell for each probe view and gallery view.

    Args:
        people: names (S,), sorted.
        probe_views, gallery_views: names (V,), (W,).

    Attributes:
        hits: float64 (S, V, W, 20), number of probes whose first mate is at rank k or better.
        precision, penalty: float64 (S, V, W), sums of average precision and of inverse negative penalty.
        counts, mated: float64 (S, V, W), number of probes, and of probes with a mate in the cell's gallery.
    """

    def __init__(self, people: Array, probe_views: Array, gallery_views: Array) -> None:
        self.people, self.probe_views, self.gallery_views = people, probe_views, gallery_views
        shape = (len(people), len(probe_views), len(gallery_views))
        self.hits = np.zeros((*shape, RANKS))
        self.precision, self.penalty = np.zeros(shape), np.zeros(shape)
        self.counts, self.mated = np.zeros(shape), np.zeros(shape)

    @property
    def probes(self) -> Array:
        """Number of probes by cell (V, W)."""
        return np.asarray(self.counts.sum(axis=0))

    def add(
        self, probe_view: str, gallery_view: str, subjects: Array, distances: Array, mates: Array, allowed: Array | None
    ) -> None:
        """Rank the probes of a cell: distances (N, M), the person of each probe (N,)."""
        v = int(np.searchsorted(self.probe_views, probe_view))
        w = int(np.searchsorted(self.gallery_views, gallery_view))
        ranked = rank_probes(distances, mates, allowed)
        who = np.searchsorted(self.people, subjects)
        cell = (slice(None), v, w)
        np.add.at(self.hits[cell], who, (ranked.rank[:, None] <= np.arange(1, RANKS + 1)).astype(float))
        np.add.at(self.precision[cell], who, np.nan_to_num(ranked.average_precision))
        np.add.at(self.penalty[cell], who, np.nan_to_num(ranked.inverse_negative_penalty))
        np.add.at(self.counts[cell], who, 1.0)
        np.add.at(self.mated[cell], who, np.isfinite(ranked.rank).astype(float))

    def rank_1(self) -> Array:
        """Rank-1 by cell (V, W), nan for cells without probes."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.hits[..., 0].sum(axis=0) / self.probes)


def identify(table: CellTable, cells: Array, weights: Array) -> Identification:
    """The figures of a group of cells.

    Args:
        table: all cells.
        cells: bool (V, W), those of the group.
        weights: (R, S), from :func:`gaitkeeper.training.evaluation.bootstrap.people_weights`.
    """
    counts, mated = table.counts, table.mated
    sums = {
        "rank_1": (table.hits[..., 0], counts),
        "rank_5": (table.hits[..., 4], counts),
        "map": (table.precision, mated),
        "minp": (table.penalty, mated),
    }

    def figure(sums: Array, counts: Array) -> Estimate:
        sums, counts = sums[:, cells.any(1)], counts[:, cells.any(1)]
        chosen = cells[cells.any(1)]
        value = _mean_of_cells(sums.sum(0), counts.sum(0), chosen)

        def drawn(row: Array) -> float:
            return _mean_of_cells(np.tensordot(row, sums, 1), np.tensordot(row, counts, 1), chosen)

        return estimate(value, weights, drawn)

    return Identification(
        metrics={name: figure(*pair) for name, pair in sums.items()},
        rank_1_mated=figure(table.hits[..., 0], mated),
        cmc=[_mean_of_cells(table.hits[..., k].sum(0), counts.sum(0), cells) for k in range(RANKS)],
        comparisons=int(counts[:, cells].sum()),
        mated=int(mated[:, cells].sum()),
        people=len(table.people),
    )


def _mean_of_cells(sums: Array, counts: Array, cells: Array) -> float:
    """Mean over the gallery views of each probe view, then over the probe views, without cells without probes."""
    use = cells & (counts > 0)
    values = np.divide(sums, counts, out=np.zeros_like(sums, dtype=np.float64), where=use)
    by_view = use.sum(axis=1)
    rows = by_view > 0
    if not rows.any():
        return float("nan")
    return float((values.sum(axis=1)[rows] / by_view[rows]).mean())
