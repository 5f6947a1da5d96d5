"""View correction: subtracts the mean shift of a view from embeddings before they are compared.

A view is a camera and a walking direction in it. A view shifts all embeddings: those of side views differ from those of
frontal views. The shift is estimated from the mean over the view's passers-by; see
:mod:`gaitkeeper.gallery.identification.passers`.

The distance of a probe a from view v to a template b from view w is that of a - c(v) and b - c(w). The correction
c(v) = n / (n + 8) * (m(v) - m), where n is the number of walks, m(v) their mean, and m the mean of all well-known
views' means. So a view with few walks is corrected little, and one with fewer than eight walks is not corrected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

K = TypeVar("K")

WELL_KNOWN = 8
"""Minimum number of passers-by for a view to be corrected."""
SHRINK = 8.0


@dataclass(frozen=True)
class View:
    """The view of a walker.

    Attributes:
        camera: name of the camera.
        heading: walking direction, one of :class:`gaitkeeper.pipelines.heading.Heading`.
    """

    camera: str
    heading: str

    def __str__(self) -> str:
        return f"{self.heading}/{self.camera}"

    @classmethod
    def parse(cls, text: str) -> View:
        """The inverse of ``str``."""
        heading, _, camera = text.partition("/")
        return cls(camera, heading)


Corrections = Mapping[View, Tensor]
"""Corrections by view, float32 (P, C), subtracted from embeddings."""


def corrections_of(known: Mapping[K, tuple[int, Tensor]]) -> dict[K, Tensor]:
    """Corrections of views, float32 (P, C), from each view's number of walks and their mean (P, C)."""
    if len(known) < 2:
        return {}  # with a single view the shift cancels out
    middle = torch.stack([mean for _, mean in known.values()]).mean(0)
    return {view: (count / (count + SHRINK) * (mean - middle)).float() for view, (count, mean) in known.items()}


def centred(embeddings: Tensor, views: Sequence[View | None], corrections: Corrections) -> Tensor:
    """Subtract the corrections of their views from embeddings (N, P, C)."""
    if not corrections or not any(view in corrections for view in views):
        return embeddings
    none = torch.zeros_like(embeddings[0])
    return embeddings - torch.stack(
        [none if view is None else corrections.get(view, none).to(none.device) for view in views]
    )
