"""JointsGait: gait from 2D joints, by graph convolutions and a pyramid over groups of joints.

Li et al., "JointsGait: A model-based Gait Recognition Method based on Gait Graph Convolutional Networks and Joints
Relationship Pyramid Mapping", 2020. The graph convolutions are those of ST-GCN (Yan et al., AAAI 2018), which the
paper follows. Where the paper is silent or contradicts itself:

- scales: {1, 2, 3} (figure 5, table 1) give 6 parts, while "256 × 21" parts are stated (section 4.1), which {1, 2, 18}
  would give. The default is (1, 2, 3).
- ST-GCN's temporal kernel of 9, residuals, strides of 2 at the layers that widen, and batch norm of the input are
  taken over. Λ normalises each subset with the degrees of its rows and its columns: see ``Skeleton.adjacency``.
- Pooling F * k with a kernel of J_g × T (eq. 4): a convolution that wide and full would have 106 M weights, so each
  channel has a kernel of its own (the separate fully connected layers mix channels). Kernels start as the mean. There
  are two readings of T. "free" weights the joints and takes the mean over the true frames: it takes any length, and
  hardly depends on the phase of the step at which a sequence starts. "window" weights joints and frames: T is 120
  frames, 30 steps of the strided features, so sequences are cut into half-overlapping windows of 120 frames, the last
  one flush with the end, whose embeddings are averaged; shorter sequences are looped. "free" is the default: a frame's
  number in a window says nothing about the phase of the gait, so that weights over time have nothing to learn but the
  mean.
- The neck is the middle of the shoulders, with the mean of their scores. x, y and the score enter; with the Kinect,
  x and y only, of 16 of its 20 joints, all but hands and feet.
- ArcFace's classifier: cosines, one per part; the loss adds the margin and the scale. A batch norm comes before
  it (BNNeck), as ArcFace's own networks end in one: the mean of ReLU features points the same way for all people,
  and angles about the origin would hardly tell people apart. The triplet loss and the test take what comes before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.layers import BNNeck, PartLinear, channels_last, fill_padding, framewise, he_init, temporal_mean
from gaitkeeper.models.skeletons import COCO_NECK, KINECT_16, Skeleton


@dataclass(frozen=True)
class JointsGaitConfig:
    """Defaults: the network for CASIA-B (section 4.1).

    Attributes:
        skeleton: "coco", joints (N, T, 17, 3) as everywhere in this project, to which the neck is added; or "kinect",
            joints (N, T, 16, 2), those of ``gaitkeeper.models.skeletons.KINECT_16``.
        scales: scales of the pyramid, out of 1, 2, 3, 5, 12 and the number of joints, 18 or 16.
        channels: channels of each graph convolution.
        strides: strides in time of each graph convolution.
        temporal_kernel: length of the temporal convolutions in frames, odd.
        alpha: keeps empty rows of the adjacency from dividing by zero (section 3.1.3).
        pooling: how a group's features become one: see the module's text.
        window: frames of a "window".
        dropout: probability of dropout after each temporal convolution; 0.5 in ST-GCN, not given in the paper.
        embed_dim: C, numbers of each part of an embedding.
        num_classes: people in training, for ArcFace; None leaves the classifier out.
    """

    skeleton: Literal["coco", "kinect"] = "coco"
    scales: tuple[int, ...] = (1, 2, 3)
    channels: tuple[int, ...] = (64, 64, 64, 128, 128, 128, 256, 256, 256)
    strides: tuple[int, ...] = (1, 1, 1, 2, 1, 1, 2, 1, 1)
    temporal_kernel: int = 9
    alpha: float = 0.001
    pooling: Literal["free", "window"] = "free"
    window: int = 120
    dropout: float = 0.0
    embed_dim: int = 512
    num_classes: int | None = None


def jointsgait_kinect(**config: Any) -> JointsGait:
    """For the Kinect Gait Biometry Dataset: 16 joints, x and y (section 4.3, table 2)."""
    return JointsGait(JointsGaitConfig(**{"skeleton": "kinect", **config}))


class GraphBlock(nn.Module):
    """One spatio-temporal graph convolution (eq. 2 and 3): (N, T, V, C_in) -> (N, ⌈T/stride⌉, V, C_out).

    W_k and the sum over the three subsets are one linear layer on the features that A_k ⊙ M_k gathers; M_k, the
    learnable mask of the edges, starts as ones. As in ST-GCN the first block has no residual connection.
    """

    adjacency: Tensor
    shortcut: nn.Module | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        adjacency: Tensor,
        kernel: int,
        stride: int,
        dropout: float,
        residual: bool,
    ) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.edge_mask = nn.Parameter(torch.ones_like(adjacency))
        self.graph = nn.Linear(3 * in_channels, out_channels, bias=False)
        self.graph_norm = nn.BatchNorm1d(out_channels)
        self.temporal = nn.Conv2d(
            out_channels, out_channels, (kernel, 1), (stride, 1), padding=(kernel // 2, 0), bias=False
        )
        self.temporal_norm = nn.BatchNorm1d(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.stride = stride
        self.shortcut = nn.Identity() if residual else None
        if residual and (in_channels != out_channels or stride > 1):
            self.shortcut = nn.Linear(in_channels, out_channels, bias=False)
            self.shortcut_norm = nn.BatchNorm1d(out_channels)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """(N, T, V, C_in) -> (N, ⌈T/stride⌉, V, C_out); ``lengths`` are those of the input."""
        # Zeros in the padding are what the temporal convolution meets beyond the end of a lone sequence.
        y = _framewise(self._graph, x, lengths)
        y = self.temporal(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        lengths = strided(lengths, self.stride)
        y = self.dropout(_framewise(lambda frames: _norm(self.temporal_norm, frames), y, lengths))
        if isinstance(self.shortcut, nn.Linear):
            y = y + _framewise(self._shortcut, x[:, :: self.stride], lengths)
        elif self.shortcut is not None:
            y = y + x
        return F.relu(y)

    def _graph(self, frames: Tensor) -> Tensor:
        """(B, V, C_in) -> (B, V, C_out)."""
        edges = (self.adjacency * self.edge_mask).transpose(0, 1).flatten(0, 1)  # (V·3, V): subsets of a joint together
        gathered = (edges @ frames).reshape(*frames.shape[:2], 3 * frames.shape[2])  # (B, V, 3·C_in)
        return F.relu(_norm(self.graph_norm, self.graph(gathered)))

    def _shortcut(self, frames: Tensor) -> Tensor:
        assert self.shortcut is not None
        return _norm(self.shortcut_norm, self.shortcut(frames))


def _framewise(layer: Callable[[Tensor], Tensor], x: Tensor, lengths: Tensor | None) -> Tensor:
    """Apply a layer of (B, V, C) to each true frame of (N, T, V, C); zeros in the padding."""
    flat = framewise(lambda frames: layer(frames.view(-1, *x.shape[2:])).flatten(1), x.flatten(2), lengths)
    return flat.view(*x.shape[:3], -1)


def _norm(norm: nn.BatchNorm1d, frames: Tensor) -> Tensor:
    """Batch norm of (B, V, C) over frames and joints."""
    out: Tensor = norm(frames.flatten(0, 1)).view(frames.shape)
    return out


def strided(lengths: Tensor | None, stride: int) -> Tensor | None:
    """Lengths after a convolution of that stride, ⌈length / stride⌉."""
    return None if lengths is None else (lengths + stride - 1) // stride


class JointPyramid(nn.Module):
    """Joints relationship pyramid pooling (section 3.2, eq. 4): (N, T, V, C) -> (N, P, C).

    ``weight`` is (M, C), or (frames, M, C) if the frames are weighted, too; M counts the joints of all groups.
    """

    joints: Tensor
    membership: Tensor

    def __init__(self, groups: list[tuple[int, ...]], channels: int, frames: int | None) -> None:
        super().__init__()
        owners = torch.tensor([i for i, group in enumerate(groups) for _ in group])
        share = torch.tensor([1 / len(group) for group in groups for _ in group])[:, None].expand(-1, channels)
        self.weight = nn.Parameter(share.clone() if frames is None else share.repeat(frames, 1, 1) / frames)
        belongs = torch.arange(len(groups))[:, None] == owners
        self.register_buffer("joints", torch.tensor([joint for group in groups for joint in group]), persistent=False)
        self.register_buffer("membership", belongs.float(), persistent=False)  # (P, M)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(N, T, V, C) -> (N, P, C); with weighted frames T must be theirs."""
        if self.weight.dim() == 2:
            weighted = temporal_mean(x, lengths)[:, self.joints] * self.weight
        else:
            weighted = torch.einsum("ntmc,tmc->nmc", x[:, :, self.joints], self.weight)
        return self.membership @ weighted


