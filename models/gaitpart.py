"""GaitPart: part-based features of frames, short-range motion of each part.

Fan et al., "GaitPart: Temporal Part-based Model for Gait Recognition", CVPR 2020. Where the paper is silent:

- embed_dim: the paper counts 1.47 M parameters (section 4.2, footnote 3), which 256 gives (1,466,144) and 128 does not
  (1,204,000); published checkpoints use 128.
- OU-MVLP: section 4.1 gives p as "1, 1, 3, 3". Three strips do not divide 16 rows; they are read as halvings, 8 strips.
  The block added for OU-MVLP is not followed by a pooling, as the last block of table 1 is not.
- The paper trains with the triplet loss alone, for 120 thousand steps. ``num_classes`` adds a BNNeck like GaitBase's,
  whose cross-entropy keeps short trainings from collapsing; it is not part of the embedding.
- MTB2 convolves with kernels 3 and 3, MTB1 with 3 and 1 (table 2); the average pools count their padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.layers import (
    LEAK,
    BNNeck,
    FocalBlock,
    PartLinear,
    channels_last,
    fill_padding,
    framewise,
    he_init,
    horizontal_pool,
    strips_of,
    temporal_max,
    temporal_mean,
)


@dataclass(frozen=True)
class GaitPartConfig:
    """Defaults: the network of table 1 and 2, for CASIA-B.

    Attributes:
        channels: channels of each block of two focal convolutions; the first blocks end in a max pool.
        stem_stride: stride of the first convolution; 2 (not in the paper) makes a small network with a quarter of the
            work.
        pools: how many blocks end in a max pool; with a stem stride of 2, one keeps 16 rows.
        strips: strips, p, of each block's focal convolutions; must divide the block's rows (64, 32, 16, 16).
        parts: P, horizontal strips with a micro-motion capture module each.
        squeeze: ratio of the attention's bottleneck.
        windows: windows of the micro-motion template builders, in frames, odd.
        temporal_pooling: pooling over the whole sequence; the mean is table 6's ablation.
        embed_dim: C, numbers of each part of an embedding.
        num_classes: people in training; None, as in the paper, leaves the classifier out.
    """

    channels: tuple[int, ...] = (32, 64, 128)
    stem_stride: int = 1
    pools: int = 2
    strips: tuple[int, ...] = (1, 4, 8)
    parts: int = 16
    squeeze: int = 4
    windows: tuple[int, ...] = (3, 5)
    temporal_pooling: Literal["max", "mean"] = "max"
    embed_dim: int = 256
    num_classes: int | None = None


def gaitpart_oumvlp(**config: Any) -> GaitPart:
    """The deeper network for OU-MVLP (section 4.1)."""
    return GaitPart(GaitPartConfig(**{"channels": (32, 64, 128, 256), "strips": (1, 1, 8, 8), **config}))


class MicroMotion(nn.Module):
    """One micro-motion template builder for each part, as grouped convolutions (section 3.3, table 2)."""

    def __init__(self, parts: int, channels: int, squeeze: int, window: int) -> None:
        super().__init__()
        wide, narrow = parts * channels, parts * (channels // squeeze)
        self.window = window
        self.conv1 = nn.Conv1d(wide, narrow, 3, padding=1, groups=parts, bias=False)
        self.conv2 = nn.Conv1d(narrow, wide, window - 2, padding=(window - 3) // 2, groups=parts, bias=False)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Re-weighted templates, (N, P·C, T) -> (N, P·C, T); values in the padding are not zero."""
        # Beyond its end a sequence sees what it would see alone: zeros, and nothing for the max.
        zeros = _fill(x, lengths, 0.0)
        hidden = _fill(F.leaky_relu(self.conv1(zeros), LEAK), lengths, 0.0)
        reach, lowest = self.window // 2, torch.finfo(x.dtype).min
        # In two dimensions, because torch cannot export the one-dimensional pool.
        highest = F.max_pool2d(_fill(x, lengths, lowest)[:, :, None], (1, self.window), 1, (0, reach))[:, :, 0]
        template = F.avg_pool1d(zeros, self.window, 1, reach) + highest
        gate: Tensor = torch.sigmoid(self.conv2(hidden))
        return template * gate


def _fill(x: Tensor, lengths: Tensor | None, value: float) -> Tensor:
    return fill_padding(x.transpose(1, 2), lengths, value).transpose(1, 2)


class GaitPart(GaitNetwork):
    """Silhouettes (N, T, 1, 64, 44) in [0, 1] -> embeddings (N, 16, 256)."""

    name: ClassVar[str] = "gaitpart"
    inputs: ClassVar[tuple[str, ...]] = ("silhouettes",)
    Config: ClassVar[type[GaitPartConfig]] = GaitPartConfig
    config: GaitPartConfig

    def __init__(self, config: GaitPartConfig | None = None) -> None:
        super().__init__(config or GaitPartConfig())
        c = self.config
        self.blocks = nn.Sequential(
            *(
                FocalBlock(
                    c_in,
                    c_out,
                    kernel=3 if i else 5,
                    strips=c.strips[i],
                    stride=1 if i else c.stem_stride,
                    pool=i < c.pools,
                )
                for i, (c_in, c_out) in enumerate(pairwise((1, *c.channels)))
            )
        )
        self.mtbs = nn.ModuleList(MicroMotion(c.parts, c.channels[-1], c.squeeze, window) for window in c.windows)
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
        parts = framewise(self._frame_parts, silhouettes, lengths, apart=True)  # (N, T, P, C), the paper's PR-matrix
        x = parts.flatten(2).transpose(1, 2)
        motion = torch.stack([mtb(x, lengths) for mtb in self.mtbs]).sum(dim=0).transpose(1, 2)
        pool = temporal_max if self.config.temporal_pooling == "max" else temporal_mean
        out: Tensor = self.fc(pool(motion, lengths).view(x.shape[0], self.config.parts, -1))
        return out.float()

    def _frame_parts(self, frames: Tensor) -> Tensor:
        """(B, 1, 64, 44) -> (B, P, C)."""
        return horizontal_pool(self.blocks(frames), [self.config.parts])
