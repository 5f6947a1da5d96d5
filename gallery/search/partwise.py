"""Exact in-memory nearest-neighbour search with the part-wise distance."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gaitkeeper.gallery.search.codes import UNDERFLOW, Bounds
from gaitkeeper.gallery.search.table import Indices, TemplateTable, taken, true_of

Floats = npt.NDArray[np.float64]

SCRATCH_BYTES = 128 << 20  # of bounds per step
CANDIDATES = 1024  # embeddings ranked, or measured on a GPU, per step
CACHE_BYTES = 1 << 20  # of embeddings measured per step on a CPU: the size of a core's cache


@dataclass(frozen=True)
class Hit:
    """A subject found, with its nearest template and the distance to it in float64."""

    subject: str
    template: str
    distance: float


class PartwiseIndex(TemplateTable):
    """Embeddings of templates by subject, with exhaustive search.

    A lower bound of the distance (:mod:`gaitkeeper.gallery.search.codes`), which reads one byte per number, excludes
    most templates. The remaining ones are measured in float32 by differences, with a known error, and those that are
    still undecided in float64. So the answer equals a float64 search of the stored values, including near duplicates
    and ties, and does not depend on the order of additions and removals. Not thread-safe.

    Args:
        parts, dims: shape (P, C) of an embedding.
        device: device for the embeddings and the search.
        precision: "float32", "float16" or "bfloat16". Number format of the embeddings; the answer is exact for the
            values in this format.
    """

    def search(
        self, probes: Tensor, k: int, where: Mapping[str, str] | None = None, now: float | None = None
    ) -> tuple[list[list[Hit]], int]:
        """The ``k`` nearest subjects of each probe, by distance, then by id. A subject's distance is that of its
        nearest template.

        Args:
            probes: finite (Q, P, C), converted to float32.
            k: at least 1. With fewer subjects, fewer are returned.
            where: metadata that subjects must have. Only their templates are searched.
            now: time in seconds since 1970 for the check of expiry; by default the clock's.

        Returns:
            Hits of each probe, and the number of searched templates.

        Raises:
            ValueError: ``k`` is less than 1.
        """
        if k < 1:
            raise ValueError("k must be at least 1.")
        if not len(self):
            return [[] for _ in probes], 0
        probes = probes.to(self._device, torch.float32)
        owners = self._owners()
        allowed = self._allowed(owners, where, time.time() if now is None else now)
        found = owners if allowed is None else owners[allowed]
        k = min(k, self.subjects if allowed is None else len(torch.unique(found)))
        if not k:
            return [[] for _ in probes], 0
        hits: list[list[Hit]] = []
        slots = owners.cpu().numpy()
        step = max(1, SCRATCH_BYTES // (4 * len(self)))
        for start in range(0, len(probes), step):
            some = probes[start : start + step]
            bounds = Bounds(some)
            lower = self._lower(bounds, len(some))
            if allowed is not None:
                lower.masked_fill_(~allowed, math.inf)
            first = self._promising(lower, owners, k)
            hits += [self._nearest(probe, lower[i], first[i], slots, bounds, i, k) for i, probe in enumerate(some)]
        return hits, len(found)

    def nearest_of(self, subject: str, probe: Tensor, now: float | None = None) -> Hit | None:
        """The nearest template of one subject to a probe (P, C), in float64; None if it has none."""
        slot = self._slots.get(subject)
        if slot is None:
            return None
        owners = self._owners()
        allowed = self._allowed(owners, None, time.time() if now is None else now)
        mine = owners == slot if allowed is None else (owners == slot) & allowed
        hits = self._ranked(true_of(mine), probe.to(self._device, torch.float32), 1)
        return hits[0] if hits else None

    def _measured_at_once(self) -> int:
        cached = CACHE_BYTES // (4 * math.prod(self.shape))
        return max(1, cached) if self._device.type == "cpu" else CANDIDATES

    def _lower(self, bounds: Bounds, probes: int) -> Tensor:
        """Lower bounds of the distances to all templates, float32 (Q, n)."""
        lower = torch.empty(probes, len(self), device=self._device)
        for i, block in enumerate(self._blocks):
            start = i * self._size
            rows = min(self._size, len(self) - start)
            bounds.below(block.codes, rows, lower[:, start : start + rows])
        return lower

    def _nearest(
        self, probe: Tensor, lower: Tensor, first: Indices, slots: Indices, bounds: Bounds, i: int, k: int
    ) -> list[Hit]:
        """The ``k`` nearest subjects of one probe (P, C), from the bounds (n,) of its distances. There must be at least
        ``k`` subjects.
        """
        # Measure the most promising templates first, of at least k subjects. None of the k nearest can be farther than
        # the k-th of these subjects; and a measured subject can only be as near as measured, or nearer.
        reach = _Reach(slots[first], self._measured(first, probe)[1], k)
        left = true_of(lower <= min(bounds.limit(i, reach.farthest), torch.finfo(torch.float32).max))
        left = left[taken(lower, left) <= bounds.limit(i, reach.of(slots[left]))]
        at_least, at_most = self._measured(left, probe)
        reach = _Reach(slots[left], at_most, k)
        return self._ranked(left[at_least <= reach.of(slots[left])], probe, k)

    def _promising(self, lower: Tensor, owners: Tensor, k: int) -> list[Indices]:
        """For each row of bounds (Q, n): increasing positions of templates with low bounds, of at least ``k``
        subjects.
        """
        # Take the lowest bound of each of many runs of templates. If these have too few subjects, take the lowest of
        # each subject.
        length = max(1, len(owners) // (64 * k))
        runs = lower[:, : len(owners) // length * length].view(len(lower), -1, length)
        chosen = runs.amin(dim=2).topk(min(2 * k, runs.shape[1]), largest=False).indices.sort().values
        within = runs.gather(1, chosen[:, :, None].expand(-1, -1, length)).argmin(dim=2)
        positions = (chosen * length + within).cpu().numpy()
        return [self._of_enough(row, first, owners, k) for row, first in zip(lower, positions, strict=True)]

    def _of_enough(self, lower: Tensor, positions: Indices, owners: Tensor, k: int) -> Indices:
        """These positions. If they have fewer than ``k`` subjects, the positions of the best template of ``k``
        subjects.
        """
        positions = positions[taken(lower, positions) < math.inf]
        if len(np.unique(taken(owners, positions))) >= k:
            return positions
        best = torch.full((len(self._subjects),), math.inf, device=self._device)
        best.scatter_reduce_(0, owners, lower, "amin")
        return true_of((lower <= best.topk(k, largest=False).values[-1]) & (lower == best[owners]))

    def _measured(self, positions: Indices, probe: Tensor) -> tuple[Floats, Floats]:
        """Lower and upper bounds of the distances of templates at increasing positions, (m,) each.

        A difference of two float32 numbers has an error of one rounding, so there is no cancellation. Sums of squared
        differences have an error of C + 2 roundings, their roots half as many, and the sum over parts P more.
        """
        parts, dims = self.shape
        share = (dims + parts + 16) * 2.0**-24
        rows = self._rows(positions, self._measured_at_once())
        found = [torch.linalg.vector_norm(some.float().sub_(probe), dim=2).mean(dim=1) for some in rows]
        distances = torch.cat(found).double().cpu().numpy()
        slack = math.sqrt(dims) * UNDERFLOW
        # Overflowed values get the bounds 0 and infinity.
        finite = np.isfinite(distances)
        return (
            np.where(finite, distances * (1 - share) - slack, 0.0),
            np.where(finite, distances * (1 + share) + slack, math.inf),
        )

    def _ranked(self, positions: Indices, probe: Tensor, k: int) -> list[Hit]:
        """The best hit of each subject among these templates; of these the ``k`` nearest, in order."""
        wanted = probe.double().cpu().numpy()
        best: dict[str, Hit] = {}
        for start in range(0, len(positions), CANDIDATES):
            some = positions[start : start + CANDIDATES]
            rows = torch.cat(list(self._rows(some, CANDIDATES))).double().cpu().numpy()
            distances = np.sqrt(np.square(rows - wanted).sum(axis=2)).mean(axis=1)
            for position, distance in zip(some.tolist(), distances.tolist(), strict=True):
                block, row = self._at(position)
                subject = self._subjects[int(block.owners[row])]
                hit = Hit(subject, self._ids[position], distance)
                known = best.get(subject)
                if known is None or (distance, hit.template) < (known.distance, known.template):
                    best[subject] = hit
        return sorted(best.values(), key=lambda hit: (hit.distance, hit.subject))[:k]


class _Reach:
    """Upper bound of the distances of the ``k`` nearest subjects, from templates of at least ``k`` subjects.

    Args:
        slots: slots of the subjects of some templates.
        at_most: upper bound of the distance of each of these templates.
        k: number of subjects to find.
    """

    def __init__(self, slots: Indices, at_most: Floats, k: int) -> None:
        self._known, which = np.unique(slots, return_inverse=True)
        nearest = np.full(len(self._known), math.inf)
        np.minimum.at(nearest, which, at_most)
        self.farthest = float(np.partition(nearest, k - 1)[k - 1])
        self._reach = np.minimum(nearest, self.farthest)

    def of(self, slots: Indices) -> Floats:
        """The bound of each of these subjects, whether or not any of its templates was given."""
        places = np.searchsorted(self._known, slots).clip(max=len(self._known) - 1)
        return np.where(self._known[places] == slots, self._reach[places], self.farthest)
