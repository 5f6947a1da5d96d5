"""The residual blocks of GaitBase, GaitHeat, DeepGaitV2 and SkeletonGait++, and the network of the first two.

A block of single frames takes (B, C, H, W). Blocks that convolve in time take (N, T, C, H, W) and the lengths of the
sequences; the padding of their input is zeros, and so is that of their output. Batch norms never see padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from gaitkeeper.models.layers import clear_padding, conv3d, fill_padding, frame_mask, framewise


class Stem(nn.Module):
    """A 3×3 convolution with batch norm and ReLU: (B, C_in, H, W) -> (B, C_out, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H/stride, W/stride)."""
        return F.relu(self.bn1(self.conv1(x)))


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """What a residual block adds to its result: its input, or a 1×1 convolution of it if the shapes differ."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    """He et al. 2016, figure 5 left, with batch norms: (B, C_in, H, W) -> (B, C_out, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H/stride, W/stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class PseudoBlock(BasicBlock):
    """A basic block with a convolution over three frames, added to its first result, as in DeepGaitV2's "P3D".

    (N, T, C_in, H, W) -> (N, T, C_out, H/stride, W/stride).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, stride)
        self.temporal = nn.Conv3d(out_channels, out_channels, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.temporal_bn = nn.BatchNorm3d(out_channels)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(N, T, C_in, H, W) -> (N, T, C_out, H/stride, W/stride)."""
        y = framewise(lambda frames: F.relu(self.bn1(self.conv1(frames))), x, lengths)
        motion = norm_in_time(self.temporal_bn, conv3d(self.temporal, y.transpose(1, 2)), lengths)
        y = F.relu(y + motion.transpose(1, 2))
        y = framewise(lambda frames: self.bn2(self.conv2(frames)), y, lengths)
        return F.relu(y + framewise(self.downsample, x, lengths))


class SpaceTimeBlock(nn.Module):
    """A basic block of 3×3×3 convolutions: (N, T, C_in, H, W) -> (N, T, C_out, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, (1, stride, stride), 1, bias=False)
        self.bn1 = nn.BatchNorm3d(out_channels)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(out_channels)
        self.downsample = shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(N, T, C_in, H, W) -> (N, T, C_out, H/stride, W/stride)."""
        y = F.relu(norm_in_time(self.bn1, conv3d(self.conv1, x.transpose(1, 2)), lengths))
        y = norm_in_time(self.bn2, conv3d(self.conv2, clear_padding(y, lengths)), lengths).transpose(1, 2)
        return fill_padding(F.relu(y + framewise(self.downsample, x, lengths)), lengths, 0.0)


def norm_in_time(norm: nn.Module, x: Tensor, lengths: Tensor | None) -> Tensor:
    """A batch norm of (N, C, T, H, W) whose statistics, in training, are those of the true frames alone."""
    if lengths is None or not norm.training:
        out: Tensor = norm(x)
        return out
    mask = frame_mask(lengths, x.shape[2])
    rows = x.movedim(1, -1)  # (N, T, H, W, C)
    normed = norm(rows[mask].movedim(-1, 0)[None])[0].movedim(0, -1)
    padded: Tensor = normed.new_zeros(rows.shape)
    padded[mask] = normed
    return padded.movedim(-1, 1)


BLOCKS = {"2d": BasicBlock, "p3d": PseudoBlock, "3d": SpaceTimeBlock}


def stage(
    mode: Literal["2d", "3d", "p3d"], in_channels: int, out_channels: int, stride: int, blocks: int
) -> list[nn.Module]:
    """The residual blocks of a stage, at least one; the first has the stride."""
    if blocks < 1:
        raise ValueError(f"a stage has at least one block, not {blocks}")
    kind = BLOCKS[mode]
    first = kind(in_channels, out_channels, stride)
    return [first, *(kind(out_channels, out_channels, 1) for _ in range(blocks - 1))]


def later_stages(
    mode: Literal["2d", "3d", "p3d"], channels: tuple[int, int, int, int], blocks: tuple[int, int, int, int]
) -> nn.ModuleList:
    """The blocks of the last three of four stages; the first two halve height and width."""
    steps = zip(pairwise(channels), (2, 2, 1), blocks[1:], strict=True)
    return nn.ModuleList(block for widths, stride, count in steps for block in stage(mode, *widths, stride, count))


def calm_init(module: nn.Module) -> None:
    """Let what each residual block adds begin at a quarter of its scale.

    Before training, batch norms divide by 1, so each block of a deep stack would double the variance.
    """
    for block in module.modules():
        if isinstance(block, (BasicBlock, SpaceTimeBlock)):
            nn.init.constant_(block.bn2.weight, 0.25)
        if isinstance(block, PseudoBlock):
            nn.init.constant_(block.temporal_bn.weight, 0.25)


class ResNet9(Stem):
    """A stem, then one basic block per stage: (B, C_in, H, W) -> (B, channels[-1], H/4, W/4).

    Fan et al., "OpenGait: Revisiting Gait Recognition Toward Better Practicality", CVPR 2023, table 5.
    """

    def __init__(self, in_channels: int, channels: Sequence[int], strides: Sequence[int], stem_stride: int = 1) -> None:
        super().__init__(in_channels, channels[0], stem_stride)
        widths = pairwise((channels[0], *channels))
        self.stages = nn.Sequential(*(BasicBlock(*pair, s) for pair, s in zip(widths, strides, strict=True)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, channels[-1], H/4, W/4) with the default strides."""
        out: Tensor = self.stages(super().forward(x))
        return out
