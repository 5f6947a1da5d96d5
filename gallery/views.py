"""Cameras learn from passers-by: what a view does to everybody's embedding is taken off before distances.

A view is a camera and the way people walk in it. Seen from the side, everybody's embedding lies elsewhere than seen
from ahead; the mean over the passers-by that are kept of the view tells where; see :mod:`gallery.passers`.

The distance of a probe a from view v to a template b from view w is that of a - c(v) and b - c(w). The correction
c(v) = n / (n + 8) * (m(v) - m), of n walks with the mean m(v) and the mean m of all well-known views' means, so a view
that is little known is corrected little, and one that fewer than eight are kept of not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

K = TypeVar("K")

WELL_KNOWN = 8
"""Passers-by that a view is corrected from on."""
SHRINK = 8.0


@dataclass(frozen=True)
class View:
    """From where a walker is seen.

    Attributes:
        camera: as the caller names it.
        heading: which way the walker goes, one of :class:`pipelines.heading.Heading`.
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
"""What is taken off the embeddings of each view, float32 (P, C)."""


def corrections_of(known: Mapping[K, tuple[int, Tensor]]) -> dict[K, Tensor]:
    """Corrections of views, float32 (P, C), from how many walks each is known by and their mean (P, C)."""
    if len(known) < 2:
        return {}  # one view alone: what it does to everybody cancels out
    middle = torch.stack([mean for _, mean in known.values()]).mean(0)
    return {view: (count / (count + SHRINK) * (mean - middle)).float() for view, (count, mean) in known.items()}


def centred(embeddings: Tensor, views: Sequence[View | None], corrections: Corrections) -> Tensor:
    """Embeddings (N, P, C) less what is known of their views."""
    if not corrections or not any(view in corrections for view in views):
        return embeddings
    none = torch.zeros_like(embeddings[0])
    return embeddings - torch.stack(
        [none if view is None else corrections.get(view, none).to(none.device) for view in views]
    )
