"""Building blocks of the gait networks: pooling over padded time, horizontal strips, per-part layers, initialisation.

Shapes: N sequences, T frames, P parts, C channels, H × W pictures. ``lengths`` (N,) int64 counts the true frames of
each sequence, or is None if all T are true. Frames beyond a sequence's length are padding: their contents, even NaN,
never reach an output.

Convolutions run with channels last in memory, which is two to three times faster on CPUs and lets strips be folded
into the batch without a copy; networks request it with :func:`channels_last`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.01
EPS = 1e-6  # least value in a generalised mean, which is defined for positive numbers
CHUNK = 32  # frames a CNN sees at a time at inference: their feature maps stay in the processor's cache
WIDE = 512  # on a GPU: enough to fill it


def chunk_on(device: torch.device) -> int:
    """Frames that a CNN sees at a time at inference."""
    return CHUNK if device.type == "cpu" else WIDE


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """True frames, bool (N, T)."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def fill_padding(x: Tensor, lengths: Tensor | None, value: float) -> Tensor:
    """``x`` (N, T, ...) with its padding replaced by ``value``."""
    if lengths is None:
        return x
    mask = frame_mask(lengths, x.shape[1])
    return x.masked_fill(~mask.view(*mask.shape, *[1] * (x.dim() - 2)), value)


def clear_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """(N, C, T, ...) with zeros in the padding, as a convolution along T sees beyond the end of a lone sequence."""
    return fill_padding(x.transpose(1, 2), lengths, 0.0).transpose(1, 2)


