"""GaitBase: a plain residual network that holds up outdoors.

Fan et al., "OpenGait: Revisiting Gait Recognition Toward Better Practicality", CVPR 2023, section 4 and table 5. The
embedding is the output before the BNNeck, as with published checkpoints; the BNNeck belongs to the classifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.layers import (
    BNNeck,
    PartLinear,
    channels_last,
    he_init,
    horizontal_pool,
    set_pool,
    strips_of,
)
from gaitkeeper.models.resnet import ResNet9


@dataclass(frozen=True)
class GaitBaseConfig:
    """Defaults: the network for every data set of the paper.

    Attributes:
        channels: channels of the four stages.
        strides: strides of the four stages.
        stem_stride: stride of the first convolution; 2 (not in the paper) makes a small network with a quarter of the
            work.
        parts: P, horizontal strips.
        embed_dim: C, numbers of each part of an embedding.
        num_classes: people in training; None leaves the classifier out.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512)
    strides: tuple[int, ...] = (1, 2, 2, 1)
    stem_stride: int = 1
    parts: int = 16
    embed_dim: int = 256
    num_classes: int | None = None


class GaitBase(GaitNetwork):
    """Silhouettes (N, T, 1, 64, 44) in [0, 1] -> embeddings (N, 16, 256)."""

    name: ClassVar[str] = "gaitbase"
    inputs: ClassVar[tuple[str, ...]] = ("silhouettes",)
    Config: ClassVar[type[GaitBaseConfig]] = GaitBaseConfig
    config: GaitBaseConfig

    def __init__(self, config: GaitBaseConfig | None = None) -> None:
        super().__init__(config or GaitBaseConfig())
        c = self.config
        self.backbone = ResNet9(1, c.channels, c.strides, c.stem_stride)
        self.fc = PartLinear(c.parts, c.channels[-1], c.embed_dim)
        self.classifier = None
        if c.num_classes is not None:
            self.classifier = BNNeck(c.parts, c.embed_dim, c.num_classes)
        self.out_shape = (c.parts, c.embed_dim)
        he_init(self)
        channels_last(self)

    @property
    def strips(self) -> tuple[tuple[float, float] | None, ...]:
        """Top and bottom of each part; see the base."""
        return strips_of([self.config.parts])

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, P, C), float32."""
        (silhouettes,) = tensors
        pooled = set_pool(self.backbone, silhouettes, lengths)
        out: Tensor = self.fc(horizontal_pool(pooled, [self.config.parts]))
        return out.float()
