"""Why this name: a candidate part by part, each part against how far it is between different people.

The distance of two embeddings is the mean over their parts, so every part has its say in it, and the parts of one scale
can be read side by side only against their own spread: feet differ more between any two people than trunks do. A
candidate is the nearest of many, so all of its parts lie lower than those of a pair drawn at random; what tells is how
they compare with one another, and with the next candidate's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gallery.decision.calibration import PartQuantiles
from gallery.types import CandidateParts, Explanation, PartImpostors

EXPLAINED = 5
"""Candidates that are explained."""
COHORT = 64
"""Subjects of a collection whose distances are taken where no calibration has any."""
MIN_PAIRS = 10  # fewer say nothing of a share
LEVELS = 65

Strips = Sequence[tuple[float, float] | None]


@dataclass(frozen=True, eq=False)
class Impostors:
    """Distances between different people.

    Attributes:
        source: "calibration" or "collection".
        pairs: that were measured.
        quantiles: float64 (P, L), of each part at L evenly spaced shares from 0 to 1.
    """

    source: str
    pairs: int
    quantiles: npt.NDArray[Any]

    def share(self, part: int, distance: float) -> float:
        """The share of pairs that are as near in a part, in [0, 1]."""
        known = self.quantiles[part]
        if distance >= known[-1]:
            return 1.0
        return float(np.interp(distance, known, np.linspace(0, 1, len(known))))

    def at(self, part: int, share: float) -> float:
        """The distance that a share of pairs is within in a part."""
        known = self.quantiles[part]
        return float(np.interp(share, np.linspace(0, 1, len(known)), known))


def impostors_of(measured: PartQuantiles | None, cohort: Tensor | None) -> Impostors | None:
    """What is known of different people's distances.

    Args:
        measured: of a calibration; taken where there is one.
        cohort: one embedding of each of n people, float (n, P, C).

    Returns:
        None where both are missing, or the people are too few.
    """
    if measured is not None:
        return Impostors("calibration", measured.pairs, np.array(measured.quantiles))
    if cohort is None or len(cohort) * (len(cohort) - 1) // 2 < MIN_PAIRS:
        return None
    first, second = torch.triu_indices(len(cohort), len(cohort), 1)
    by_part = cohort.double().transpose(0, 1)
    distances = torch.stack([torch.cdist(part, part, compute_mode=_EXACT)[first, second] for part in by_part])
    return Impostors("collection", len(first), quantiles(distances.numpy()))


_EXACT = "donot_use_mm_for_euclid_dist"


def quantiles(distances: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of each part's distances (P, n), at evenly spaced shares, float64 (P, 65)."""
    return np.quantile(distances.astype(np.float64), np.linspace(0, 1, LEVELS), axis=1).T


def explain(
    probe: Tensor,
    templates: Sequence[tuple[str, str]],
    embeddings: Mapping[str, Tensor],
    strips: Strips,
    impostors: Impostors | None,
) -> Explanation:
    """The candidates of a probe part by part.

    Args:
        probe: (P, C).
        templates: subject and template of each candidate, nearest first.
        embeddings: (P, C) by template; a candidate without one, erased in the meantime, is left out.
        strips: where on the body each part lies, by :attr:`models.GaitNetwork.strips`.
        impostors: by :func:`impostors_of`, for as many parts; of others nothing is known.
    """
    parts = len(probe)
    known = impostors if impostors is not None and len(impostors.quantiles) == parts else None
    candidates = []
    for subject, template in templates:
        if template not in embeddings:
            continue
        apart = torch.linalg.vector_norm(embeddings[template].double() - probe.double(), dim=1).tolist()
        shares = None if known is None else tuple(known.share(part, d) for part, d in enumerate(apart))
        candidates.append(
            CandidateParts(subject=subject, template=template, distances=tuple(apart), impostor_shares=shares)
        )
    return Explanation(
        source=None if known is None else known.source,
        pairs=0 if known is None else known.pairs,
        parts=tuple(_part(part, strip, known) for part, strip in enumerate(strips)),
        candidates=tuple(candidates),
    )


def _part(part: int, strip: tuple[float, float] | None, known: Impostors | None) -> PartImpostors:
    top, bottom = strip or (None, None)
    low, median, high = (None if known is None else known.at(part, share) for share in (0.05, 0.5, 0.95))
    return PartImpostors(top=top, bottom=bottom, low=low, median=median, high=high)
