"""GSTSN: GaitSet with an LSTM along the sequence.

"GaitSet-based Temporal-Spatial Network" for gait recognition. GaitSet's frame features go three ways: the set's
maximum, the multilayer global pipeline, and a sequence branch: image dimensionality reduction (IDR), a two-layer LSTM,
pooling. Each is mapped by horizontal pyramid mapping with 4 scales (section III.D): 3 × (8 + 4 + 2 + 1) parts of 256.
Where the paper is silent or ambiguous:

- IDR is O(c, h, w) = squeeze(S(χ)) with S one of max, min and median (eq. 2). Over the whole set, as written, no
  time would be left for the LSTM, which reads frame by frame (eq. 4). Here S is the statistic of three neighbouring
  frames, the frame itself, the one before and the one after (at the ends of the sequence the frame itself again), so
  that the sequence keeps its frames: a filter that, as a median, drops what a single bad mask adds.
- The strips of each frame are pooled before the LSTM, which is shared by the strips; its output is pooled by the
  maximum over time, as sets are, and then mapped. The paper's g = H(L(R(χ))) (eq. 1) has the whole mapping H after the
  LSTM L; an LSTM of whole feature maps would have 128·16·11 inputs.
- The LSTM runs forward in time, with 256 hidden units.
- ``num_classes`` adds a BNNeck like GaitBase's, whose cross-entropy keeps short trainings from collapsing; it is not
  part of the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.gaitset import GaitSet, GaitSetConfig
from gaitkeeper.models.layers import BNNeck, PartLinear, framewise, horizontal_pool, strips_of, temporal_max


@dataclass(frozen=True)
class GSTSNConfig:
    """Defaults: the network for CASIA-B (section III).

    Attributes:
        channels: channels of GaitSet's three blocks.
        stem_stride: stride of GaitSet's first convolution; 2 (not in the paper) makes a small network.
        bins: horizontal strips of each scale of the pyramid.
        statistic: S, statistic over three neighbouring frames; the median is the paper's best.
        hidden: units of each layer of the LSTM.
        layers: layers of the LSTM.
        embed_dim: C, numbers of each part of an embedding.
        num_classes: people in training; None, as in the paper, leaves the classifier out.
    """

    channels: tuple[int, int, int] = (32, 64, 128)
    stem_stride: int = 1
    bins: tuple[int, ...] = (8, 4, 2, 1)
    statistic: Literal["median", "max", "min"] = "median"
    hidden: int = 256
    layers: int = 2
    embed_dim: int = 256
    num_classes: int | None = None


class GSTSN(GaitNetwork):
    """Silhouettes (N, T, 1, 64, 44) in [0, 1] -> embeddings (N, 45, 256): set, global pipeline, sequence."""

    name: ClassVar[str] = "gstsn"
    inputs: ClassVar[tuple[str, ...]] = ("silhouettes",)
    Config: ClassVar[type[GSTSNConfig]] = GSTSNConfig
    config: GSTSNConfig

    def __init__(self, config: GSTSNConfig | None = None) -> None:
        super().__init__(config or GSTSNConfig())
        c = self.config
        strips = sum(c.bins)
        self.gaitset = GaitSet(GaitSetConfig(c.channels, c.stem_stride, c.bins, c.embed_dim))
        self.lstm = LSTM(c.channels[-1], c.hidden, c.layers, batch_first=True)
        self.fc = PartLinear(strips, c.hidden, c.embed_dim)
        self.out_shape = (3 * strips, c.embed_dim)
        self.classifier = None
        if c.num_classes is not None:
            self.classifier = BNNeck(3 * strips, c.embed_dim, c.num_classes)

    @property
    def strips(self) -> tuple[tuple[float, float] | None, ...]:
        """Top and bottom of each part; see the base."""
        return strips_of(self.config.bins * 3)

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, P, C), float32."""
        (silhouettes,) = tensors
        frames, sets = silhouettes, []
        for block in (self.gaitset.block1, self.gaitset.block2, self.gaitset.block3):
            frames = framewise(block, frames, lengths, apart=True)
            sets.append(temporal_max(frames, lengths))
        spatial = self.gaitset.map_sets(*sets)
        return torch.cat([spatial, self.fc(self._motion(frames, lengths))], dim=1).float()

    def _motion(self, frames: Tensor, lengths: Tensor | None) -> Tensor:
        """The sequence branch before its mapping, (N, T, C, H, W) -> (N, strips, hidden)."""
        n, t, c = frames.shape[:3]
        reduced = neighbours(frames, self.config.statistic, lengths).flatten(0, 1)
        strips = horizontal_pool(reduced, self.config.bins).view(n, t, -1, c).transpose(1, 2)
        # The LSTM looks back only, so padding at the end cannot reach a true frame.
        states = self.lstm(strips.flatten(0, 1)).view(n, -1, t, self.config.hidden)
        return temporal_max(states.transpose(1, 2), lengths)


class LSTM(nn.LSTM):
    """torch's LSTM, batch first, without its states: (B, T, C) -> (B, T, hidden).

    It is exported as ONNX's own operator: torch.export would unroll it over the frames and so fix their number.
    The forget gates start open, with a bias of 1 (Gers et al. 2000). Otherwise the states stay so small that the
    parts of the sequence hardly count in a distance compared with those of the set.
    """

    def reset_parameters(self) -> None:
        """Draw the weights; called by the constructor."""
        super().reset_parameters()
        for layer in range(self.num_layers):
            getattr(self, f"bias_ih_l{layer}").data.chunk(4)[1].fill_(1)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """(B, T, C) -> (B, T, hidden)."""
        if not torch.compiler.is_exporting():
            out: Tensor = super().forward(x)[0]
            return out
        x = x.transpose(0, 1)
        for layer in range(self.num_layers):
            weights = (getattr(self, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            # torch orders the gates input, forget, cell, output; ONNX input, output, forget, cell.
            w, r, b, c = (v.view(4, -1, *v.shape[1:])[[0, 3, 1, 2]].flatten(0, 1)[None] for v in weights)
            inputs = (x, w, r, torch.cat([b, c], dim=1))
            shape = (x.shape[0], 1, x.shape[1], self.hidden_size)
            hidden = {"hidden_size": self.hidden_size}
            x = torch.onnx.ops.symbolic("::LSTM", inputs, {**hidden}, dtype=x.dtype, shape=shape).squeeze(1)
        return x.transpose(0, 1)


def neighbours(x: Tensor, statistic: str, lengths: Tensor | None) -> Tensor:
    """Element by element, the "max", "min" or "median" of a frame, the one before and the one after: as (N, T, ...)."""
    before = torch.cat([x[:, :1], x[:, :-1]], dim=1)
    after = torch.cat([x[:, 1:], x[:, -1:]], dim=1)
    if lengths is not None:
        last = torch.arange(x.shape[1], device=x.device) == lengths[:, None] - 1
        after = torch.where(last.view(*last.shape, *[1] * (x.dim() - 2)), x, after)
    low, high = torch.minimum(before, after), torch.maximum(before, after)
    if statistic == "max":
        return torch.maximum(high, x)
    if statistic == "min":
        return torch.minimum(low, x)
    return torch.maximum(low, torch.minimum(high, x))
