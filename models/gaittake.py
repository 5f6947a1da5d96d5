"""GaitTAKE: global and local 3D convolutions, attention over time, and keypoints.

Hsu et al., "GaitTAKE: Gait Recognition by Temporal Attention and Keypoint-guided Embedding", ICIP 2022. Global-local
convolutions as in GaitGL, without its temporal aggregation; attention weighs the frames of each clip, the clips are
averaged; the keypoints have an attention of their own. Where the paper is silent:

- Widths are GaitGL's: a first convolution to 32, GLConvs to 64, 128 and 128 (OU-MVLP, two to 64, two to 128, one to
  256), a 1×2×2 max pool after the GLConvs to 64, 8 strips, leaky ReLU 0.01, no bias; C = 128.
- Clips have L = 15 frames, about one step at 25 to 30 Hz. S = ⌊T / L⌋ (section 3.1) would drop the rest of a sequence
  and leave nothing of one shorter than L. Here the rest is a clip of its own, with a softmax over its frames, and is
  weighted by its share of the frames, so that all frames have equal weight.
- The two convolutions of the attention (eq. 8) run along the clip with kernels of 3 and zero padding, to a quarter of
  the channels and then to one score a frame; the clip is zeros beyond the end of the sequence. They see the mean over
  the picture of each channel: flattened, as eq. 5 has it, a frame has 180 000 values. The weights are the same for all
  rows and channels, as 1 × L says.
- Flattening before the generalised mean, as the paper writes, would leave nothing to average. Each row of the picture
  (GLConvB stacks 32 on 32, so P = 64) is averaged over its width, exponent 6.5 at the start and learnt, as in GaitGL.
  The weighted keypoints (51 values, x, y and score of each joint; they may be negative, so no generalised mean) join
  every row's features, and each row has a fully connected layer of its own: these are the "C" layers of section 3.3.
- The paper trains with the triplet loss alone. ``num_classes`` adds a BNNeck like GaitBase's, whose cross-entropy keeps
  short trainings from collapsing; it is not part of the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.layers import (
    LEAK,
    BNNeck,
    GlobalLocalConv,
    PartLinear,
    channels_last,
    clear_padding,
    conv3d,
    fill_padding,
    frame_mask,
    generalised_mean,
    he_init,
)

KEYPOINTS = 17 * 3


@dataclass(frozen=True)
class GaitTAKEConfig:
    """Defaults: the network for CASIA-B (section 4.1).

    Attributes:
        stem: channels of the first convolution.
        stem_stride: stride of the first convolution, in space and not in time; 2 (not in the paper) makes a small
            network with a quarter of the work and 32 parts instead of 64.
        channels: channels of the n global-local convolutions; the last one stacks (GLConvB), the others add (GLConvA).
        pool_after: how many global-local convolutions come before the pooling.
        strips: horizontal strips, m, of the local convolutions.
        clip: L, frames of a clip.
        squeeze: ratio of the attention's bottleneck.
        gem: starting value of the generalised mean's exponent, which is learnt.
        embed_dim: C, numbers of each part of an embedding.
        num_classes: people in training; None, as in the paper, leaves the classifier out.
    """

    stem: int = 32
    stem_stride: int = 1
    channels: tuple[int, ...] = (64, 128, 128)
    pool_after: int = 1
    strips: int = 8
    clip: int = 15
    squeeze: int = 4
    gem: float = 6.5
    embed_dim: int = 128
    num_classes: int | None = None


def gaittake_oumvlp(**config: Any) -> GaitTAKE:
    """Five global-local convolutions, four GLConvA and one GLConvB, for OU-MVLP (section 4.1)."""
    deeper = {"channels": (64, 64, 128, 128, 256), "pool_after": 2, "embed_dim": 256}
    return GaitTAKE(GaitTAKEConfig(**{**deeper, **config}))


class TemporalAttention(nn.Module):
    """Weights of the frames (section 3.1, eq. 7 to 9): (N, T, D) -> (N, T), summing to 1 over the true frames.

    A softmax within each clip, times the clip's share of the sequence's frames.
    """

    def __init__(self, channels: int, squeeze: int, clip: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, channels // squeeze, 3, padding=1)
        self.conv2 = nn.Conv1d(channels // squeeze, 1, 3, padding=1, bias=False)  # a softmax follows
        self.clip = clip

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(N, T, D) -> (N, T), float32, zeros in the padding."""
        n, t, d = x.shape
        clips = (t + self.clip - 1) // self.clip
        rest = clips * self.clip - t
        if lengths is None:
            lengths = torch.full((n,), t, device=x.device)
        x = F.pad(fill_padding(x, lengths, 0.0), (0, 0, 0, rest)).reshape(n * clips, self.clip, d).transpose(1, 2)
        true = frame_mask(lengths, clips * self.clip).view(n * clips, self.clip)
        hidden = F.leaky_relu(self.conv1(x), LEAK) * true[:, None]
        scores = self.conv2(hidden).squeeze(1).float().masked_fill(~true, torch.finfo(torch.float32).min)
        share = true.sum(dim=1, keepdim=True).view(n, clips, 1) / lengths[:, None, None]
        weights: Tensor = scores.softmax(dim=1).view(n, clips, self.clip) * share
        return weights.view(n, -1)[:, :t]


