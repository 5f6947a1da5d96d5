"""Explanations: the distance of a candidate for each body part, compared with the distances between different people.

The distance of two embeddings is the mean over their parts, so every part contributes. Parts differ in their spread:
the feet of any two people differ more than their trunks. Therefore each part is compared with the distances of the same
part between different people. A candidate is the nearest of many, so all its parts are nearer than those of a random
pair. What matters is how its parts compare with one another, and with the next candidate's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gaitkeeper.gallery.decision.calibration import PartQuantiles
from gaitkeeper.gallery.types import CandidateParts, Explanation, PartImpostors

EXPLAINED = 5
"""Number of explained candidates."""
COHORT = 64
"""Number of the collection's subjects whose distances are used if the calibration has none."""
MIN_PAIRS = 10  # fewer pairs give no usable quantiles
LEVELS = 65

Strips = Sequence[tuple[float, float] | None]


@dataclass(frozen=True, eq=False)
class Impostors:
    """Distances between different people.

    Attributes:
        source: "calibration" or "collection".
        pairs: number of measured pairs.
        quantiles: float64 (P, L), L evenly spaced quantiles from 0 to 1 for each part.
    """

    source: str
    pairs: int
    quantiles: npt.NDArray[Any]

    def share(self, part: int, distance: float) -> float:
        """Fraction of pairs that are at least as near in a part, in [0, 1]."""
        known = self.quantiles[part]
        if distance >= known[-1]:
            return 1.0
        return float(np.interp(distance, known, np.linspace(0, 1, len(known))))

    def at(self, part: int, share: float) -> float:
        """The quantile of the distances in a part."""
        known = self.quantiles[part]
        return float(np.interp(share, np.linspace(0, 1, len(known)), known))


def impostors_of(measured: PartQuantiles | None, cohort: Tensor | None) -> Impostors | None:
    """The available distances between different people.

    Args:
        measured: distances of a calibration. Preferred if available.
        cohort: one embedding for each of n people, float (n, P, C).

    Returns:
        The distances; None if both are missing, or if there are too few people.
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
    """Evenly spaced quantiles of each part's distances (P, n), float64 (P, 65)."""
    return np.quantile(distances.astype(np.float64), np.linspace(0, 1, LEVELS), axis=1).T


def explain(
    probe: Tensor,
    templates: Sequence[tuple[str, str]],
    embeddings: Mapping[str, Tensor],
    strips: Strips,
    impostors: Impostors | None,
) -> Explanation:
    """Explain the candidates of a probe, part by part.

    Args:
        probe: (P, C).
        templates: subject and template of each candidate, nearest first.
        embeddings: (P, C) by template. A candidate without one was erased in the meantime and is left out.
        strips: position of each part on the body, see :attr:`gaitkeeper.models.GaitNetwork.strips`.
        impostors: from :func:`impostors_of`. Ignored if the number of parts differs.
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
