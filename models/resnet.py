"""The residual network of GaitBase and GaitHeat: no pooling in the stem, four stages of one block."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """He et al. 2016, figure 5 left, with batch norms: (B, C_in, H, W) -> (B, C_out, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H/stride, W/stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet9(nn.Module):
    """A 3×3 convolution, then one basic block per stage: (B, C_in, H, W) -> (B, channels[-1], H/4, W/4).

    Fan et al., "OpenGait: Revisiting Gait Recognition Toward Better Practicality", CVPR 2023, table 5.
    """

    def __init__(self, in_channels: int, channels: Sequence[int], strides: Sequence[int], stem_stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels[0], 3, stem_stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        widths = pairwise((channels[0], *channels))
        self.stages = nn.Sequential(*(BasicBlock(*pair, s) for pair, s in zip(widths, strides, strict=True)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, channels[-1], H/4, W/4) with the default strides."""
        out: Tensor = self.stages(F.relu(self.bn1(self.conv1(x))))
        return out
