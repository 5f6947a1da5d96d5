"""Exact nearest neighbours under the part-wise distance, in memory."""

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

BLOCK_BYTES = 64 << 20  # of codes kept in one tensor, so that growing copies nothing
SCRATCH_BYTES = 128 << 20  # of bounds held at a time
CANDIDATES = 1024  # embeddings coded or ranked, or measured on a GPU, at a time
CACHE_BYTES = 1 << 20  # of embeddings measured at a time on a CPU: what a core's cache holds
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
    """Embeddings of templates by subject, searched in full.

    Every template is told apart from the nearest by a lower bound of its distance (:mod:`gallery.search.codes`), which
    reads a byte a number. Whatever the bound does not rule out is measured in float32 by differences, whose error is
    known, and what is left of that in float64. So the answer equals a float64 search of the stored values, near
    duplicates and ties included, whatever the order of adding and removing was. Not safe under threads by itself.

    Args:
        parts, dims: shape (P, C) of an embedding.
        device: where embeddings lie and are searched.
        precision: "float32", "float16" or "bfloat16": in which embeddings are kept, and to which the answer is exact.
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
        """Add n templates, of subjects without metadata as far as they are new, that do not expire.

        Args:
            templates: n ids, new ones.
            subjects: the subject of each.
            embeddings: (n, P, C), finite in the index's precision.

        Raises:
            ValueError: an id is there already, or the embeddings have another shape or are not finite.
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
        """Set what a template's subject is filtered by, and from when on it is not found.

        Args:
            template: one that is there.
            metadata: of its subject.
            expiry: seconds since 1970, infinity for never.

        Raises:
            KeyError: the template is not there.
        """
        block, row = self._at(self._positions[template])
        self._metadata[int(block.owners[row])] = metadata
        if expiry < math.inf or template in self._mortal:
            block.expiries[row] = expiry
            self._mortal.add(template)

    def remove(self, template: str) -> None:
        """Remove one template; the last one takes its row.

        Raises:
            KeyError: it is not there.
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
        """The ``k`` nearest subjects of each probe, by distance, then by id; a subject is as near as its best template.

        Args:
            probes: finite (Q, P, C), taken as float32.
            k: at least 1; fewer are found where there are fewer subjects.
            where: metadata that a subject must have to be found; its templates alone are searched.
            now: seconds since 1970 at which templates must not have expired; the clock's where not given.

        Returns:
            Hits of each probe, and the number of templates that were searched.

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
        """The nearest template of one subject to a probe (P, C), in float64; None where it has none."""
        slot = self._slots.get(subject)
        if slot is None:
            return None
        owners = torch.cat([block.owners for block in self._blocks])[: len(self)]
        allowed = self._allowed(owners, None, time.time() if now is None else now)
        mine = owners == slot if allowed is None else (owners == slot) & allowed
        hits = self._ranked(_true(mine), probe.to(self._device, torch.float32), 1)
        return hits[0] if hits else None

    def embeddings(self, templates: Sequence[str]) -> Tensor:
        """The embeddings of templates, float32 (m, P, C) on the processor.

        Raises:
            KeyError: one of them is not there.
        """
        rows = [self._at(self._positions[template]) for template in templates]
        found = [block.values[row].float().cpu() for block, row in rows]
        return torch.stack(found) if found else torch.zeros(0, *self.shape)

    def cohort(self, people: int, each: int = 1, now: float | None = None) -> dict[str, list[str]]:
        """Templates of some subjects: the first of both by a digest of the subject's id and by the template's id.

        A digest orders subjects by chance, so that the first are like all; by their ids those of one place would come
        first, as "north-001".

        Args:
            people: most subjects; fewer where fewer have a template that has not expired.
            each: most templates of a subject.
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
        """What bounds the distances to all templates, float32 (Q, n)."""
        lower = torch.empty(probes, len(self), device=self._device)
        for i, block in enumerate(self._blocks):
            start = i * self._size
            rows = min(self._size, len(self) - start)
            bounds.below(block.codes, rows, lower[:, start : start + rows])
        return lower

    def _nearest(
        self, probe: Tensor, lower: Tensor, first: Indices, slots: Indices, bounds: Bounds, i: int, k: int
    ) -> list[Hit]:
        """The ``k`` nearest subjects of one probe (P, C), from the bounds (n,) of its distances; there are as many."""
        # The promising templates, of k subjects at least, are measured first. None of the k nearest can be farther
        # than the k-th of these subjects; and a subject that was measured can only be as near as that, or nearer.
        reach = _Reach(slots[first], self._measured(first, probe)[1], k)
        left = _true(lower <= min(bounds.limit(i, reach.farthest), torch.finfo(torch.float32).max))
        left = left[_taken(lower, left) <= bounds.limit(i, reach.of(slots[left]))]
        at_least, at_most = self._measured(left, probe)
        reach = _Reach(slots[left], at_most, k)
        return self._ranked(left[at_least <= reach.of(slots[left])], probe, k)

    def _promising(self, lower: Tensor, owners: Tensor, k: int) -> list[Indices]:
        """For each row of bounds (Q, n): rising positions of templates with low ones, of ``k`` subjects or more."""
        # The lowest of each of many runs of templates; where these are of too few subjects, the lowest of each subject.
        length = max(1, len(owners) // (64 * k))
        runs = lower[:, : len(owners) // length * length].view(len(lower), -1, length)
        chosen = runs.amin(dim=2).topk(min(2 * k, runs.shape[1]), largest=False).indices.sort().values
        within = runs.gather(1, chosen[:, :, None].expand(-1, -1, length)).argmin(dim=2)
        positions = (chosen * length + within).cpu().numpy()
        return [self._of_enough(row, first, owners, k) for row, first in zip(lower, positions, strict=True)]

    def _of_enough(self, lower: Tensor, positions: Indices, owners: Tensor, k: int) -> Indices:
        """These positions, or, where they are of fewer than ``k`` subjects, those of the best of ``k`` subjects."""
        positions = positions[_taken(lower, positions) < math.inf]
        if len(np.unique(_taken(owners, positions))) >= k:
            return positions
        best = torch.full((len(self._subjects),), math.inf, device=self._device)
        best.scatter_reduce_(0, owners, lower, "amin")
        return _true((lower <= best.topk(k, largest=False).values[-1]) & (lower == best[owners]))

    def _measured(self, positions: Indices, probe: Tensor) -> tuple[Floats, Floats]:
        """At least and at most the distances of templates at rising positions, (m,) each.

        A difference of two float32 numbers is off by one rounding of itself, so nothing cancels: sums of squares of
        differences are off by C + 2 roundings, their roots by half as many, the sum over parts by P more.
        """
        parts, dims = self.shape
        share = (dims + parts + 16) * 2.0**-24
        found = [
            torch.linalg.vector_norm(rows.float().sub_(probe), dim=2).mean(dim=1) for rows in self._rows(positions)
        ]
        distances = torch.cat(found).double().cpu().numpy()
        slack = math.sqrt(dims) * UNDERFLOW
        # What overflows is at least 0 and at most anything.
        finite = np.isfinite(distances)
        return (
            np.where(finite, distances * (1 - share) - slack, 0.0),
            np.where(finite, distances * (1 + share) + slack, math.inf),
        )

    def _ranked(self, positions: Indices, probe: Tensor, k: int) -> list[Hit]:
        """The best hit of each subject among these templates, the ``k`` nearest of them in order."""
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
        """Copies of the embeddings at rising positions, (m, P, C) in the precision that they are kept in, by pieces."""
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
    """How far away each subject may be if it is one of the ``k`` nearest, given templates of so many at least.

    Args:
        slots: of the subjects of some templates.
        at_most: how far away each of these templates is, at most.
        k: subjects that are looked for.
    """

    def __init__(self, slots: Indices, at_most: Floats, k: int) -> None:
        self._known, which = np.unique(slots, return_inverse=True)
        nearest = np.full(len(self._known), math.inf)
        np.minimum.at(nearest, which, at_most)
        self.farthest = float(np.partition(nearest, k - 1)[k - 1])
        self._reach = np.minimum(nearest, self.farthest)

    def of(self, slots: Indices) -> Floats:
        """For each of these subjects, whether any template of it was given or none."""
        places = np.searchsorted(self._known, slots).clip(max=len(self._known) - 1)
        return np.where(self._known[places] == slots, self._reach[places], self.farthest)


@lru_cache(maxsize=1 << 17)
def digest_order(subject: str) -> bytes:
    """By what subjects are put in an order that has nothing to do with their ids, the same everywhere."""
    return hashlib.blake2b(subject.encode(), digest_size=8).digest()


def _true(mask: Tensor) -> Indices:
    """Indices of what is true, rising."""
    return np.flatnonzero(mask.numpy()) if mask.device.type == "cpu" else mask.nonzero()[:, 0].cpu().numpy()


def _taken(values: Tensor, positions: Indices) -> npt.NDArray[Any]:
    """Some of the values (n,), wherever they lie."""
    if values.device.type == "cpu":
        taken: npt.NDArray[Any] = values.numpy()[positions]
        return taken
    return values[torch.from_numpy(positions).to(values.device)].cpu().numpy()
