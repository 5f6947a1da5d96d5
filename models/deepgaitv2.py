"""DeepGaitV2: GaitBase made deeper, with convolutions in time.

Fan et al., "Exploring Deep Models for Practical Gait Recognition", arXiv 2303.03301, section 3 and table 3. The
embedding is the output before the BNNeck, as with published checkpoints; the BNNeck belongs to the classifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.layers import (
    BNNeck,
    PartLinear,
    channels_last,
    framewise,
    he_init,
    horizontal_pool,
    set_pool,
    strips_of,
    temporal_max,
)
from gaitkeeper.models.resnet import Stem, calm_init, later_stages, stage

Mode = Literal["2d", "3d", "p3d"]


@dataclass(frozen=True)
class DeepGaitV2Config:
    """Defaults: the network of 22 layers for data sets from outdoors, with pseudo-3D blocks.

    Attributes:
        mode: residual blocks of the last three stages: "2d" sees single frames, "3d" convolves in space and time
            together, "p3d" (pseudo-3D) in space and in time separately.
        blocks: residual blocks of the four stages.
        channels: channels of the four stages.
        stem_stride: stride of the first convolution; 2 (not in the paper) makes a small network with a quarter of the
            work.
        parts: P, horizontal strips.
        embed_dim: C, numbers of each part of an embedding.
        num_classes: people in training; None leaves the classifier out.
    """

    mode: Mode = "p3d"
    blocks: tuple[int, int, int, int] = (1, 4, 4, 1)
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    stem_stride: int = 1
    parts: int = 16
    embed_dim: int = 256
    num_classes: int | None = None


def deepgaitv2_indoor(**config: Any) -> DeepGaitV2:
    """For CASIA-B, OU-MVLP and CCPG, as in published configurations: one block a stage, ten layers."""
    return DeepGaitV2(DeepGaitV2Config(**{"blocks": (1, 1, 1, 1), **config}))


class DeepGaitV2(GaitNetwork):
    """Silhouettes (N, T, 1, 64, 44) in [0, 1] -> embeddings (N, 16, 256)."""

    name: ClassVar[str] = "deepgaitv2"
    inputs: ClassVar[tuple[str, ...]] = ("silhouettes",)
    Config: ClassVar[type[DeepGaitV2Config]] = DeepGaitV2Config
    config: DeepGaitV2Config

    def __init__(self, config: DeepGaitV2Config | None = None) -> None:
        super().__init__(config or DeepGaitV2Config())
        c = self.config
        first = c.channels[0]
        self.frames = nn.Sequential(Stem(1, first, c.stem_stride), *stage("2d", first, first, 1, c.blocks[0]))
        self.blocks = later_stages(c.mode, c.channels, c.blocks)
        self.fc = PartLinear(c.parts, c.channels[-1], c.embed_dim)
        self.classifier = None
        if c.num_classes is not None:
            self.classifier = BNNeck(c.parts, c.embed_dim, c.num_classes)
        self.out_shape = (c.parts, c.embed_dim)
        he_init(self)
        calm_init(self)
        channels_last(self)

    @property
    def strips(self) -> tuple[tuple[float, float] | None, ...]:
        """Top and bottom of each part; see the base."""
        return strips_of([self.config.parts])

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, P, C), float32."""
        (silhouettes,) = tensors
        pooled = self._pooled(silhouettes, lengths)
        out: Tensor = self.fc(horizontal_pool(pooled, [self.config.parts]))
        return out.float()

    def _pooled(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        if self.config.mode == "2d":
            return set_pool(nn.Sequential(self.frames, *self.blocks), x, lengths)
        if lengths is not None and not (torch.is_grad_enabled() or torch.compiler.is_exporting()):
            # One sequence at a time avoids computing the padding.
            ends = zip(x, lengths.tolist(), strict=True)
            return torch.cat([self._pooled(frames[None, :end], None) for frames, end in ends])
        x = framewise(self.frames, x, lengths)
        for block in self.blocks:
            x = block(x, lengths)
        return temporal_max(x, lengths)
