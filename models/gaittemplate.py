"""A template network: a walk as one picture of three channels, then a small residual network.

After GEINet, Shiraga et al., "GEINet: View-Invariant Gait Recognition Using a Convolutional Neural Network", ICB 2016,
which reads the gait energy image. Besides the mean over the frames, this network reads the spread of each pixel and
the middle between its extremes. It ends in GaitBase's head of horizontal parts instead of one fully connected layer.
A walk costs as much as one picture, however many frames it has. The three channels can be computed before the network
is called, see :meth:`GaitTemplate.condense`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.layers import (
    BNNeck,
    PartLinear,
    channels_last,
    he_init,
    horizontal_pool,
    strips_of,
    templates_of,
)
from gaitkeeper.models.resnet import BasicBlock

CHANNELS = 3


@dataclass(frozen=True)
class GaitTemplateConfig:
    """Defaults: a network that one CPU core trains in an hour.

    Attributes:
        channels: channels of the stem, a 5×5 convolution of stride 2, and of the four residual blocks after it.
        strides: strides of the blocks.
        parts: P, horizontal strips; must divide the rows of the last maps, 16 with the default strides.
        embed_dim: C, numbers of each part of an embedding.
        num_classes: people in training; None leaves the classifier out.
    """

    channels: tuple[int, ...] = (24, 24, 48, 64, 96)
    strides: tuple[int, ...] = (1, 2, 1, 1)
    parts: int = 16
    embed_dim: int = 128
    num_classes: int | None = None


class GaitTemplate(GaitNetwork):
    """Silhouettes (N, T, 1, 64, 44) in [0, 1], or templates (N, 1, 3, 64, 44) -> embeddings (N, 16, 128)."""

    name: ClassVar[str] = "gaittemplate"
    inputs: ClassVar[tuple[str, ...]] = ("silhouettes",)
    Config: ClassVar[type[GaitTemplateConfig]] = GaitTemplateConfig
    config: GaitTemplateConfig

    def __init__(self, config: GaitTemplateConfig | None = None) -> None:
        super().__init__(config or GaitTemplateConfig())
        c = self.config
        self.stem = nn.Conv2d(CHANNELS, c.channels[0], 5, 2, 2, bias=False)
        self.norm = nn.BatchNorm2d(c.channels[0])
        widths = pairwise(c.channels)
        if len(c.strides) != len(c.channels) - 1:
            raise ValueError(f"{len(c.channels)} channels need {len(c.channels) - 1} strides, not {len(c.strides)}")
        self.blocks = nn.Sequential(*(BasicBlock(*pair, s) for pair, s in zip(widths, c.strides, strict=True)))
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

    def condense(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The pooled picture of a walk, (N, T, 1, 64, 44) -> (N, 1, 3, 64, 44): see the base class."""
        (silhouettes,) = tensors
        return templates_of(silhouettes.float(), lengths)

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, P, C), float32; pictures of three channels are templates already."""
        (silhouettes,) = tensors
        if silhouettes.shape[2] != CHANNELS:
            silhouettes = templates_of(silhouettes.float(), lengths)
        maps = self.blocks(F.relu(self.norm(self.stem(silhouettes[:, 0]))))
        out: Tensor = self.fc(horizontal_pool(maps, [self.config.parts]))
        return out.float()
