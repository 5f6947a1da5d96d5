"""Exact nearest neighbours under the part-wise distance, in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.distance import part_distances

BLOCK_BYTES = 8 << 20  # of embeddings kept in one tensor, so that growing copies nothing
SCRATCH_BYTES = 64 << 20  # of distances held at a time


@dataclass(frozen=True)
class Hit:
    """A subject found, with its nearest template and the distance to it in float64."""

    subject: str
    template: str
    distance: float


class PartwiseIndex:
    """Embeddings of templates by subject, searched in full.

    All distances are taken with ``models.distance`` first; whatever could be among the nearest, given that it rounds,
    is then computed again in float64. So the answer equals a float64 search of the stored float32 values, near
    duplicates and ties included, whatever the order of adding and removing was. Not safe under threads by itself.

    Args:
        parts, dims: shape (P, C) of an embedding.
        device: where embeddings lie and are searched.
    """

    def __init__(self, parts: int, dims: int, device: str | torch.device = "cpu") -> None:
        self.shape = (parts, dims)
        self._device = torch.device(device)
        self._block = max(16, BLOCK_BYTES // (4 * parts * dims))
        self._rows: list[Tensor] = []  # (block, P, C) each; template i is row i % block of tensor i // block
        self._owners: list[Tensor] = []  # (block,) each, the slot of the template's subject
        self._ids: list[str] = []
        self._positions: dict[str, int] = {}
        self._slots: dict[str, int] = {}
        self._subjects: list[str] = []  # by slot
        self._sizes: list[int] = []  # templates, by slot
        self._free: list[int] = []  # slots without a subject
        self._largest = 0.0  # squared norm of the largest part there ever was

    def __len__(self) -> int:
        """Number of templates."""
        return len(self._ids)

    def __contains__(self, template: str) -> bool:
        return template in self._positions

    @property
    def subjects(self) -> int:
        """Number of subjects."""
        return len(self._slots)

    def add(self, templates: Sequence[str], subjects: Sequence[str], embeddings: Tensor) -> None:
        """Add n templates.

        Args:
            templates: n ids, new ones.
            subjects: the subject of each.
            embeddings: finite (n, P, C); kept as float32.

        Raises:
            ValueError: an id is there already, or the embeddings have another shape or are not finite.
        """
        if embeddings.shape != (len(templates), *self.shape):
            raise ValueError(f"({len(templates)}, *{self.shape}) expected, got {tuple(embeddings.shape)}.")
        if len(set(templates)) < len(templates) or any(t in self._positions for t in templates):
            raise ValueError("A template can be added once.")
        embeddings = embeddings.to(self._device, torch.float32)
        if not embeddings.isfinite().all():
            raise ValueError("Embeddings must be finite.")
        if len(templates):
            self._largest = max(self._largest, _largest_part(embeddings))
        for template, subject, embedding in zip(templates, subjects, embeddings, strict=True):
            position = len(self._ids)
            if position == len(self._rows) * self._block:
                self._rows.append(torch.zeros(self._block, *self.shape, device=self._device))
                self._owners.append(torch.zeros(self._block, dtype=torch.int64, device=self._device))
            slot = self._slot(subject)
            self._sizes[slot] += 1
            self._rows[position // self._block][position % self._block] = embedding
            self._owners[position // self._block][position % self._block] = slot
            self._ids.append(template)
            self._positions[template] = position

    def remove(self, template: str) -> None:
        """Remove one template; the last one takes its row.

        Raises:
            KeyError: it is not there.
        """
        position = self._positions.pop(template)
        block, row = divmod(position, self._block)
        slot = int(self._owners[block][row])
        last_block, last_row = divmod(len(self._ids) - 1, self._block)
        last = self._ids.pop()
        if last != template:
            self._rows[block][row] = self._rows[last_block][last_row]
            self._owners[block][row] = self._owners[last_block][last_row]
            self._ids[position] = last
            self._positions[last] = position
        self._rows[last_block][last_row] = 0
        if last_row == 0:
            self._rows.pop()
            self._owners.pop()
        self._sizes[slot] -= 1
        if not self._sizes[slot]:
            del self._slots[self._subjects[slot]]
            self._subjects[slot] = ""
            self._free.append(slot)

    def search(self, probes: Tensor, k: int) -> list[list[Hit]]:
        """The ``k`` nearest subjects of each probe, by distance, then by id; a subject is as near as its best template.

        Args:
            probes: finite (Q, P, C).
            k: at least 1; fewer are found where there are fewer subjects.
        """
        if k < 1:
            raise ValueError("At least one candidate must be asked for.")
        if not len(self):
            return [[] for _ in probes]
        probes = probes.to(self._device, torch.float32)
        hits: list[list[Hit]] = []
        step = max(1, SCRATCH_BYTES // (4 * len(self)))
        for start in range(0, len(probes), step):
            chunk = probes[start : start + step]
            coarse = self._coarse(chunk)
            for probe, distances, limit in zip(chunk, coarse, self._limits(chunk, coarse, k), strict=True):
                hits.append(self._rank(probe, (distances <= limit).nonzero()[:, 0].tolist(), k))
        return hits

    def _slot(self, subject: str) -> int:
        if subject not in self._slots:
            if self._free:
                slot = self._free.pop()
                self._subjects[slot] = subject
            else:
                slot = len(self._subjects)
                self._subjects.append(subject)
                self._sizes.append(0)
            self._slots[subject] = slot
        return self._slots[subject]

    def _coarse(self, probes: Tensor) -> Tensor:
        """Distances to all templates, float32 (Q, n)."""
        return torch.cat([part_distances(probes, rows) for rows in self._rows], dim=1)[:, : len(self)]

    def _limits(self, probes: Tensor, coarse: Tensor, k: int) -> list[float]:
        """The largest coarse distance that one of the ``k`` nearest subjects can have, for each probe.

        ``part_distances`` errs, per part, by at most the root of (2C + 16)·2⁻⁵³·(‖a‖² + ‖b‖²), then rounds to
        float32. The k-th best subject errs to one side and a hidden one to the other, hence twice.
        """
        owners = torch.cat(self._owners)[: len(self)].expand(len(probes), -1)
        best = torch.full((len(probes), len(self._subjects)), math.inf, device=self._device)
        best.scatter_reduce_(1, owners, coarse, "amin")
        kth = best.topk(min(k, self.subjects), largest=False).values[:, -1].tolist()
        slack = math.sqrt((2 * self.shape[1] + 16) * 2.0**-53 * (self._largest + _largest_part(probes)))
        return [(d + 2 * slack) * (1 + 2.0**-20) for d in kth]

    def _rank(self, probe: Tensor, positions: list[int], k: int) -> list[Hit]:
        """The best hit of each subject among these templates, the ``k`` nearest of them in order."""
        wanted = probe.double().cpu().numpy()
        best: dict[str, Hit] = {}
        for i in range(0, len(positions), self._block):
            some = positions[i : i + self._block]
            rows = torch.stack([self._rows[p // self._block][p % self._block] for p in some]).double().cpu().numpy()
            distances = np.sqrt(np.square(rows - wanted).sum(axis=2)).mean(axis=1)
            for position, distance in zip(some, distances.tolist(), strict=True):
                subject = self._subjects[int(self._owners[position // self._block][position % self._block])]
                hit = Hit(subject, self._ids[position], distance)
                known = best.get(subject)
                if known is None or (distance, hit.template) < (known.distance, known.template):
                    best[subject] = hit
        return sorted(best.values(), key=lambda hit: (hit.distance, hit.subject))[:k]


def _largest_part(embeddings: Tensor) -> float:
    return float(embeddings.double().square().sum(dim=2).max())
