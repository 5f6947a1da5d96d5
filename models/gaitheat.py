"""GaitHeat: gait from the heatmaps of a pose network.

Fu et al., "Cut out the Middleman: Revisiting Pose-based Gait Recognition", ECCV 2024. Heatmaps are aligned by the
spine; their maximum over all joints (global) and over each of K groups of joints (local) pass through one residual
network, and a third branch fuses what the stages give. Before the network, the paper crops the box grown by 1.25 with
its aspect kept and leaves out frames of a mean joint score below 0.4. Where the paper is silent:

- The groups are in a supplement that was not available. K = 2, as in the public code: head, trunk and arms; legs. For
  K = 5 each arm and each leg goes alone, with K = 1 the local branch sees what the global one does.
- COCO has neither neck nor hip: they are the middles of the shoulders and of the hips. The neck is put at (24, 16) of
  48 × 64, as in the public code. The lean θ is counted from the upright, so that the arctangent of eq. 1 is
  atan2(neck_x − hip_x, hip_y − neck_y). Equations 2 to 4, a turn about the middle of the spine and then a shift, come
  to one step: what is at neck + R(θ)·(q − (24, 16)) goes to q. Values from outside the picture are zero.
- Each frame has its own lean θ, and a frame that leans by γ or less is left unchanged. A spine with a joint whose peak
  is below 0.1 is not used. The public code skips alignment at random in test, too; here it does not.
- Global and local pictures go through the shared network as one batch, so its batch norms see them together. The first
  stage's fusion is the maximum alone (eq. 8 has nothing before it), so the fusion branch has blocks for stages 2 to 4.
- From the public code: 16 strips, and a test embedding that is the fusion branch's BNNeck output with every part
  L2-normalised. The triplet loss takes the features before the BNNeck, the classifier, of cosines, those after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gaitkeeper.models.base import GaitNetwork, TrainingOutputs
from gaitkeeper.models.layers import (
    CosineClassifier,
    PartLinear,
    channels_last,
    framewise,
    he_init,
    horizontal_pool,
    set_pool,
    strips_of,
    temporal_max,
)
from gaitkeeper.models.resnet import BasicBlock, ResNet9

GROUPS: dict[int, tuple[tuple[int, ...], ...]] = {
    1: (tuple(range(17)),),
    2: (tuple(range(11)), tuple(range(11, 17))),
    5: (tuple(range(5)), (5, 7, 9), (6, 8, 10), (11, 13, 15), (12, 14, 16)),
}
"""COCO joints of the local branch's groups, by their number: whole; upper, lower; head, arms, legs."""

SPINE = (5, 6, 11, 12)  # left and right shoulder, left and right hip
NECK_AT = (24.0, 16.0)  # x, y in pixels of the aligned heatmap
BRANCHES = ("main", "whole", "local")  # the paper's fusion, global and local


@dataclass(frozen=True)
class GaitHeatConfig:
    """Defaults: the network for CASIA-B and SUSTech1K (section 4.1).

    Attributes:
        channels: channels of the four stages.
        strides: strides of the four stages.
        stem_stride: stride of the first convolution; 2 (not in the paper) makes a small network with a quarter of the
            work.
        groups: K, groups of joints in the local branch: 1, 2 (upper, lower) or 5 (head, arms, legs).
        gamma: lean in degrees above which a frame is aligned; None leaves the alignment out.
        align_chance: in training, the probability of aligning a frame that leans less.
        min_peak: peak of the shoulders and hips, below which a frame is never aligned.
        parts: P, horizontal strips.
        embed_dim: C, numbers of each part of an embedding.
        num_classes: people in training; None leaves the classifiers out.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512)
    strides: tuple[int, ...] = (1, 2, 2, 1)
    stem_stride: int = 1
    groups: int = 2
    gamma: float | None = 5.0
    align_chance: float = 0.2
    min_peak: float = 0.1
    parts: int = 16
    embed_dim: int = 256
    num_classes: int | None = None


def gaitheat_ccpg(**config: Any) -> GaitHeat:
    """For CCPG, whose cameras look down: frames are aligned from 20° on (section 4.1)."""
    return GaitHeat(GaitHeatConfig(**{"gamma": 20.0, **config}))


def gaitheat_s(**config: Any) -> GaitHeat:
    """Half as wide, with a quarter of the weights and of the work; not in the paper."""
    return GaitHeat(GaitHeatConfig(**{"channels": (32, 64, 128, 256), "embed_dim": 128, **config}))


class Head(nn.Module):
    """Horizontal pyramid mapping and BNNeck norm of one branch."""

    def __init__(self, parts: int, channels: int, embed_dim: int) -> None:
        super().__init__()
        self.parts = parts
        self.fc = PartLinear(parts, channels, embed_dim)
        self.norm = nn.BatchNorm1d(parts * embed_dim)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Set features (N, channels, H, W) -> features before and after the norm, (N, P, C) each."""
        before: Tensor = self.fc(horizontal_pool(pooled, [self.parts]))
        return before, self.norm(before.flatten(1)).view(before.shape)


