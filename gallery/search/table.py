"""Templates in memory: their embeddings, subjects, metadata and times of expiry."""

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

from gaitkeeper.gallery.search.codes import Codes

Indices = npt.NDArray[np.int64]

BLOCK_BYTES = 64 << 20  # of codes per tensor, so that growing needs no copy
ADDED_AT_ONCE = 1024  # embeddings coded per step
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows of one piece of the table: embeddings (n, P, C), their codes, the slots of their subjects, their expiry."""

    values: Tensor
    codes: Codes
    owners: Tensor
    expiries: Tensor


class TemplateTable:
    """Embeddings of templates, by subject. Not thread-safe.

    Args:
        parts, dims: shape (P, C) of an embedding.
        device: device for the embeddings.
        precision: "float32", "float16" or "bfloat16". Number format of the embeddings.
    """

    def __init__(self, parts: int, dims: int, device: str | torch.device = "cpu", precision: str = "float32") -> None:
        self.shape = (parts, dims)
        self._device = torch.device(device)
        self._dtype = PRECISIONS[precision]
        self._size = max(16, BLOCK_BYTES // (parts * dims))
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
            embeddings: (n, P, C), finite in the table's number format.

        Raises:
            ValueError: an id exists already, or the embeddings have another shape or are not finite.
        """
        if embeddings.shape != (len(templates), *self.shape):
            raise ValueError(f"({len(templates)}, *{self.shape}) expected, got {tuple(embeddings.shape)}.")
        if len(set(templates)) < len(templates) or any(t in self._positions for t in templates):
            raise ValueError("A template can only be added once.")
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
            some = slice(done, done + min(len(templates) - done, self._size - row, ADDED_AT_ONCE))
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
            now: time in seconds since 1970 for the check of expiry; by default the clock's.

        Returns:
            Ids of templates by subject, subjects by :func:`digest_order`.
        """
        if not len(self):
            return {}
        owners = self._owners()
        allowed = self._allowed(owners, None, time.time() if now is None else now)
        alive = torch.unique(owners if allowed is None else owners[allowed])
        subjects = heapq.nsmallest(people, (self._subjects[slot] for slot in alive.tolist()), key=digest_order)
        slots = torch.tensor([self._slots[subject] for subject in subjects], device=self._device)
        mine = torch.isin(owners, slots)
        positions = true_of(mine if allowed is None else mine & allowed)
        found: dict[str, list[str]] = {subject: [] for subject in subjects}
        for position, slot in zip(positions.tolist(), taken(owners, positions).tolist(), strict=True):
            found[self._subjects[slot]].append(self._ids[position])
        return {subject: sorted(templates)[:each] for subject, templates in found.items()}

    def _rows(self, positions: Indices, at_once: int) -> Iterator[Tensor]:
        """Copies of the embeddings at increasing positions, (m, P, C) in the table's number format, in pieces of at
        most ``at_once``.
        """
        for start, block in zip(range(0, len(self), self._size), self._blocks, strict=True):
            first, last = np.searchsorted(positions, (start, start + self._size))
            for some in range(first, last, at_once):
                rows = torch.from_numpy(positions[some : min(last, some + at_once)] - start)
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

    def _owners(self) -> Tensor:
        """Slot of each template's subject, int64 (n,)."""
        return torch.cat([block.owners for block in self._blocks])[: len(self)]

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


@lru_cache(maxsize=1 << 17)
def digest_order(subject: str) -> bytes:
    """Sort key that orders subjects independently of their ids, the same on every host."""
    return hashlib.blake2b(subject.encode(), digest_size=8).digest()


def true_of(mask: Tensor) -> Indices:
    """Increasing indices of the true values."""
    return np.flatnonzero(mask.numpy()) if mask.device.type == "cpu" else mask.nonzero()[:, 0].cpu().numpy()


def taken(values: Tensor, positions: Indices) -> npt.NDArray[Any]:
    """Select values (n,) by index, on any device."""
    if values.device.type == "cpu":
        taken: npt.NDArray[Any] = values.numpy()[positions]
        return taken
    return values[torch.from_numpy(positions).to(values.device)].cpu().numpy()