class GaitTAKE(GaitNetwork):
    """Silhouettes (N, T, 1, 64, 44) and joints (N, T, 17, 3) -> embeddings (N, 64, 128)."""

    name: ClassVar[str] = "gaittake"
    inputs: ClassVar[tuple[str, ...]] = ("silhouettes", "joints")
    Config: ClassVar[type[GaitTAKEConfig]] = GaitTAKEConfig
    config: GaitTAKEConfig

    def __init__(self, config: GaitTAKEConfig | None = None) -> None:
        super().__init__(config or GaitTAKEConfig())
        c = self.config
        self.stem = nn.Conv3d(1, c.stem, 3, (1, c.stem_stride, c.stem_stride), padding=1, bias=False)
        self.blocks = nn.ModuleList(
            GlobalLocalConv(*widths, c.strips, stack=i == len(c.channels))
            for i, widths in enumerate(pairwise((c.stem, *c.channels)), start=1)
        )
        self.attention = TemporalAttention(c.channels[-1], c.squeeze, c.clip)
        self.keypoint_attention = TemporalAttention(KEYPOINTS, c.squeeze, c.clip)
        self.gem = nn.Parameter(torch.tensor([c.gem]))
        parts = 64 // c.stem_stride  # two stacked pictures of half as many rows
        self.fc = PartLinear(parts, c.channels[-1] + KEYPOINTS, c.embed_dim)
        self.out_shape = (parts, c.embed_dim)
        self.classifier = None
        if c.num_classes is not None:
            self.classifier = BNNeck(parts, c.embed_dim, c.num_classes)
        he_init(self)
        channels_last(self)

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, P, C), float32."""
        silhouettes, joints = tensors
        if not (torch.is_grad_enabled() or torch.compiler.is_exporting()) and len(silhouettes) > 1:
            # One sequence at a time avoids computing the padding, and its feature maps fit into the processor's cache.
            ends = [silhouettes.shape[1]] * len(silhouettes) if lengths is None else lengths.tolist()
            pairs = zip(silhouettes, joints, ends, strict=True)
            return torch.cat([self(s[None, :end], j[None, :end]) for s, j, end in pairs])
        rows = self._rows(silhouettes, lengths)
        keypoints = fill_padding(joints.flatten(2).float(), lengths, 0.0)
        pose = self.keypoint_attention(keypoints, lengths)[:, None] @ keypoints  # (N, 1, 51)
        out: Tensor = self.fc(torch.cat([rows, pose.expand(-1, self.out_shape[0], -1)], dim=2))
        return out.float()

    def _rows(self, silhouettes: Tensor, lengths: Tensor | None) -> Tensor:
        """Appearance, weighted over time and averaged over each row: (N, T, 1, 64, 44) -> (N, 64, channels)."""
        x = F.leaky_relu(conv3d(self.stem, clear_padding(silhouettes.transpose(1, 2), lengths)), LEAK)
        for i, block in enumerate(self.blocks, start=1):
            x = block(clear_padding(x, lengths))
            if i == self.config.pool_after:
                x = F.max_pool3d(x, (1, 2, 2))
        maps = x.movedim(1, -1)  # (N, T, 64, 22, C), as it lies in memory
        weights = self.attention(maps.mean(dim=(2, 3)), lengths)
        pooled = (weights[:, None].to(maps.dtype) @ maps.flatten(2)).view(maps.shape[0], *maps.shape[2:])
        return generalised_mean(pooled, self.gem, dim=2)  # eq. 10
