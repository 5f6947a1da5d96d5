"""GaitGL: global and local 3D convolutions.

Lin et al., "Gait Recognition via Effective Global-Local Feature Representation and Local Temporal Aggregation", ICCV
2021. The embedding is the output of the batch norm after the fully connected layers, as with published checkpoints.
The temporal aggregation needs three frames: a sequence of one frame is repeated three times, one of two frames twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.layers import (
    LEAK,
    GlobalLocalConv,
    PartLinear,
    channels_last,
    clear_padding,
    conv3d,
    generalised_mean,
    he_init,
    strips_of,
    temporal_max,
)

PARTS = 64


@dataclass(frozen=True)
class GaitGLConfig:
    """Defaults: the network for CASIA-B.

    Attributes:
        channels: channels of the first convolutions and of the three stages of global-local convolutions; the last is
            C, numbers of each part of an embedding, too.
        depth: convolutions of the first and of each stage.
        strips: horizontal strips of the local convolutions.
        gem: starting value of the generalised mean's exponent, which is learnt.
        num_classes: people in training; None leaves the classifier out.
    """

    channels: tuple[int, int, int, int] = (32, 64, 128, 128)
    depth: int = 1
    strips: int = 8
    gem: float = 6.5
    num_classes: int | None = None


def gaitgl_oumvlp(**config: Any) -> GaitGL:
    """For OU-MVLP and GREW, as in published code: two convolutions instead of one, wider at the end, two strips."""
    return GaitGL(GaitGLConfig(**{"channels": (32, 64, 128, 256), "depth": 2, "strips": 2, **config}))


class GaitGL(GaitNetwork):
    """Silhouettes (N, T, 1, 64, 44) in [0, 1] -> embeddings (N, 64, 128)."""

    name: ClassVar[str] = "gaitgl"
    inputs: ClassVar[tuple[str, ...]] = ("silhouettes",)
    Config: ClassVar[type[GaitGLConfig]] = GaitGLConfig
    config: GaitGLConfig

    def __init__(self, config: GaitGLConfig | None = None) -> None:
        super().__init__(config or GaitGLConfig())
        depth = self.config.depth
        c0, c1, c2, c3 = self.config.channels
        stem = [1] + depth * [c0]
        widths = [c0] + depth * [c1] + depth * [c2] + depth * [c3]
        self.stem = nn.ModuleList(nn.Conv3d(a, b, 3, padding=1, bias=False) for a, b in pairwise(stem))
        self.aggregate = nn.Conv3d(c0, c0, (3, 1, 1), stride=(3, 1, 1), bias=False)
        self.blocks = nn.ModuleList(
            GlobalLocalConv(a, b, self.config.strips, stack=i == 3 * depth - 1)
            for i, (a, b) in enumerate(pairwise(widths))
        )
        self.gem = nn.Parameter(torch.tensor([self.config.gem]))
        self.fc = PartLinear(PARTS, c3, c3)
        self.norm = nn.BatchNorm1d(c3)
        self.classifier = None
        if self.config.num_classes is not None:
            self.classifier = PartLinear(PARTS, c3, self.config.num_classes)
        self.out_shape = (PARTS, c3)
        he_init(self)
        channels_last(self)

    @property
    def strips(self) -> tuple[tuple[float, float] | None, ...]:
        """Top and bottom of each part; see the base."""
        return strips_of([PARTS // 2] * 2)

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, P, C), float32."""
        (silhouettes,) = tensors
        if not (torch.is_grad_enabled() or torch.compiler.is_exporting()):
            # One sequence at a time avoids computing the padding, and its features fit into a processor's cache.
            if lengths is not None:
                return torch.cat([self(x[None, :end]) for x, end in zip(silhouettes, lengths.tolist(), strict=True)])
            if len(silhouettes) > 1 and silhouettes.device.type == "cpu":
                return torch.cat([self(x[None]) for x in silhouettes])
        silhouettes, lengths = at_least_three(silhouettes, lengths)
        x = silhouettes.transpose(1, 2)  # (N, C, T, H, W)
        for conv in self.stem:
            x = F.leaky_relu(conv3d(cast(nn.Conv3d, conv), clear_padding(x, lengths)), LEAK)
        x = F.leaky_relu(conv3d(self.aggregate, x), LEAK)
        lengths = None if lengths is None else lengths // 3
        for i, block in enumerate(self.blocks, start=1):
            x = block(clear_padding(x, lengths))
            if i == self.config.depth:
                x = F.max_pool3d(x, (1, 2, 2))
        rows = temporal_max(x.transpose(1, 2), lengths)  # (N, C, 64, 22): the last block stacks 32 rows on 32
        means = generalised_mean(rows, self.gem, dim=3).transpose(1, 2)  # (N, 64, C)
        out: Tensor = self.norm(self.fc(means).transpose(1, 2)).transpose(1, 2)
        return out.float()


def at_least_three(x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """(N, T, ...) with sequences of one frame repeated three times, of two frames twice, others unchanged."""
    if lengths is None:
        repeats = {1: 3, 2: 2}.get(x.shape[1], 1)
        return x.repeat(1, repeats, 1, 1, 1), None
    if torch.compiler.is_exporting() or x.shape[1] < 4:
        x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, 3))
    steps = torch.arange(x.shape[1], device=x.device)
    frames = torch.where(lengths[:, None] < 3, steps % lengths[:, None], steps)
    rows = torch.arange(x.shape[0], device=x.device)
    return x[rows[:, None], frames], torch.where(lengths < 3, lengths + 2, lengths)
