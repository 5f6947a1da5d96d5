"""A triangle rasteriser in torch: batched over frames, the nearest triangle wins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_WINDOWS = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 256)  # triangles are grouped by the window of pixels that holds them
_CHUNK = 4_000_000  # pixels looked at in one go


@dataclass(frozen=True)
class Hits:
    """The pixels that a mesh covers, P of them, over a batch of pictures.

    Attributes:
        pixel: (P,) int64, index into the flattened (B, H, W) pictures, rising.
        face: (P,) int64, the triangle seen there.
        weights: (P, 3), how much each of its corners counts there, perspective-correct, summing to 1.
        depth: (P,) in metres.
    """

    pixel: Tensor
    face: Tensor
    weights: Tensor
    depth: Tensor


def rasterise(screen: Tensor, faces: Tensor, height: int, width: int) -> Hits:
    """What is seen of a closed mesh; triangles that show their back are left out.

    Args:
        screen: (B, V, 3), pixels x, y and depth in metres, pixel centres at half-integers.
        faces: (F, 3) int64, counter-clockwise as seen from outside (with y up; clockwise in the picture's y down).
        height, width: size of the pictures.
    """
    batch, device = len(screen), screen.device
    nearest = torch.full((batch * height * width,), torch.iinfo(torch.int64).max, device=device)
    corner = screen[:, faces.flatten(), :2].reshape(batch, -1, 3, 2)
    low, high = corner.amin(2), corner.amax(2)
    limit = torch.tensor([width, height], device=device)
    first = (low - 0.5).ceil().clamp_min(0)
    last = torch.minimum((high - 0.5).floor(), limit - 1.0)
    size = (last - first + 1).amax(-1)
    ab, ac = corner[:, :, 1] - corner[:, :, 0], corner[:, :, 2] - corner[:, :, 0]
    area = ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0]
    seen = (area < -1e-9) & ((last - first).amin(-1) >= 0)
    previous = 0
    for window in _WINDOWS:
        chosen = (seen & (size > previous) & (size <= window)).nonzero()
        previous = window
        for part in chosen.split(max(1, _CHUNK // window**2)):
            _draw(nearest, screen, faces, part, first[part[:, 0], part[:, 1]], window, height, width)
    pixel = (nearest < torch.iinfo(torch.int64).max).nonzero()[:, 0]
    face = nearest[pixel] & 0xFFFFFFFF
    frame, at = pixel // (height * width), pixel % (height * width)
    triangle = screen[frame[:, None], faces[face]]
    slopes = _slopes(triangle)
    x, y = (at % width).float() + 0.5, (at // width).float() + 0.5
    flat = slopes[..., 0] * x[:, None] + slopes[..., 1] * y[:, None] + slopes[..., 2]
    inverse = flat / triangle[..., 2]
    depth = 1 / inverse.sum(-1)
    return Hits(pixel, face, inverse * depth[:, None], depth)


def _slopes(triangle: Tensor) -> Tensor:
    """Barycentric weights as linear functions of the pixel: (K, 3, 3), the last axis times (x, y, 1)."""
    x, y = triangle[..., 0].double(), triangle[..., 1].double()
    a, b = y.roll(-1, -1) - y.roll(-2, -1), x.roll(-2, -1) - x.roll(-1, -1)
    c = -(a * x.roll(-1, -1) + b * y.roll(-1, -1))
    area = (a * x + b * y + c)[..., :1]
    return (torch.stack((a, b, c), -1) / area[..., None]).float()


def _draw(
    nearest: Tensor, screen: Tensor, faces: Tensor, chosen: Tensor, first: Tensor, window: int, height: int, width: int
) -> None:
    """Enter triangles into the depth buffer: depth in the upper half of a key, the face in the lower."""
    triangle = screen[chosen[:, :1], faces[chosen[:, 1]]]
    shifted = torch.cat((triangle[..., :2] - first[:, None] - 0.5, triangle[..., 2:]), -1)
    slopes = _slopes(shifted)
    step = torch.arange(window, device=screen.device, dtype=torch.float32)
    x, y = step.repeat(window), step.repeat_interleave(window)
    flat = slopes[..., :1] * x + slopes[..., 1:2] * y + slopes[..., 2:]
    column, row = first[:, :1] + x, first[:, 1:] + y
    inside = (flat >= -1e-5).all(1) & (column < width) & (row < height)
    which, where = inside.nonzero(as_tuple=True)
    inverse = (flat / triangle[..., 2:]).sum(1)[which, where]
    depth = (1 / inverse).contiguous().view(torch.int32).long()  # positive floats sort like their bits
    at = (chosen[which, 0] * height + row[which, where].long()) * width + column[which, where].long()
    nearest.scatter_reduce_(0, at, depth << 32 | chosen[which, 1], "amin")
