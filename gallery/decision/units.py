"""The unit of distances: the typical distance between different people, for this probe and in this collection.

All distances are small indoors, and large after a change of clothes. A single threshold of plain distances therefore
gives false matches in one scene and misses in another. Speaker verification has the same problem and normalises a score
by each side's scores against other people (adaptive score normalisation; Matějka et al., Analysis of Score
Normalization in Multilingual Speaker Recognition, Interspeech 2017). Here the unit of a probe and a template is the
mean of two distances: from the probe to other people, and from the template to the collection's other subjects.

The other people of a probe are passers-by of its camera if the collection keeps them, otherwise the other subjects.
Passers-by may include the walker, so their median is used. The identity of subjects is known, so their mean is used,
with equal weight per subject, whatever its number of templates. Both depend only on stored data. So every replica
computes the same unit, and no unit needs to be stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from gaitkeeper.models.distance import part_distances

SUBJECTS = 128
"""Maximum number of subjects of a collection that are compared: the first by a digest of their ids."""
TEMPLATES = 4
"""Maximum number of templates of each of them."""
MIN_OTHERS = 2
"""Minimum number of other subjects for a collection's unit."""
MIN_PASSERS = 3
"""Minimum number of passers-by for a camera's unit."""
PRIOR = "prior"
"""Name of the basis without a unit: plain distances and a strict threshold."""

Apart = Callable[[Tensor, Tensor], Tensor]
Cohort = Mapping[str, Tensor]
"""Embeddings (k, P, C) of each subject, from :meth:`gaitkeeper.gallery.search.index.Index.cohort`."""


class Basis(Enum):
    """Source of the probe's side of a unit."""

    CAMERA = "camera"
    COLLECTION = "collection"


@dataclass(frozen=True)
class Unit:
    """A unit of distances.

    Attributes:
        length: in plain distance, above 0.
        basis: source of the probe's side.
        people: number of these passers-by or other subjects.
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
    """The unit of each probe and the template that it is compared with.

    Args:
        probes: (Q, P, C).
        templates: (P, C) each; None if there is none or it was removed. Then only the probe's side counts.
        subjects: subjects of the templates. They are excluded, because the unit describes different people.
        cohort: cohort of the collection. The corrections of views are subtracted from it and from the probes.
        passers: (n, P, C) for each probe's view, also corrected; None if none are kept.
        apart: function for the distances, float (N, M), of (N, P, C) to (M, P, C).

    Returns:
        One unit per probe; None if too few other people are known, or if all of them coincide.
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
