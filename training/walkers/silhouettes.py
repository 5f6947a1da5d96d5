"""Silhouettes, joints and boxes of batches of walkers, directly from 3D joints, without meshes or pictures.

Every piece of a body is a convex shape in the picture (:mod:`gaitkeeper.training.walkers.outline`), so a row of pixels
crosses it in one interval. Its outline is a polygon of ``SIDES`` points; each side is a line, and the interval in a row
ends at the innermost line. Interval ends are added to a picture as +1 and -1, and running sums along rows fill
all pieces at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from gaitkeeper.training.walkers.anthropometry import Shape
from gaitkeeper.training.walkers.clothing import Dress, hold_phone
from gaitkeeper.training.walkers.outline import Outline, frames, outline
from gaitkeeper.training.walkers.perception_noise import perceive, roughen
from gaitkeeper.training.walkers.skeleton import INDEX, coco_joints
from gaitkeeper.training.walkers.views import Views, look, place

PICTURE = (1280, 720)
"""Width and height in pixels of the virtual clip."""
SIDE = 64
FINE = 2 * SIDE  # rows at which outlines are sampled: two per pixel
WIDE = 160  # columns, two per pixel: more than in a silhouette, because the mass centre is computed later
SIDES = 12
_RIGHT = SIDES // 2
ROUNDED = 0.3  # pixels
_ROOM = 2 / (1 + math.cos(math.pi / SIDES))  # makes inscribed polygons as large as the ellipses


@dataclass(eq=False)
class Seen:
    """Simulated pipeline output for B walks of T frames.

    Attributes:
        silhouettes: uint8 (B, T, 64, 64), 0 or 255, normalised as :func:`gaitkeeper.pipelines.silhouette.silhouette`
            does.
        joints: float32 (B, T, 17, 3), COCO-17 x, y in pixels of a clip of size ``PICTURE``, and score in [0, 1].
        boxes: float32 (B, T, 4), x1 y1 x2 y2 in those pixels, not beyond the picture.
        whole: bool (B, T), False if the picture's edge cuts the person.
    """

    silhouettes: Tensor
    joints: Tensor
    boxes: Tensor
    whole: Tensor


def render(
    joints: Tensor,
    shape: Shape,
    dress: Dress,
    views: Views,
    noise: np.random.Generator | None = None,
    *,
    batch: int = 2048,
) -> Seen:
    """Render B walks; all inputs on one device.

    Args:
        joints: float32 (B, T, J, 3) in metres, z up, floor at 0, walking along +x; J as in ``skeleton.JOINTS``.
        shape: B bodies.
        dress: B outfits.
        views: B cameras.
        noise: random generator for the errors of a person model; None gives the truth, with all scores 1.
        batch: approximate number of frames in memory at once.

    Raises:
        ValueError: joints, shape, dress and views have different lengths.
    """
    if not len(joints) == len(shape) == len(dress) == len(views):
        raise ValueError(f"{len(joints)} walks, {len(shape)} shapes, {len(dress)} outfits, {len(views)} views.")
    rows = max(1, batch // joints.shape[1])
    parts = [
        _render(joints[i : i + rows], shape[i : i + rows], dress[i : i + rows], views[i : i + rows], noise)
        for i in range(0, len(joints), rows)
    ]
    return Seen(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Seen)})


def _render(joints: Tensor, shape: Shape, dress: Dress, views: Views, noise: np.random.Generator | None) -> Seen:
    joints = place(hold_phone(joints, dress), views)
    position, axes = look(joints, views)
    body = outline(shape, dress)
    left, right = polygons(joints, body, position, axes)
    truth = project(coco_joints(joints.flatten(0, 1)).reshape(*joints.shape[:2], -1, 3), position, axes)
    scale, centre = fit(*_extent(left, right), views)
    to_pixels = centre.new_tensor(PICTURE) / 2
    truth = (truth - centre[:, None, None]) * scale[:, None, None, None] + to_pixels
    left, right = (
        (side - centre[:, None, :, None, None]) * scale[:, None, None, None, None] + to_pixels[:, None, None]
        for side in (left, right)
    )
    low, high = _extent(left, right)
    edge = centre.new_tensor(PICTURE)
    whole = ((low > 0.5) & (high < edge - 0.5)).all(-1)
    boxes = torch.cat((low.clamp_min(0).minimum(edge - 2), high.minimum(edge).clamp_min(2)), -1)
    silhouettes = fill(left.flatten(0, 1), right.flatten(0, 1), boxes.flatten(0, 1), noise)
    silhouettes = silhouettes.reshape(*joints.shape[:2], SIDE, SIDE)
    scored = torch.cat((truth, torch.ones_like(truth[..., :1])), -1)
    if noise is not None:
        scored = perceive(scored, far_side(joints, axes), noise)
    return Seen(silhouettes, scored, boxes, whole)


def polygons(joints: Tensor, body: Outline, position: Tensor, axes: Tensor) -> tuple[Tensor, Tensor]:
    """Outlines of all pieces in the camera's tangent plane.

    Returns:
        left and right: (B, T, 2, 7, P); x and y of the points from the top of each piece down its left and its right
        side; nan for pieces that are not worn.
    """
    f = body.frame
    turned = (frames(joints) @ axes[:, None, None].transpose(-1, -2))[:, :, f]  # (B, T, N, 3 axes, camera)
    half = turned * (_ROOM * body.radii)[:, None, :, :, None]
    centre = torch.einsum("bnj,btjc->btnc", body.weights, joints - position[:, None, None])
    centre = (centre[..., None, :] @ axes[:, None, None].transpose(-1, -2))[..., 0, :]
    centre = centre + (body.offset[:, None, :, :, None] * turned).sum(-2)
    depth = centre[..., 2].clamp_min(0.3)
    middle = centre[..., :2] / depth[..., None]
    flat = (half[..., :2] - middle[..., None, :] * half[..., 2:]) / depth[..., None, None]
    middle, flat = middle.movedim(-1, 2), flat.movedim((-1, -2), (2, 3))  # (B, T, 2, N) and (B, T, 2, axis, N)

    # The extreme point of an ellipse along a direction, for directions from up over right to down and back.
    angle = torch.arange(_RIGHT + 1, device=joints.device) * (math.pi / _RIGHT)
    sides = []
    for sign in (-1.0, 1.0):
        ux, uy = sign * torch.sin(angle)[:, None, None], -torch.cos(angle)[:, None, None]
        along = ux * flat[:, :, None, 0] + uy * flat[:, :, None, 1]  # (B, T, 7, axis, N)
        reach = along.square().sum(3).sqrt().clamp_min(1e-9)
        point = (flat[:, :, :, None] * along[:, :, None]).sum(4) / reach[:, :, None] + middle[:, :, :, None]
        ahead = ux[..., 0] * point[:, :, 0] + uy[..., 0] * point[:, :, 1]
        a, b, c = body.pieces.T
        best, far = point[..., a], ahead[..., a]
        for other in (b, c):
            better = (ahead[..., other] > far)[:, :, None]
            best, far = torch.where(better, point[..., other], best), torch.maximum(far, ahead[..., other])
        sides.append(best.masked_fill(~body.worn[:, None, None, None], math.nan))
    return sides[0], sides[1]


def fill(left: Tensor, right: Tensor, boxes: Tensor, noise: np.random.Generator | None = None) -> Tensor:
    """Normalised silhouettes uint8 (M, 64, 64) from outlines (M, 2, 7, P) and boxes (M, 4), one per frame."""
    step = 24 if left.device.type == "cpu" else 4096  # as many as fit the processor's cache
    made = [
        normalised(_coverage(left[i : i + step], right[i : i + step], boxes[i : i + step]), noise)
        for i in range(0, len(left), step)
    ]
    return torch.cat(made)


def _coverage(left: Tensor, right: Tensor, boxes: Tensor) -> Tensor:
    """Coverage of every pixel, float32 (M, 64, 80), rows from the box's top to its bottom.

    The columns begin a whole number of pixels left of the box's edge, so that pixels align with a crop at the box.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    # Softening reduces the top of the head and the soles below one half, so no row begins there.
    y1, y2 = torch.lerp(y1, y2, ROUNDED / SIDE), torch.lerp(y2, y1, ROUNDED / SIDE)
    unit = (y2 - y1) / FINE
    start = ((x1 + x2) / 2 - x1) / unit
    start = x1 - ((WIDE / 2 - start) / 2).round() * 2 * unit
    origin = torch.stack((start, y1), -1)[:, :, None, None]
    rows = torch.arange(FINE, device=left.device, dtype=torch.float32) + 0.5
    ends = []
    for side, inner, off in ((left, torch.maximum, -1e4), (right, torch.minimum, 1e4)):
        x, y = ((side - origin) / unit[:, None, None, None]).unbind(1)  # (M, 7, P)
        drop = y[:, 1:] - y[:, :-1]
        slope = torch.where(drop > 1e-4, (x[:, 1:] - x[:, :-1]) / drop, torch.zeros_like(drop))
        base = torch.where(drop > 1e-4, x[:, :-1] - slope * y[:, :-1], torch.full_like(drop, off))
        end = torch.addcmul(base[:, 0, :, None], slope[:, 0, :, None], rows)
        for k in range(1, _RIGHT):
            end = inner(end, torch.addcmul(base[:, k, :, None], slope[:, k, :, None], rows))
        ends.append(end)  # (M, P, FINE)
        top, bottom = y[:, 0], y[:, -1]
    x_left = boxes[:, 0] - start
    x_right = boxes[:, 2] - start
    low, high = ((edge / unit)[:, None, None].clamp(0, WIDE - 1) for edge in (x_left, x_right))
    first, last = (end.maximum(low).minimum(high).add_(0.5).to(torch.int64) for end in ends)
    inside = (rows > top[..., None]) & (rows < bottom[..., None])
    last = torch.where(inside, last.maximum(first), first)
    canvas = torch.zeros(len(boxes), FINE, WIDE, dtype=torch.int32, device=left.device)
    line = torch.arange(FINE, device=left.device) * WIDE
    one = torch.ones((), dtype=torch.int32, device=left.device)
    flat = canvas.flatten(1)
    for end, sign in ((first, 1), (last, -1)):
        at = (end + line).flatten(1)
        flat.scatter_add_(1, at, (one * sign).expand_as(at))
    return soften((canvas.cumsum(2, dtype=torch.int32) > 0).to(torch.uint8))


