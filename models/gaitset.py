"""GaitSet: gait as a set of silhouettes.

Chao et al., "GaitSet: Regarding Gait as a Set for Cross-View Gait Recognition", AAAI 2019. Frames are processed one by
one and pooled by their maximum, so their order does not matter. Where the paper is silent:

- Set pooling is the maximum over frames, the plainest of section 3.2's and the one that published code uses.
- The parts come in the order of published checkpoints: 16, 8, 4, 2, 1 strips of the frames' features, then the same of
  the multilayer global pipeline. The paper says 2.56 M parameters; counted without biases there are 2,594,592.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.layers import (
    FocalBlock,
    PartLinear,
    channels_last,
    he_init,
    horizontal_pool,
    set_pools,
    strips_of,
)


@dataclass(frozen=True)
class GaitSetConfig:
    """Defaults: the network for CASIA-B (section 4.1).

    Attributes:
        channels: channels of the three blocks.
        stem_stride: stride of the first convolution; 2 (not in the paper) makes a small network with a quarter of the
            work, whose last maps have 8 rows.
        bins: horizontal strips of each scale of the pyramid.
        embed_dim: C, numbers of each part of an embedding.
    """

    channels: tuple[int, int, int] = (32, 64, 128)
    stem_stride: int = 1
    bins: tuple[int, ...] = (16, 8, 4, 2, 1)
    embed_dim: int = 256


def gaitset_oumvlp(**config: Any) -> GaitSet:
    """Twice the channels, for OU-MVLP (section 4.1)."""
    return GaitSet(GaitSetConfig(**{"channels": (64, 128, 256), **config}))


class GaitSet(GaitNetwork):
    """Silhouettes (N, T, 1, 64, 44) in [0, 1] -> embeddings (N, 62, 256)."""

    name: ClassVar[str] = "gaitset"
    inputs: ClassVar[tuple[str, ...]] = ("silhouettes",)
    Config: ClassVar[type[GaitSetConfig]] = GaitSetConfig
    config: GaitSetConfig

    def __init__(self, config: GaitSetConfig | None = None) -> None:
        super().__init__(config or GaitSetConfig())
        c1, c2, c3 = self.config.channels
        self.block1 = FocalBlock(1, c1, kernel=5, stride=self.config.stem_stride, pool=True)
        self.block2 = FocalBlock(c1, c2, pool=True)
        self.block3 = FocalBlock(c2, c3)
        self.global2 = FocalBlock(c1, c2, pool=True)
        self.global3 = FocalBlock(c2, c3)
        self.out_shape = (2 * sum(self.config.bins), self.config.embed_dim)
        self.fc = PartLinear(self.out_shape[0], c3, self.config.embed_dim)
        he_init(self)
        channels_last(self)

    @property
    def strips(self) -> tuple[tuple[float, float] | None, ...]:
        """Top and bottom of each part; see the base."""
        return strips_of(self.config.bins * 2)

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, P, C), float32."""
        (silhouettes,) = tensors
        stages = (self.block1, self.block2, self.block3)
        return self.map_sets(*set_pools(stages, silhouettes, lengths, apart=True)).float()

    def map_sets(self, first: Tensor, second: Tensor, third: Tensor) -> Tensor:
        """The sets that come out of the three blocks, (N, C1, 32, 22), (N, C2, 16, 11), (N, C3, 16, 11) -> (N, P, C).

        Global pipeline, then horizontal pyramid mapping of the last set's features, and of them with the pipeline's.
        """
        whole = self.global3(self.global2(first) + second)
        parts = [horizontal_pool(x, self.config.bins) for x in (third, whole + third)]
        out: Tensor = self.fc(torch.cat(parts, dim=1))
        return out
