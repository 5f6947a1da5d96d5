"""Crop upright windows of frames as network inputs, many at once, on the frames' device."""

from __future__ import annotations

import torch
from torch import Tensor


def sample(frames: Tensor, which: Tensor, first: Tensor, step: Tensor, size: tuple[int, int], fill: int = 0) -> Tensor:
    """Bilinear samples on grids of pixels.

    Args:
        frames: uint8 (B, H, W, 3), RGB.
        which: int64 (N,); the frame of each window.
        first: float32 (N, 2); x, y of the sample at row 0, column 0, in pixels of the frame with integer centres.
        step: float32 (N, 2); from one column and from one row to the next.
        size: rows and columns of the result.
        fill: value outside the frame.

    Returns:
        float32 (N, 3, rows, columns) in [0, 255].
    """
    x_low, x_part, x_in = _axis(first[:, 0], step[:, 0], size[1], frames.shape[2])
    y_low, y_part, y_in = _axis(first[:, 1], step[:, 1], size[0], frames.shape[1])
    n = which[:, None, None]
    rows = []
    for dy in (0, 1):
        inside = y_in[dy][:, :, None] & torch.stack(x_in)[:, :, None, :]
        left, right = (
            torch.where(
                inside[dx][..., None], frames[n, y_low[dy][:, :, None], x_low[dx][:, None, :]].float(), float(fill)
            )
            for dx in (0, 1)
        )
        rows.append(torch.lerp(left, right, x_part[:, None, :, None]))
    return torch.lerp(rows[0], rows[1], y_part[:, :, None, None]).permute(0, 3, 1, 2)


def _axis(first: Tensor, step: Tensor, count: int, length: int) -> tuple[list[Tensor], Tensor, list[Tensor]]:
    """For samples (N, count) along one axis: the two neighbouring pixels, the weight of the second, and which exist."""
    at = first[:, None] + step[:, None] * torch.arange(count, device=first.device, dtype=torch.float32)
    low = at.floor()
    part = at - low
    pixels = [low.long(), low.long() + 1]
    exist = [(pixel >= 0) & (pixel < length) for pixel in pixels]
    return [pixel.clamp(0, length - 1) for pixel in pixels], part, exist
