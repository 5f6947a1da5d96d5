"""SkeletonGait++: silhouettes and skeleton maps, fused by attention, then the pseudo-3D stages of DeepGaitV2.

Fan et al., "SkeletonGait: Gait Recognition Using Skeleton Maps", AAAI 2024. A skeleton map draws the limbs and the
joints of a frame as soft lines and dots, and is cut and scaled as silhouettes are. It is drawn here from the joints, as
the published scripts draw it, up to their rounding to bytes and their filling in of missing joints. The embedding is
the output before the BNNeck, as with published checkpoints; the BNNeck belongs to the classifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

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
    strips_of,
    temporal_max,
)
from gaitkeeper.models.resnet import Stem, calm_init, later_stages, stage

LIMBS = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (5, 7), (7, 9), (0, 6), (6, 8), (8, 10)),
    *((5, 11), (11, 13), (13, 15), (6, 12), (12, 14), (14, 16), (11, 12)),
)
"""Pairs of COCO-17 joints."""

SIDE = 128  # of the picture on which the published scripts draw, in pixels; the middle of the hips is in its middle
BODY = 85.0  # rows from the highest to the lowest joint
SIGMA = 8.0
REACH = 3 * SIGMA
ROWS, COLUMNS, CUT = 64, 44, 10  # of a map, and the columns cut off on each side


@dataclass(frozen=True)
class SkeletonGaitPPConfig:
    """Defaults: the network for SUSTech1K and CCPG.

    Attributes:
        blocks: residual blocks of the four stages; (1, 4, 4, 1) for Gait3D and GREW.
        channels: channels of the four stages.
        stem_stride: stride of the first convolutions; 2 (not in the paper) makes a small network with a quarter of the
            work.
        parts: P, horizontal strips.
        embed_dim: C, numbers of each part of an embedding.
        num_classes: people in training; None leaves the classifier out.
    """

    blocks: tuple[int, int, int, int] = (1, 1, 1, 1)
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    stem_stride: int = 1
    parts: int = 16
    embed_dim: int = 256
    num_classes: int | None = None


def skeletongaitpp_outdoor(**config: Any) -> SkeletonGaitPP:
    """For Gait3D and GREW, as in published configurations: four blocks in the second and in the third stage."""
    return SkeletonGaitPP(SkeletonGaitPPConfig(**{"blocks": (1, 4, 4, 1), **config}))


class AttentionFusion(nn.Module):
    """Weighs two feature maps against each other, by channel and place: (B, C, H, W) twice -> (B, C, H, W)."""

    def __init__(self, channels: int, squeeze: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // squeeze)
        self.score = nn.Sequential(
            nn.Conv2d(2 * channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, 2 * channels, 1, bias=False),
        )

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """(B, C, H, W) twice -> (B, C, H, W)."""
        first, second = self.score(torch.cat([one, other], dim=1)).chunk(2, dim=1)
        share = torch.sigmoid(first - second)  # the softmax of two
        return share * one + (1 - share) * other


class SkeletonGaitPP(GaitNetwork):
    """Silhouettes (N, T, 1, 64, 44) in [0, 1] and joints (N, T, 17, 3) -> embeddings (N, 16, 256)."""

    name: ClassVar[str] = "skeletongaitpp"
    inputs: ClassVar[tuple[str, ...]] = ("silhouettes", "joints")
    Config: ClassVar[type[SkeletonGaitPPConfig]] = SkeletonGaitPPConfig
    config: SkeletonGaitPPConfig

    def __init__(self, config: SkeletonGaitPPConfig | None = None) -> None:
        super().__init__(config or SkeletonGaitPPConfig())
        c = self.config
        first = c.channels[0]
        self.outline = nn.Sequential(Stem(1, first, c.stem_stride), *stage("2d", first, first, 1, c.blocks[0]))
        self.skeleton = nn.Sequential(Stem(2, first, c.stem_stride), *stage("2d", first, first, 1, c.blocks[0]))
        self.fusion = AttentionFusion(first)
        self.blocks = later_stages("p3d", c.channels, c.blocks)
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
        silhouettes, joints = tensors
        if lengths is not None and not (torch.is_grad_enabled() or torch.compiler.is_exporting()):
            # One sequence at a time avoids computing the padding.
            rows = zip(silhouettes, joints, lengths.tolist(), strict=True)
            return torch.cat([self(s[None, :end], j[None, :end]) for s, j, end in rows])
        with torch.no_grad():
            maps = framewise(skeleton_maps, joints, lengths, apart=True)
        x = framewise(self._fused, torch.cat([silhouettes, maps.to(silhouettes.dtype)], dim=2), lengths)
        for block in self.blocks:
            x = block(x, lengths)
        out: Tensor = self.fc(horizontal_pool(temporal_max(x, lengths), [self.config.parts]))
        return out.float()

    def _fused(self, frames: Tensor) -> Tensor:
        """(B, 3, 64, 44), silhouette and maps of limbs and joints -> (B, channels[0], 64, 44)."""
        fused: Tensor = self.fusion(self.outline(frames[:, :1]), self.skeleton(frames[:, 1:]))
        return fused


def skeleton_maps(joints: Tensor) -> Tensor:
    """Draw the skeletons of frames.

    Args:
        joints: (B, 17, 3), COCO-17 x and y from the middle of the hips, y down, in any unit, and score in [0, 1].

    Returns:
        (B, 2, 64, 44), limbs and joints: Gaussians of each, at most one another's maximum, times the score (of a limb:
        the lower one of its ends).
    """
    joints = joints.float()
    score = joints[..., 2]
    y = joints[..., 1]
    height = (y.amax(dim=1) - y.amin(dim=1)).clamp(min=1e-6)
    points = joints[..., :2] * (BODY / height)[:, None, None] + SIDE // 2
    rows, columns = _pixels(points[..., 1], score)
    x_off, y_off = columns[:, None] - points[..., :1], rows[:, None] - points[..., 1:]
    dots = score[:, :, None, None] * _bell(y_off)[..., None] * _bell(x_off)[:, :, None]
    start, end = (points[:, [limb[i] for limb in LIMBS]] for i in (0, 1))
    lines = torch.minimum(*(score[:, [limb[i] for limb in LIMBS]] for i in (0, 1)))[:, :, None, None]
    lines = lines * torch.exp(-_to_segments(rows, columns, start, end) / (2 * SIGMA**2))
    for places, axis in ((columns[:, None, None, :], 0), (rows[:, None, :, None], 1)):
        ends = torch.stack([start[..., axis], end[..., axis]])
        low, high = ends.amin(dim=0) - REACH, ends.amax(dim=0) + REACH
        lines = lines * ((places >= low[..., None, None]) & (places <= high[..., None, None]))
    return torch.stack([lines.amax(dim=1), dots.amax(dim=1)], dim=1)


def _pixels(y: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Where the rows (B, 64) and columns (B, 44) of a map lie on the drawing.

    The drawing is cut to the rows that are not black, and to as many columns around its middle.
    """
    # A joint of score s is black where 256 · s · exp(−d² / 2σ²) is below 1, or beyond its reach.
    reach = (2 * SIGMA**2 * (256 * score).clamp(min=1.0).log()).sqrt().clamp(max=REACH)
    seen = score * 256 >= 1
    top = torch.where(seen, y - reach, SIDE).amin(dim=1).trunc().clamp(0, SIDE - 2)
    bottom = torch.where(seen, y + reach, 0).amax(dim=1).trunc().clamp(max=SIDE - 1)
    height = (bottom - top + 1).clamp(min=2)
    left = SIDE // 2 - (height / 2).floor()
    width = torch.minimum(2 * (height / 2).floor() + 1, SIDE - left)
    place = torch.arange(ROWS, device=y.device) + 0.5
    rows = top[:, None] + place * height[:, None] / ROWS - 0.5
    columns = left[:, None] + place[CUT : CUT + COLUMNS] * width[:, None] / ROWS - 0.5
    return rows, columns


def _bell(offset: Tensor) -> Tensor:
    return torch.exp(-offset.square() / (2 * SIGMA**2)) * (offset.abs() <= REACH)


def _to_segments(rows: Tensor, columns: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Squared distances (B, L, 64, 44) of every pixel to the segments from ``start`` to ``end`` (B, L, 2)."""
    x = columns[:, None, None, :] - start[..., 0, None, None]
    y = rows[:, None, :, None] - start[..., 1, None, None]
    along_x, along_y = ((end - start)[..., i, None, None] for i in (0, 1))
    length = (along_x.square() + along_y.square()).clamp(min=1.0)
    share = ((x * along_x + y * along_y) / length).clamp(0, 1)
    return (x - share * along_x).square() + (y - share * along_y).square()