class JointsGait(GaitNetwork):
    """Joints (N, T, 17, 3), or (N, T, 16, 2) of the Kinect, normalised -> embeddings (N, P, 512), P = 6 by default."""

    name: ClassVar[str] = "jointsgait"
    inputs: ClassVar[tuple[str, ...]] = ("joints",)
    Config: ClassVar[type[JointsGaitConfig]] = JointsGaitConfig
    config: JointsGaitConfig

    def __init__(self, config: JointsGaitConfig | None = None) -> None:
        super().__init__(config or JointsGaitConfig())
        c = self.config
        skeleton: Skeleton = KINECT_16 if c.skeleton == "kinect" else COCO_NECK
        in_channels = 2 if c.skeleton == "kinect" else 3
        groups = skeleton.pyramid(c.scales)
        adjacency = skeleton.adjacency(c.alpha)
        self.input_norm = nn.BatchNorm1d(len(skeleton) * in_channels)
        self.blocks = nn.ModuleList(
            GraphBlock(*widths, adjacency, c.temporal_kernel, stride, c.dropout, residual=i > 0)
            for i, (widths, stride) in enumerate(zip(pairwise((in_channels, *c.channels)), c.strides, strict=True))
        )
        frames = c.window
        for stride in c.strides:
            frames = -(-frames // stride)
        self.pyramid = JointPyramid(groups, c.channels[-1], frames if c.pooling == "window" else None)
        self.fc = PartLinear(len(groups), c.channels[-1], c.embed_dim)
        self.classifier = None
        if c.num_classes is not None:
            self.classifier = BNNeck(len(groups), c.embed_dim, c.num_classes)
        self.out_shape = (len(groups), c.embed_dim)
        he_init(self)
        channels_last(self)

    @property
    def frame_shapes(self) -> tuple[tuple[int, ...], ...]:
        """(V, C) of the skeleton's joints as they enter."""
        return ((16, 2),) if self.config.skeleton == "kinect" else super().frame_shapes

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, P, C), float32."""
        (joints,) = tensors
        if self.config.pooling == "free":
            return self._embed(joints, lengths)
        windows, share = cut_windows(joints, lengths, self.config.window)
        embeddings = self._embed(windows.flatten(0, 1), None).view(*share.shape, *self.out_shape)
        return (embeddings * share[:, :, None, None]).sum(dim=1)

    def _embed(self, joints: Tensor, lengths: Tensor | None) -> Tensor:
        joints = fill_padding(joints.float(), lengths, 0.0)
        if self.config.skeleton == "coco":
            neck = joints[:, :, 5:7].mean(dim=2, keepdim=True)
            joints = torch.cat([joints, neck], dim=2)
        x = framewise(self.input_norm, joints.flatten(2), lengths).view(joints.shape)
        for block, stride in zip(self.blocks, self.config.strides, strict=True):
            x = block(x, lengths)
            lengths = strided(lengths, stride)
        out: Tensor = self.fc(self.pyramid(x, lengths))
        return out.float()


def cut_windows(x: Tensor, lengths: Tensor | None, window: int) -> tuple[Tensor, Tensor]:
    """Half-overlapping windows of the true frames: (N, T, ...) -> (N, K, window, ...) and shares (N, K).

    A sequence not longer than the window gives one looped window. A longer one gives a window at every half window,
    the last one flush with its end. K is the largest number of windows; a share is 1 / the number of windows of the
    sequence, and 0 for windows beyond them.
    """
    frames, half = x.shape[1], window // 2
    longest: int = torch.sym_max(frames, window)  # type: ignore[no-untyped-call]  # max, for a graph of any T
    count = (longest - window + half - 1) // half + 1
    if torch.compiler.is_exporting():
        count += 1  # one window with a share of 0: torch.export would treat a count of 1 as a constant
    if lengths is None:
        lengths = torch.full((x.shape[0],), frames, device=x.device)
    spare = (lengths - window).clamp(min=0)[:, None]  # (N, 1)
    starts = half * torch.arange(count, device=x.device)  # (K,)
    valid = starts < spare + half
    index = torch.minimum(starts, spare)[:, :, None] + torch.arange(window, device=x.device)
    index = index % lengths[:, None, None]  # (N, K, window)
    sequence = torch.arange(x.shape[0], device=x.device)[:, None, None]
    return x[sequence, index], valid / valid.sum(dim=1, keepdim=True)
