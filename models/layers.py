"""What several gait networks share: time with padding, horizontal pooling, per-part layers, initialisation.

Shapes: N sequences, T frames, P parts, C channels. ``lengths`` (N,) int64 counts the true frames of each sequence, or
is None where all T are true. Frames beyond a sequence's length are padding: whatever lies there, NaN included, never
reaches an output.
"""

from __future__ import annotations

import torch
from torch import Tensor


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """True frames, bool (N, T)."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def fill_padding(x: Tensor, lengths: Tensor | None, value: float) -> Tensor:
    """``x`` (N, T, ...) with its padding replaced by ``value``."""
    if lengths is None:
        return x
    mask = frame_mask(lengths, x.shape[1])
    return x.masked_fill(~mask.view(*mask.shape, *[1] * (x.dim() - 2)), value)


def temporal_max(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Maximum over the true frames, (N, T, ...) -> (N, ...)."""
    return fill_padding(x, lengths, float("-inf")).amax(dim=1)


def temporal_mean(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Mean over the true frames, (N, T, ...) -> (N, ...)."""
    if lengths is None:
        return x.mean(dim=1)
    total = fill_padding(x, lengths, 0.0).sum(dim=1)
    return total / lengths.view(-1, *[1] * (total.dim() - 1)).to(total.dtype)
