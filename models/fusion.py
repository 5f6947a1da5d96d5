"""Score-level fusion: several networks as one, whose distance is the weighted sum of theirs.

The sum rule of Kittler et al., "On Combining Classifiers", IEEE PAMI 20, 1998. A part-wise distance is a mean over
parts, so a weighted sum of such means is also one: the members' parts are concatenated, each scaled by its member's
factor, and narrower parts are padded with zeros. Search and thresholds need no special case. This is not a network of a
paper; ``gaitkeeper.training.fuse`` measures the factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gaitkeeper.models.base import FRAME_SHAPES, GaitNetwork

Options = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class FusionConfig:
    """Defaults: a network for silhouettes and one for joints, with the values of their papers.

    Attributes:
        members: registry names of networks, which may read different inputs.
        options: fields of each member's ``Config`` as pairs of name and value; empty for the defaults of all.
        factors: factors of each member's parts; empty means 1. See :func:`factors_of`.
    """

    members: tuple[str, ...] = ("gaitpart", "jointsgait")
    options: tuple[Options, ...] = ()
    factors: tuple[float, ...] = ()


class Fusion(GaitNetwork):
    """Silhouettes, joints and heatmaps, as the members need, in this order -> embeddings (N, ΣP, max C)."""

    name: ClassVar[str] = "fusion"
    inputs: ClassVar[tuple[str, ...]] = ("silhouettes", "joints")  # of the default members; each instance has its own
    Config: ClassVar[type[FusionConfig]] = FusionConfig
    config: FusionConfig

    def __init__(self, config: FusionConfig | None = None) -> None:
        from gaitkeeper.models import NETWORKS  # imported here: it contains this class

        super().__init__(config or FusionConfig())
        c = self.config
        options = c.options or ((),) * len(c.members)
        self.factors = c.factors or (1.0,) * len(c.members)
        if not len(c.members) == len(options) == len(self.factors) > 0:
            raise ValueError("a fusion has one or more members, and options and factors for each or for none")
        if strange := [name for name in c.members if name not in NETWORKS or NETWORKS[name] is Fusion]:
            raise ValueError(f"{', '.join(strange)}: not networks that can be fused")
        built = (
            NETWORKS[name](NETWORKS[name].Config(**dict(chosen)))
            for name, chosen in zip(c.members, options, strict=True)
        )
        self.members = nn.ModuleList(built)
        read = {name for member in self._nets for name in member.inputs}
        self.inputs = tuple(name for name in FRAME_SHAPES if name in read)  # type: ignore[misc]  # a fusion's own
        shapes = [member.out_shape for member in self._nets]
        self.out_shape = (sum(parts for parts, _ in shapes), max(width for _, width in shapes))

    @property
    def _nets(self) -> list[GaitNetwork]:
        return [member for member in self.members if isinstance(member, GaitNetwork)]

    @property
    def strips(self) -> tuple[tuple[float, float] | None, ...]:
        """Top and bottom of each part; see the base."""
        return tuple(strip for member in self._nets for strip in member.strips)

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, P, C), float32."""
        given = dict(zip(self.inputs, tensors, strict=True))
        out = []
        for member, factor in zip(self._nets, self.factors, strict=True):
            parts = member(*(given[name] for name in member.inputs), lengths=lengths) * factor
            out.append(F.pad(parts, (0, self.out_shape[1] - parts.shape[2])))
        return torch.cat(out, dim=1)


def factors_of(shapes: tuple[tuple[int, int], ...], weights: tuple[float, ...]) -> tuple[float, ...]:
    """Factors that make the fused distance Σ weight · distance.

    Args:
        shapes: (P, C) of each member's embeddings.
        weights: of each member's distance.
    """
    parts = sum(p for p, _ in shapes)
    return tuple(weight * parts / p for (p, _), weight in zip(shapes, weights, strict=True))
