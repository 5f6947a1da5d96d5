"""The unit that distances are told in: how far apart different people are, for this probe and in this collection.

Indoors all people are near one another, in other clothes all are far, so one threshold of plain distances names
strangers in one scene and misses friends in another. Speaker verification met the same and divides a score by what each
side's comparisons with other people give (adaptive score normalisation; Matějka et al., Analysis of Score Normalization
in Multilingual Speaker Recognition, Interspeech 2017). Here the unit of a probe and a template is the mean of two
sides: how far the probe is from other people, and how far the template is from the collection's other subjects.

The probe's other people are passers-by of its own camera where the collection keeps them, else the other subjects.
Passers-by may include the walker, so their median counts; of subjects it is known who they are, so the mean counts,
each subject weighing alike however many templates it has. Both follow from what is stored, so that every replica has
the same unit, and nothing of it needs to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from models.distance import part_distances

SUBJECTS = 128
"""Subjects of a collection whose distances count, the first by a digest of their ids; all where there are no more."""
TEMPLATES = 4
"""Templates of each of them."""
MIN_OTHERS = 2
"""Other subjects that a collection's unit rests on, at least."""
MIN_PASSERS = 3
"""Passers-by that a camera's unit rests on, at least."""
PRIOR = "prior"
"""What a threshold rests on where there is no unit: plain distances, and a strict threshold."""

Apart = Callable[[Tensor, Tensor], Tensor]
Cohort = Mapping[str, Tensor]
"""Embeddings (k, P, C) of each subject, from :meth:`gallery.search.index.Index.cohort`."""


class Basis(Enum):
    """Where the probe's side of a unit comes from."""

    CAMERA = "camera"
    COLLECTION = "collection"


@dataclass(frozen=True)
class Unit:
    """A length to measure distances by.

    Attributes:
        length: in plain distance, above 0.
        basis: what the probe's side rests on.
        people: how many passers-by or other subjects that are.
    """

    length: float
    basis: Basis
    people: int

    def __str__(self) -> str:
        return f"camera ({self.people} passers-by)" if self.basis is Basis.CAMERA else "collection"


def units_of(
    probes: Tensor,
    templates: Sequence[Tensor | None],
    subjects: Sequence[str | None],
    cohort: Cohort,
    passers: Sequence[Tensor | None] | None = None,
    apart: Apart = part_distances,
) -> list[Unit | None]:
    """The unit of each probe and a template that it is compared with.

    Args:
        probes: (Q, P, C).
        templates: (P, C) each; None where there is none, or it is gone by now: the probe's side alone counts then.
        subjects: whose the templates are; a subject's own templates say nothing of different people.
        cohort: of the collection, less what is known of views, as the probes are.
        passers: (n, P, C) of each probe's view, likewise; None where none are kept.
        apart: gives the distances, float (N, M), of (N, P, C) to (M, P, C).

    Returns:
        None for a probe of which too few other people are known, or all of them coincide.
    """
    names = list(cohort)
    sizes = torch.tensor([len(some) for some in cohort.values()])
    present = [i for i, template in enumerate(templates) if template is not None]
    ends = [probes.cpu(), *(template.cpu()[None] for template in templates if template is not None)]
    means = _to_subjects(torch.cat(ends), list(cohort.values()), sizes, apart)
    row = {i: len(probes) + at for at, i in enumerate(present)}
    found: list[Unit | None] = []
    for i, subject in enumerate(subjects):
        others = [at for at, name in enumerate(names) if name != subject]
        by_camera = None if passers is None else passers[i]
        near = by_camera is not None and len(by_camera) >= MIN_PASSERS
        enough = len(others) >= MIN_OTHERS
        sides = []
        if by_camera is not None and near:
            sides.append(float(apart(probes[i][None].cpu(), by_camera.cpu())[0].median()))
        elif enough:
            sides.append(float(means[i, others].mean()))
        if enough and sides and i in row:
            sides.append(float(means[row[i], others].mean()))
        length = sum(sides) / len(sides) if sides else 0.0
        if length <= 0:
            found.append(None)
        elif by_camera is not None and near:
            found.append(Unit(length, Basis.CAMERA, len(by_camera)))
        else:
            found.append(Unit(length, Basis.COLLECTION, len(others)))
    return found


def _to_subjects(ends: Tensor, cohort: list[Tensor], sizes: Tensor, apart: Apart) -> Tensor:
    """Mean distance, float64 (n, S), of each of n embeddings (n, P, C) to the templates of each of S subjects."""
    if not cohort:
        return torch.zeros(len(ends), 0, dtype=torch.float64)
    distances = apart(ends, torch.cat(cohort).cpu()).double()
    owners = torch.repeat_interleave(torch.arange(len(cohort)), sizes)
    total = torch.zeros(len(ends), len(cohort), dtype=torch.float64)
    return total.index_add_(1, owners, distances) / sizes