def soften(fine: Tensor) -> Tensor:
    """Halve (M, 2H, 2W) to coverage (M, H, W), each from a 4 × 4 window: about as soft as a network's mask."""
    rows = fine[:, 0::2] + fine[:, 1::2]
    rows[:, 1:] += fine[:, 1:-1:2]
    rows[:, :-1] += fine[:, 2::2]
    # The mask continues beyond top and bottom; only the box ends there.
    rows[:, 0] += fine[:, 0]
    rows[:, -1] += fine[:, -1]
    columns = rows[:, :, 0::2] + rows[:, :, 1::2]
    columns[:, :, 1:] += rows[:, :, 1:-1:2]
    columns[:, :, :-1] += rows[:, :, 2::2]
    return columns.float() / 16


def normalised(share: Tensor, noise: np.random.Generator | None) -> Tensor:
    """Threshold at one half, centred on the mass centre's column: uint8 (M, 64, 64)."""
    solid = (share if noise is None else roughen(share, noise)) > 0.5
    mass = solid.sum(1, dtype=torch.float32)
    columns = torch.arange(mass.shape[1], device=mass.device) + 0.5
    centre = ((mass * columns).sum(1) / mass.sum(1).clamp_min(1)).round().long()
    source = (centre - SIDE // 2)[:, None] + torch.arange(SIDE, device=mass.device)
    inside = (source >= 0) & (source < mass.shape[1])
    source = source.clamp(0, mass.shape[1] - 1)
    moved = solid.gather(2, source[:, None].expand(-1, SIDE, -1)) & inside[:, None]
    return moved.to(torch.uint8) * 255


def project(points: Tensor, position: Tensor, axes: Tensor) -> Tensor:
    """Tangents (B, T, K, 2) of world points (B, T, K, 3)."""
    seen = (points - position[:, None, None]) @ axes[:, None].transpose(-1, -2)
    return seen[..., :2] / seen[..., 2:].clamp_min(0.3)


def far_side(joints: Tensor, axes: Tensor) -> Tensor:
    """How much farther the left side is from the camera than the right (B, T): 1 at a quarter of a metre or more."""
    across = joints[:, :, INDEX["left_shoulder"]] - joints[:, :, INDEX["right_shoulder"]]
    return ((across * axes[:, None, 2]).sum(-1) / 0.25).clamp(-1, 1)


def _extent(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest x, y (B, T, 2) of all worn pieces."""
    low = torch.stack((left[:, :, 0].nan_to_num(1e9).amin((2, 3)), left[:, :, 1, 0].nan_to_num(1e9).amin(2)), -1)
    high = torch.stack((right[:, :, 0].nan_to_num(-1e9).amax((2, 3)), right[:, :, 1, -1].nan_to_num(-1e9).amax(2)), -1)
    return low, high


def fit(low: Tensor, high: Tensor, views: Views) -> tuple[Tensor, Tensor]:
    """Crop of the pictures: focal length in pixels (B,) and the picture's middle in the tangent plane (B, 2).

    Args:
        low, high: (B, T, 2), range of tangents x, y of the walker in each frame.
        views: B cameras.
    """
    low, high = low.amin(1), high.amax(1)
    size = high - low
    scale = views.fill * (low.new_tensor(PICTURE) / size).amin(1)
    slack = (low.new_tensor(PICTURE) / scale[:, None] - size).abs() / 2
    shift = torch.stack((views.shift_x, views.shift_y), -1) * slack * 0.9
    return scale, (low + high) / 2 + shift