class GaitHeat(GaitNetwork):
    """Heatmaps (N, T, 17, 64, 48) in [0, 1] -> embeddings (N, 16, 256), every part of length 1."""

    name: ClassVar[str] = "gaitheat"
    inputs: ClassVar[tuple[str, ...]] = ("heatmaps",)
    Config: ClassVar[type[GaitHeatConfig]] = GaitHeatConfig
    config: GaitHeatConfig
    unit_length: ClassVar[bool] = True

    def __init__(self, config: GaitHeatConfig | None = None) -> None:
        super().__init__(config or GaitHeatConfig())
        c = self.config
        self.backbone = ResNet9(1, c.channels, c.strides, c.stem_stride)
        self.fusion = nn.ModuleList(
            BasicBlock(*widths, stride) for widths, stride in zip(pairwise(c.channels), c.strides[1:], strict=True)
        )
        self.heads = nn.ModuleDict({branch: Head(c.parts, c.channels[-1], c.embed_dim) for branch in BRANCHES})
        self.classifier: nn.ModuleDict | None = None
        if c.num_classes is not None:
            classifiers = {branch: CosineClassifier(c.parts, c.embed_dim, c.num_classes) for branch in BRANCHES}
            self.classifier = nn.ModuleDict(classifiers)
        self.out_shape = (c.parts, c.embed_dim)
        he_init(self)
        channels_last(self)

    @property
    def strips(self) -> tuple[tuple[float, float] | None, ...]:
        """Top and bottom of each part; see the base."""
        return strips_of([self.config.parts])

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, P, C) of the fusion branch, float32, every part of length 1."""
        (heatmaps,) = tensors
        fused = set_pool(lambda frames: self._branches(frames)[0], heatmaps, lengths)
        _, neck = self.heads["main"](fused)
        return F.normalize(neck.float(), dim=2)

    def training_outputs(self, *tensors: Tensor, lengths: Tensor | None = None) -> TrainingOutputs:
        """Features before the BNNeck of the branches "main" (fusion), "whole" (global) and "local", and cosines."""
        (heatmaps,) = tensors
        maps = framewise(lambda frames: torch.cat(self._branches(frames), dim=1), heatmaps, lengths)
        pooled = temporal_max(maps, lengths).chunk(3, dim=1)
        features = {branch: self.heads[branch](x) for branch, x in zip(BRANCHES, pooled, strict=True)}
        embeddings = {branch: before.float() for branch, (before, _) in features.items()}
        if self.classifier is None:
            return TrainingOutputs(embeddings)
        return TrainingOutputs(embeddings, {branch: self.classifier[branch](x) for branch, (_, x) in features.items()})

    def turned(self, turns: Tensor) -> dict[str, Tensor] | None:
        """As in the base class, for square matrices; the norm of the fusion's head is folded into its layer.

        Embeddings are normalised after the matrix, too. The other branches, used only in training, are unchanged.
        """
        if turns.shape[1:] != (self.config.embed_dim,) * 2:
            return None
        _, state = self.without_classifier()
        head = self.heads["main"]
        assert isinstance(head, Head)
        norm, shape = head.norm, turns.shape[:2]
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        bias = (norm.bias.double() - scale * norm.running_mean.double()).view(*shape)
        state["heads.main.fc.weight"] = (head.fc.weight.double() * scale.view(shape[0], 1, shape[1]) @ turns).float()
        state["heads.main.norm.bias"] = (bias[:, None] @ turns).flatten().float()
        state["heads.main.norm.weight"] = torch.ones_like(norm.weight)
        state["heads.main.norm.running_mean"] = torch.zeros_like(norm.running_mean)
        state["heads.main.norm.running_var"] = torch.full_like(norm.running_var, 1 - norm.eps)
        return {name: tensor.detach() for name, tensor in state.items()}

    def _branches(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 17, 64, 48) -> features (B, channels, 16, 12) of the fusion, global and local branch (eq. 5 to 8)."""
        frames = self._align(frames)
        groups = (GROUPS[1][0], *GROUPS[self.config.groups])
        x = torch.stack([frames[:, list(group)].amax(dim=1) for group in groups]).flatten(0, 1).unsqueeze(1)
        x = F.relu(self.backbone.bn1(self.backbone.conv1(x)))  # (1 + K)·B pictures, the global ones first
        fused: Tensor | None = None
        for i, stage in enumerate(self.backbone.stages):
            x = stage(x)
            strongest = x.view(len(groups), -1, *x.shape[1:]).amax(dim=0)  # MR, the maximum response
            fused = strongest if fused is None else strongest + self.fusion[i - 1](fused)
        assert fused is not None
        maps = x.view(len(groups), -1, *x.shape[1:])
        return fused, maps[0], maps[1:].amax(dim=0)

    def _align(self, frames: Tensor) -> Tensor:
        """Pose-guided heatmap alignment (section 3.2): (B, V, H, W) -> (B, V, H, W)."""
        if self.config.gamma is None:
            return frames
        neck, lean, seen = spine(frames)
        chosen = lean.abs() > math.radians(self.config.gamma)
        if self.training:
            chosen = chosen | (torch.rand_like(lean) < self.config.align_chance)
        chosen = chosen & (seen >= self.config.min_peak)
        if self.training:  # few frames lean: only those are turned; an exported network turns all
            aligned = frames.clone()
            aligned[chosen] = upright(frames[chosen], neck[chosen], lean[chosen])
            return aligned
        return torch.where(chosen[:, None, None, None], upright(frames, neck, lean), frames)


