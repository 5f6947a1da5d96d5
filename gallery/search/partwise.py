"""Exact in-memory nearest-neighbour search with the part-wise distance."""

from __future__ import annotations

import hashlib
import heapq
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gallery.search.codes import UNDERFLOW, Bounds, Codes

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BLOCK_BYTES = 64 << 20  # of codes per tensor, so that growing needs no copy
SCRATCH_BYTES = 128 << 20  # of bounds per step
CANDIDATES = 1024  # embeddings coded or ranked, or measured on a GPU, per step
CACHE_BYTES = 1 << 20  # of embeddings measured per step on a CPU: the size of a core's cache
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Hit:
    """A subject found, with its nearest template and the distance to it in float64."""

    subject: str
    template: str
    distance: float


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows of one piece of the index: embeddings (n, P, C), their codes, the slots of their subjects, their expiry."""

    values: Tensor
    codes: Codes
    owners: Tensor
    expiries: Tensor


class PartwiseIndex:
    """Embeddings of templates by subject, with exhaustive search.

    A lower bound of the distance (:mod:`gallery.search.codes`), which reads one byte per number, excludes most
    templates. The remaining ones are measured in float32 by differences, with a known error, and those that are still
    undecided in float64. So the answer equals a float64 search of the stored values, including near duplicates and
    ties, and does not depend on the order of additions and removals. Not thread-safe.

    Args:
        parts, dims: shape (P, C) of an embedding.
        device: device for the embeddings and the search.
        precision: "float32", "float16" or "bfloat16". Number format of the embeddings; the answer is exact for the
            values in this format.
    """

    def __init__(self, parts: int, dims: int, device: str | torch.device = "cpu", precision: str = "float32") -> None:
        self.shape = (parts, dims)
        self._device = torch.device(device)
        self._dtype = PRECISIONS[precision]
        self._size = max(16, BLOCK_BYTES // (parts * dims))
        cached = CACHE_BYTES // (4 * parts * dims)
        self._at_once = max(1, cached) if self._device.type == "cpu" else CANDIDATES
        self._blocks: list[_Block] = []  # template i is row i % size of block i // size
        self._ids: list[str] = []
        self._positions: dict[str, int] = {}
        self._slots: dict[str, int] = {}
        self._subjects: list[str] = []  # by slot
        self._metadata: list[Mapping[str, str]] = []  # by slot
        self._sizes: list[int] = []  # templates, by slot
        self._free: list[int] = []  # slots without a subject
        self._mortal: set[str] = set()  # templates that expire

    def __len__(self) -> int:
        """Number of templates."""
        return len(self._ids)

    def __contains__(self, template: str) -> bool:
        return template in self._positions

    @property
    def subjects(self) -> int:
        """Number of subjects."""
        return len(self._slots)

    def add(
        self,
        templates: Sequence[str],
        subjects: Sequence[str],
        embeddings: Tensor,
    ) -> None:
        """Add n templates that do not expire. New subjects have no metadata.

        Args:
            templates: n ids, new ones.
            subjects: subject of each template.
            embeddings: (n, P, C), finite in the index's number format.

        Raises:
            ValueError: an id exists already, or the embeddings have another shape or are not finite.
        """
        if embeddings.shape != (len(templates), *self.shape):
            raise ValueError(f"({len(templates)}, *{self.shape}) expected, got {tuple(embeddings.shape)}.")
        if len(set(templates)) < len(templates) or any(t in self._positions for t in templates):
            raise ValueError("A template can be added once.")
        embeddings = embeddings.to(self._device, self._dtype)
        if not embeddings.isfinite().all():
            raise ValueError("Embeddings must be finite.")
        slots = [self._slot(subject) for subject in subjects]
        for slot in slots:
            self._sizes[slot] += 1
        done = 0
        while done < len(templates):
            row = len(self._ids) % self._size
            if row == 0 and len(self._ids) == len(self._blocks) * self._size:
                self._blocks.append(self._new_block())
            some = slice(done, done + min(len(templates) - done, self._size - row, CANDIDATES))
            rows = slice(row, row + some.stop - done)
            block = self._blocks[-1]
            block.values[rows] = embeddings[some]
            block.codes.write(rows, block.values[rows].float())
            block.owners[rows] = torch.tensor(slots[some], device=self._device)
            block.expiries[rows] = math.inf
            for template in templates[some]:
                self._positions[template] = len(self._ids)
                self._ids.append(template)
            done = some.stop

    def annotate(self, template: str, metadata: Mapping[str, str], expiry: float = math.inf) -> None:
        """Set the metadata of a template's subject, and the template's expiry.

        Args:
            template: id of an existing template.
            metadata: metadata of its subject.
            expiry: time in seconds since 1970; infinity for never.

        Raises:
            KeyError: the template does not exist.
        """
        block, row = self._at(self._positions[template])
        self._metadata[int(block.owners[row])] = metadata
        if expiry < math.inf or template in self._mortal:
            block.expiries[row] = expiry
            self._mortal.add(template)

    def remove(self, template: str) -> None:
        """Remove one template. The last one moves to its row.

        Raises:
            KeyError: the template does not exist.
        """
        position = self._positions.pop(template)
        self._mortal.discard(template)
        block, row = self._at(position)
        slot = int(block.owners[row])
        last_block, last_row = self._at(len(self._ids) - 1)
        last = self._ids.pop()
        if last != template:
            block.values[row] = last_block.values[last_row]
            block.owners[row] = last_block.owners[last_row]
            block.expiries[row] = last_block.expiries[last_row]
            block.codes.write(slice(row, row + 1), block.values[row : row + 1].float())
            self._ids[position] = last
            self._positions[last] = position
        last_block.values[last_row] = 0
        last_block.codes.codes[:, last_row] = 0
        if last_row == 0:
            self._blocks.pop()
        self._sizes[slot] -= 1
        if not self._sizes[slot]:
            del self._slots[self._subjects[slot]]
            self._subjects[slot], self._metadata[slot] = "", {}
            self._free.append(slot)

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
            raise ValueError("At least one candidate must be asked for.")
        if not len(self):
            return [[] for _ in probes], 0
        probes = probes.to(self._device, torch.float32)
        owners = torch.cat([block.owners for block in self._blocks])[: len(self)]
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
        owners = torch.cat([block.owners for block in self._blocks])[: len(self)]
        allowed = self._allowed(owners, None, time.time() if now is None else now)
        mine = owners == slot if allowed is None else (owners == slot) & allowed
        hits = self._ranked(_true(mine), probe.to(self._device, torch.float32), 1)
        return hits[0] if hits else None

    def embeddings(self, templates: Sequence[str]) -> Tensor:
        """The embeddings of templates, float32 (m, P, C) on the CPU.

        Raises:
            KeyError: one of them does not exist.
        """
        rows = [self._at(self._positions[template]) for template in templates]
        found = [block.values[row].float().cpu() for block, row in rows]
        return torch.stack(found) if found else torch.zeros(0, *self.shape)

    def cohort(self, people: int, each: int = 1, now: float | None = None) -> dict[str, list[str]]:
        """Templates of some subjects: the first subjects by a digest of their ids, and of each the first templates by
        id.

        A digest gives a random order, so the first subjects are representative. Sorted by id, those of one place would
        come first, for example "north-001".

        Args:
            people: maximum number of subjects. Only subjects with a template that has not expired count.
            each: maximum number of templates per subject.
            now: as of :meth:`search`.

        Returns:
            Ids of templates by subject, subjects by :func:`digest_order`.
        """
        if not len(self):
            return {}
        owners = torch.cat([block.owners for block in self._blocks])[: len(self)]
        allowed = self._allowed(owners, None, time.time() if now is None else now)
        alive = torch.unique(owners if allowed is None else owners[allowed])
        subjects = heapq.nsmallest(people, (self._subjects[slot] for slot in alive.tolist()), key=digest_order)
        slots = torch.tensor([self._slots[subject] for subject in subjects], device=self._device)
        mine = torch.isin(owners, slots)
        positions = _true(mine if allowed is None else mine & allowed)
        found: dict[str, list[str]] = {subject: [] for subject in subjects}
        for position, slot in zip(positions.tolist(), _taken(owners, positions).tolist(), strict=True):
            found[self._subjects[slot]].append(self._ids[position])
        return {subject: sorted(templates)[:each] for subject, templates in found.items()}

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
        left = _true(lower <= min(bounds.limit(i, reach.farthest), torch.finfo(torch.float32).max))
        left = left[_taken(lower, left) <= bounds.limit(i, reach.of(slots[left]))]
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
        positions = positions[_taken(lower, positions) < math.inf]
        if len(np.unique(_taken(owners, positions))) >= k:
            return positions
        best = torch.full((len(self._subjects),), math.inf, device=self._device)
        best.scatter_reduce_(0, owners, lower, "amin")
        return _true((lower <= best.topk(k, largest=False).values[-1]) & (lower == best[owners]))

    def _measured(self, positions: Indices, probe: Tensor) -> tuple[Floats, Floats]:
        """Lower and upper bounds of the distances of templates at increasing positions, (m,) each.

        A difference of two float32 numbers has an error of one rounding, so there is no cancellation. Sums of squared
        differences have an error of C + 2 roundings, their roots half as many, and the sum over parts P more.
        """
        parts, dims = self.shape
        share = (dims + parts + 16) * 2.0**-24
        found = [
            torch.linalg.vector_norm(rows.float().sub_(probe), dim=2).mean(dim=1) for rows in self._rows(positions)
        ]
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
            rows = torch.cat(list(self._rows(some))).double().cpu().numpy()
            distances = np.sqrt(np.square(rows - wanted).sum(axis=2)).mean(axis=1)
            for position, distance in zip(some.tolist(), distances.tolist(), strict=True):
                block, row = self._at(position)
                subject = self._subjects[int(block.owners[row])]
                hit = Hit(subject, self._ids[position], distance)
                known = best.get(subject)
                if known is None or (distance, hit.template) < (known.distance, known.template):
                    best[subject] = hit
        return sorted(best.values(), key=lambda hit: (hit.distance, hit.subject))[:k]

    def _rows(self, positions: Indices) -> Iterator[Tensor]:
        """Copies of the embeddings at increasing positions, (m, P, C) in the index's number format, in pieces."""
        for start, block in zip(range(0, len(self), self._size), self._blocks, strict=True):
            first, last = np.searchsorted(positions, (start, start + self._size))
            for some in range(first, last, self._at_once):
                rows = torch.from_numpy(positions[some : min(last, some + self._at_once)] - start)
                yield block.values.index_select(0, rows.to(self._device))

    def _allowed(self, owners: Tensor, where: Mapping[str, str] | None, now: float) -> Tensor | None:
        """Which templates may be found, bool (n,); None for all."""
        if not where and not self._mortal:
            return None
        slots = torch.tensor(
            [all(metadata.get(key) == value for key, value in (where or {}).items()) for metadata in self._metadata],
            device=self._device,
        )
        expiries = torch.cat([block.expiries for block in self._blocks])[: len(self)]
        return slots[owners] & (expiries > now)

    def _at(self, position: int) -> tuple[_Block, int]:
        block, row = divmod(position, self._size)
        return self._blocks[block], row

    def _new_block(self) -> _Block:
        n = self._size
        return _Block(
            torch.empty(n, *self.shape, dtype=self._dtype, device=self._device),
            Codes.empty(n, *self.shape, self._device),
            torch.empty(n, dtype=torch.int64, device=self._device),
            torch.empty(n, dtype=torch.float64, device=self._device),
        )

    def _slot(self, subject: str) -> int:
        if subject not in self._slots:
            if self._free:
                slot = self._free.pop()
                self._subjects[slot] = subject
            else:
                slot = len(self._subjects)
                self._subjects.append(subject)
                self._sizes.append(0)
                self._metadata.append({})
            self._slots[subject] = slot
        return self._slots[subject]


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


@lru_cache(maxsize=1 << 17)
def digest_order(subject: str) -> bytes:
    """Sort key that orders subjects independently of their ids, the same on every host."""
    return hashlib.blake2b(subject.encode(), digest_size=8).digest()


def _true(mask: Tensor) -> Indices:
    """Increasing indices of the true values."""
    return np.flatnonzero(mask.numpy()) if mask.device.type == "cpu" else mask.nonzero()[:, 0].cpu().numpy()


def _taken(values: Tensor, positions: Indices) -> npt.NDArray[Any]:
    """Select values (n,) by index, on any device."""
    if values.device.type == "cpu":
        taken: npt.NDArray[Any] = values.numpy()[positions]
        return taken
    return values[torch.from_numpy(positions).to(values.device)].cpu().numpy()