def temporal_max(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Maximum over the true frames, (N, T, ...) -> (N, ...)."""
    return fill_padding(x, lengths, float("-inf")).amax(dim=1)


def temporal_mean(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Mean over the true frames, (N, T, ...) -> (N, ...)."""
    if lengths is None:
        return x.mean(dim=1)
    total = fill_padding(x, lengths, 0.0).sum(dim=1)
    return total / lengths.view(-1, *[1] * (total.dim() - 1)).to(total.dtype)


def templates_of(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """A walk as one picture of three channels: (N, T, 1, H, W) -> (N, 1, 3, H, W).

    Over the true frames: the mean, twice the population standard deviation (0 for a single frame), and the middle
    between the extremes. All three are in [0, 1] if the frames are.
    """
    mean = temporal_mean(x, lengths)
    spread = temporal_mean((x - mean[:, None]).square(), lengths).sqrt()
    middle = (temporal_max(x, lengths) - temporal_max(-x, lengths)) / 2
    return torch.cat([mean, 2 * spread, middle], dim=1)[:, None]


def framewise(
    cnn: Callable[[Tensor], Tensor], x: Tensor, lengths: Tensor | None = None, *, apart: bool = False
) -> Tensor:
    """Apply ``cnn`` to each true frame: (N, T, ...) -> (N, T, ...), zeros in the padding.

    Padding is not computed, so batch norms never see it. Without gradients the frames are processed in chunks, so that
    a long sequence needs memory only for its outputs. ``apart`` says that the result of a frame does not depend on
    other frames, as it does with a batch norm in training: then chunks are used with gradients, too, which is a sixth
    faster on CPUs.
    """
    if lengths is None or torch.compiler.is_exporting():
        # An exported graph computes the padding, too, because its number of frames must not depend on the lengths.
        out = _chunked(cnn, x.flatten(0, 1), apart)
        return fill_padding(out.view(*x.shape[:2], *out.shape[1:]), lengths, 0.0)
    mask = frame_mask(lengths, x.shape[1])
    # Move channels last and back, because indexing would otherwise undo their memory layout.
    out = _chunked(cnn, x.movedim(2, -1)[mask].movedim(-1, 1), apart).movedim(1, -1)
    padded = out.new_zeros(*x.shape[:2], *out.shape[1:])
    padded[mask] = out
    return padded.movedim(-1, 2)


def set_pool(cnn: Callable[[Tensor], Tensor], x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Maximum of ``cnn`` over the true frames, (N, T, ...) -> (N, ...): ``temporal_max(framewise(...))``."""
    return set_pools([cnn], x, lengths)[0]


def set_pools(
    stages: Sequence[Callable[[Tensor], Tensor]], x: Tensor, lengths: Tensor | None = None, *, apart: bool = False
) -> list[Tensor]:
    """Maximum over the true frames of each stage's output, (N, T, ...) -> (N, ...) each.

    Each stage takes the output of the one before. Without gradients at most one chunk of features is held in memory,
    however long the sequences are. See :func:`framewise` for ``apart``.
    """
    if torch.is_grad_enabled() or torch.compiler.is_exporting():
        pools = []
        for stage in stages:
            x = framewise(stage, x, lengths, apart=apart)
            pools.append(temporal_max(x, lengths))
        return pools
    if x.shape[1] <= chunk_on(x.device) > CHUNK:
        return _set_pools_of_many(stages, x, lengths)
    ends = [x.shape[1]] * len(x) if lengths is None else lengths.tolist()
    sequences = [_set_pools_of_one(stages, frames[:end]) for frames, end in zip(x, ends, strict=True)]
    return [torch.stack(maps) for maps in zip(*sequences, strict=True)]


def _set_pools_of_many(stages: Sequence[Callable[[Tensor], Tensor]], x: Tensor, lengths: Tensor | None) -> list[Tensor]:
    """Process as many whole sequences at a time as fit a chunk: one call per sequence would keep a GPU waiting."""
    some = max(1, chunk_on(x.device) // x.shape[1])
    parts = []
    for start in range(0, len(x), some):
        sequences = x[start : start + some]
        maps = list(accumulate(stages, lambda features, stage: stage(features), initial=sequences.flatten(0, 1)))[1:]
        ends = None if lengths is None else lengths[start : start + some]
        parts.append([temporal_max(m.view(*sequences.shape[:2], *m.shape[1:]), ends) for m in maps])
    return [torch.cat(maps) for maps in zip(*parts, strict=True)]


def _set_pools_of_one(stages: Sequence[Callable[[Tensor], Tensor]], frames: Tensor) -> list[Tensor]:
    pools: list[Tensor] = []
    for chunk in torch.split(frames, chunk_on(frames.device)):
        maps = list(accumulate(stages, lambda features, stage: stage(features), initial=chunk))[1:]
        # Frame by frame: ten times faster than amax over the first dimension.
        found = [reduce(torch.maximum, features.unbind()) for features in maps]
        pools = [torch.maximum(a, b) for a, b in zip(pools, found, strict=True)] if pools else found
    return pools


def _chunked(cnn: Callable[[Tensor], Tensor], frames: Tensor, apart: bool) -> Tensor:
    size = CHUNK if torch.is_grad_enabled() else chunk_on(frames.device)
    if torch.compiler.is_exporting() or len(frames) <= size:
        return cnn(frames)
    if torch.is_grad_enabled():
        return torch.cat([cnn(chunk) for chunk in torch.split(frames, CHUNK)]) if apart else cnn(frames)
    done, out = 0, frames
    for chunk in torch.split(frames, size):
        result = cnn(chunk).movedim(1, -1)
        if not done:
            out = result.new_empty(len(frames), *result.shape[1:])
        out[done : done + len(result)] = result
        done += len(result)
    return out.movedim(-1, 1)


def generalised_mean(x: Tensor, exponent: Tensor, dim: int) -> Tensor:
    """Generalised mean (mean of x^p)^(1/p) over one dimension, which is removed; float32.

    Values are clamped to at least 1e-6. It is the mean for p = 1, and approaches the maximum as p grows.

    Args:
        x: any shape and precision.
        exponent: p, (1,), above 0.
        dim: to average over.
    """
    with torch.autocast(x.device.type, enabled=False):  # powers of 6.5 overflow or vanish in half precision
        x = x.float().clamp(min=EPS)
        # Powers relative to the maximum neither overflow nor vanish when all values are small.
        peak = x.amax(dim=dim, keepdim=True)
        mean: Tensor = (x / peak).pow(exponent).mean(dim=dim).pow(1 / exponent)
        return mean * peak.squeeze(dim)


def fold_strips(x: Tensor, strips: int) -> Tensor:
    """Horizontal strips as pictures of their own, top to bottom: (B, C, H, W) -> (B·strips, C, H/strips, W)."""
    if strips == 1:
        return x
    b, c, h, w = x.shape
    return x.view(b, c, strips, h // strips, w).transpose(1, 2).flatten(0, 1)


def unfold_strips(x: Tensor, strips: int) -> Tensor:
    """The inverse of :func:`fold_strips`: (B·strips, C, h, W) -> (B, C, strips·h, W)."""
    if strips == 1:
        return x
    b, c, h, w = x.shape
    return x.view(b // strips, strips, c, h, w).transpose(1, 2).flatten(2, 3)


def horizontal_pool(x: Tensor, bins: Sequence[int]) -> Tensor:
    """Mean + max of each horizontal strip: (B, C, H, W) -> (B, sum(bins), C).

    The strips of the first entry of ``bins`` come first, top to bottom. Horizontal pyramid mapping of GaitSet
    (section 3.4) and horizontal pooling of GaitPart (eq. 2) are special cases, with several entries and with one.
    """
    b, c, h, w = x.shape
    rows = x.movedim(1, -1)  # channels last, side by side in memory: six times faster than over strips of a channel
    strips = (rows.reshape(b, count, h // count * w, c) for count in bins)
    return torch.cat([strip.mean(dim=2) + strip.amax(dim=2) for strip in strips], dim=1)


def strips_of(bins: Sequence[int]) -> tuple[tuple[float, float], ...]:
    """Top and bottom of each strip of :func:`horizontal_pool`, as shares of the height."""
    return tuple((i / count, (i + 1) / count) for count in bins for i in range(count))


class FocalBlock(nn.Module):
    """Two focal convolutions, no bias: (B, C_in, H, W) -> (B, C_out, H, W), halved by a max pool if ``pool``.

    GaitPart, section 3.2: the strips of a focal convolution share its weights, and each has zero padding of its own.
    With one strip it is the plain block of GaitSet.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        strips: int = 1,
        stride: int = 1,
        pool: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.strips = strips
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W), or half as high and wide."""
        x = F.leaky_relu(self.conv1(fold_strips(x, self.strips)), LEAK, inplace=True)
        x = self.conv2(x)
        if not self.pool:
            return unfold_strips(F.leaky_relu(x, LEAK, inplace=True), self.strips)
        # The leaky ReLU is monotonic, so pooling first gives the same result for a quarter of the work.
        return F.leaky_relu(F.max_pool2d(unfold_strips(x, self.strips), 2), LEAK, inplace=True)


def conv3d(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """``conv(x)`` with oneDNN if possible: PyTorch unfolds a lone small clip instead, which is five times slower."""
    direct = x.device.type == "cpu" and x.dtype == torch.float32
    direct = direct and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not direct or torch.is_autocast_enabled("cpu") or torch.is_grad_enabled() or torch.compiler.is_exporting():
        return conv(x)  # type: ignore[no-any-return]
    sizes = (conv.padding, conv.stride, conv.dilation, conv.groups)
    return torch.ops.aten.mkldnn_convolution(x, conv.weight, conv.bias, *sizes)  # type: ignore[no-any-return]


class GlobalLocalConv(nn.Module):
    """A 3×3×3 convolution of the whole picture, and one shared by its strips, each with zero padding of its own.

    GaitGL, section 3.3: ``stack`` puts the two results on top of each other (GLConvB), else they are added (GLConvA).
    The padding in time must be zeros, see :func:`clear_padding`.
    """

    def __init__(self, in_channels: int, out_channels: int, strips: int, *, stack: bool = False) -> None:
        super().__init__()
        self.whole = nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False)
        self.local = nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False)
        self.strips = strips
        self.stack = stack

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, T, H, W) -> (N, C_out, T, H, W), or 2H high if stacked."""
        # Strips are stacked in the batch, so that one convolution processes all of them.
        strips = torch.cat(torch.chunk(x, self.strips, dim=3))
        local = conv3d(self.local, strips)
        local = torch.cat(local.view(self.strips, -1, *local.shape[1:]).unbind(), dim=3)
        if self.stack:
            return F.leaky_relu(torch.cat([conv3d(self.whole, x), local], dim=3), LEAK)
        return F.leaky_relu(conv3d(self.whole, x), LEAK) + F.leaky_relu(local, LEAK)


class PartLinear(nn.Module):
    """A separate fully connected layer for each part, no bias: (N, P, C_in) -> (N, P, C_out).

    ``weight`` is (P, C_in, C_out), drawn with variance 1 / C_in: its outputs go to a metric loss, not a ReLU.
    """

    def __init__(self, parts: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            nn.init.normal_(torch.empty(parts, in_channels, out_channels), std=in_channels**-0.5)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, P, C_in) -> (N, P, C_out)."""
        return torch.bmm(x.transpose(0, 1), self.weight).transpose(0, 1)


class CosineClassifier(nn.Module):
    """A classifier for each part, without bias, on L2-normalised embeddings and weights: (N, P, C) -> (N, P, classes).

    Its logits are cosines in [-1, 1]; the loss adds margin and scale.
    """

    def __init__(self, parts: int, channels: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(parts, channels, classes)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, P, C) -> (N, P, classes)."""
        cosines = F.normalize(x.transpose(0, 1), dim=2) @ F.normalize(self.weight, dim=1)
        return cosines.transpose(0, 1)


class BNNeck(nn.Module):
    """Batch norm of every part and channel, then cosine logits: (N, P, C) -> (N, P, classes).

    Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-Identification", CVPR Workshops 2019.
    """

    def __init__(self, parts: int, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(parts * channels)
        self.cosines = CosineClassifier(parts, channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, P, C) -> (N, P, classes)."""
        out: Tensor = self.cosines(self.norm(x.flatten(1)).view(x.shape))
        return out


def channels_last(module: nn.Module) -> None:
    """Store the weights of 2D and 3D convolutions channels last; their outputs then have the same layout."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d)):
            weight = layer.weight.data.movedim(1, -1).contiguous().movedim(-1, 1)
            if weight.shape[1] == 1 and weight.dim() == 4:
                # With one channel any stride is valid, and torch assumes channels first unless the stride is 1. The
                # convolution would then be six times slower, and the next layer would have to change the layout.
                # Not in three dimensions: there oneDNN 3.12 reads past a kernel on one frame in bfloat16.
                weight = weight.as_strided(weight.shape, (weight.stride(0), 1, *weight.stride()[2:]))
            layer.weight.data = weight


def he_init(module: nn.Module) -> None:
    """Initialise every convolution of ``module`` as in He et al. 2015 for leaky ReLUs; biases are zero.

    With torch's default initialisation, the features of these norm-free stacks shrink from layer to layer, and the
    triplet loss collapses to its margin before the network learns anything.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            nn.init.kaiming_normal_(layer.weight, a=LEAK)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