def spine(frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the spine is in heatmaps (B, V, H, W).

    Returns:
        The neck (B, 2), x and y in pixels; the lean (B,) in radians, 0 upright and positive to the right; and the
        lowest peak (B,) of the four joints used.
    """
    peaks, index = frames[:, list(SPINE)].flatten(2).max(dim=2)
    width = frames.shape[3]
    points = torch.stack([index % width, index // width], dim=2).float()  # (B, 4, 2)
    neck, hip = points[:, :2].mean(dim=1), points[:, 2:].mean(dim=1)
    x, y = (neck - hip).unbind(dim=1)
    return neck, torch.atan2(x, -y), peaks.amin(dim=1)


def upright(frames: Tensor, neck: Tensor, lean: Tensor) -> Tensor:
    """Turn heatmaps (B, V, H, W) back by ``lean`` (B,) and move ``neck`` (B, 2) to ``NECK_AT``, bilinearly."""
    height, width = frames.shape[2:]
    rows, columns = (torch.arange(side, device=frames.device) for side in (height, width))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    x, y = x - NECK_AT[0], y - NECK_AT[1]
    cos, sin = lean.cos()[:, None, None], lean.sin()[:, None, None]
    source_x = neck[:, 0, None, None] + cos * x - sin * y
    source_y = neck[:, 1, None, None] + sin * x + cos * y
    grid = torch.stack([2 * source_x / (width - 1) - 1, 2 * source_y / (height - 1) - 1], dim=3)
    # In float32 also where the rest runs in bfloat16, which would place pixels up to a quarter of one apart.
    return F.grid_sample(frames.float(), grid, align_corners=True).to(frames.dtype)
