"""Augmentations of a batch: flip, warps, erasing, occlusion, wider or narrower masks, frame drop, joint noise.

They take the inputs of a batch by name, as the networks read them: silhouettes (N, T, 1, 64, 44) and heatmaps
(N, T, 17, 64, 48) in [0, 1], joints (N, T, V, 2 or 3). All frames and inputs of a sequence are changed in the same
way: joints move with the picture. All random numbers come from the generator, so the same seed gives the same batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gaitkeeper.models.skeletons import COCO_NECK, KINECT_16
from gaitkeeper.training.config import AugmentTable

HALF_BODY = 2.0
"""Half of the picture's height in torso lengths, the unit of the joints (a body is about four torso lengths high)."""

OF_OUTLINES = ("fatten", "thin")
"""Fields of the augmentations that work on silhouettes of any number type; bytes take a quarter of the time."""
OF_FRAMES = ("occlude", "post_width", "mask_noise", "noise_pixels", "frame_drop", "drop_share")
"""Fields of the other augmentations that need single frames."""
OF_PICTURES = (
    *("flip", "rotate", "degrees", "perspective", "distortion", "stretch", "shear", "shift"),
    *("erase", "erase_area"),
)
"""Fields of the augmentations that treat all frames of a sequence alike, so that they also work on pooled pictures."""


def augment(inputs: dict[str, Tensor], table: AugmentTable, generator: torch.Generator) -> dict[str, Tensor]:
    """Apply the augmentations of ``table`` to a batch: fatten or thin, flip, warp, erase, occlude, noise, drop.

    Args:
        inputs: tensors by name, of the shapes above; not changed.
        table: table of the configuration.
        generator: random generator on the CPU.

    Returns:
        New tensors, of the same names and shapes.
    """
    n, frames = next(iter(inputs.values())).shape[:2]
    out = dict(inputs)
    if "silhouettes" in out and (table.fatten or table.thin):
        drawn = torch.rand(n, generator=generator)
        out["silhouettes"] = widened(out["silhouettes"], drawn < table.fatten, drawn >= 1 - table.thin)
    flipped = _chosen(n, table.flip, generator)
    if flipped.any():
        out = {name: torch.where(_rows(flipped, x), mirror(name, x), x) for name, x in out.items()}
    if table.rotate or table.perspective or table.shear or any(table.stretch) or any(table.shift):
        warps = homographies(n, table, generator)
        out = {name: _warp_joints(x, warps) if name == "joints" else warp(x, warps) for name, x in out.items()}
    for name in ("silhouettes", "heatmaps"):
        if name in out and table.erase:
            out[name] = erase(out[name], _chosen(n, table.erase, generator), table.erase_area, generator)
        if name in out and table.occlude:
            out[name] = pass_behind(out[name], _chosen(n, table.occlude, generator), table.post_width, generator)
    if "silhouettes" in out and table.mask_noise:
        noisy = _chosen(n, table.mask_noise, generator)
        out["silhouettes"] = edge_noise(out["silhouettes"], noisy, table.noise_pixels, generator)
    if "joints" in out:
        for size, times in ((table.joint_noise, frames), (table.joint_bias, 1)):
            if size:
                out["joints"] = shift_joints(out["joints"], size, times, generator)
    if table.frame_drop:
        kept = kept_frames(n, frames, _chosen(n, table.frame_drop, generator), table.drop_share, generator)
        out = {name: x[torch.arange(n)[:, None], kept] for name, x in out.items()}
    return out


def mirror_order(joints: Sequence[str]) -> list[int]:
    """For each joint the index of its mirror image: left and right are exchanged."""
    swapped = [name.replace("left", "?").replace("right", "left").replace("?", "right") for name in joints]
    return [list(joints).index(name) for name in swapped]


COCO_MIRROR = mirror_order(COCO_NECK.joints[:17])
KINECT_MIRROR = mirror_order(KINECT_16.joints)


def mirror(name: str, x: Tensor) -> Tensor:
    """Every sequence of one input, left and right exchanged."""
    if name == "joints":
        order = COCO_MIRROR if x.shape[2] == 17 else KINECT_MIRROR
        return x[:, :, order] * torch.tensor([-1.0, 1.0, 1.0])[: x.shape[3]]
    x = x.flip(-1)
    return x[:, :, COCO_MIRROR] if name == "heatmaps" else x


def homographies(n: int, table: AugmentTable, generator: torch.Generator) -> Tensor:
    """A stretch, a rotation and a perspective for each sequence, (N, 3, 3), identity for sequences that are not chosen.

    They map points (x, y, 1), y down, from the middle of the picture and in halves of its height, from source to
    target.
    """
    angle = math.radians(table.degrees) * (2 * torch.rand(n, generator=generator) - 1)
    angle = torch.where(_chosen(n, table.rotate, generator), angle, 0.0)
    turn = torch.eye(3).repeat(n, 1, 1)
    turn[:, 0, 0] = turn[:, 1, 1] = angle.cos()
    turn[:, 0, 1], turn[:, 1, 0] = -angle.sin(), angle.sin()
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]).repeat(n, 1, 1)
    shift = table.distortion * (2 * torch.rand(n, 4, 2, generator=generator) - 1)
    moved = corners + shift * _rows(_chosen(n, table.perspective, generator), shift)
    warps = _from_corners(corners, moved) @ turn
    if table.shear or any(table.stretch) or any(table.shift):
        affine = torch.eye(3).repeat(n, 1, 1)
        places = (affine[:, 0, 0], affine[:, 1, 1], affine[:, 0, 1], affine[:, 0, 2], affine[:, 1, 2])
        for place, size in zip(places, (*table.stretch, table.shear, *table.shift), strict=True):
            place += size * torch.randn(n, generator=generator).clamp(-3, 3)
        warps = warps @ affine
    return warps


def _from_corners(source: Tensor, target: Tensor) -> Tensor:
    """The homographies (N, 3, 3) that map four points (N, 4, 2) to four others."""
    x, y = source.unbind(dim=2)
    u, v = target.unbind(dim=2)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=2)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=2)
    solution = torch.linalg.solve(torch.cat([rows_u, rows_v], dim=1), torch.cat([u, v], dim=1))
    return torch.cat([solution, one[:, :1]], dim=1).view(-1, 3, 3)


def warp(x: Tensor, warps: Tensor) -> Tensor:
    """Pictures (N, T, C, H, W) warped by homographies (N, 3, 3), bilinearly, with zeros outside."""
    n, t, c, h, w = x.shape
    aspect = w / h
    ys = (torch.arange(h) + 0.5) * 2 / h - 1
    xs = ((torch.arange(w) + 0.5) * 2 / w - 1) * aspect
    points = torch.stack([xs.expand(h, w), ys[:, None].expand(h, w), torch.ones(h, w)], dim=2).view(-1, 3)
    source = points @ torch.linalg.inv(warps).transpose(1, 2)  # (N, H·W, 3)
    source = source[:, :, :2] / source[:, :, 2:] / torch.tensor([aspect, 1.0])
    return F.grid_sample(x.flatten(1, 2), source.view(n, h, w, 2), align_corners=False).view(n, t, c, h, w)


def _warp_joints(x: Tensor, warps: Tensor) -> Tensor:
    """Joints (N, T, V, D) warped in the same way, about the mid-hip; the score is unchanged."""
    points = F.pad(x[..., :2] / HALF_BODY, (0, 1), value=1.0).flatten(1, 2) @ warps.transpose(1, 2)
    moved = (points[..., :2] / points[..., 2:] * HALF_BODY).view(*x.shape[:3], 2)
    return torch.cat([moved, x[..., 2:]], dim=3)


def erase(x: Tensor, chosen: Tensor, area: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Blank one rectangle in all frames of the chosen sequences of (N, T, C, H, W).

    Zhong et al., "Random Erasing Data Augmentation", AAAI 2020: its share of the picture is between the two of
    ``area``, its height 0.3 to 3.3 times its width.
    """
    n, _, _, h, w = x.shape
    share, ratio, top, left = torch.rand(4, n, generator=generator)
    share = h * w * (area[0] + (area[1] - area[0]) * share)
    ratio = torch.exp(math.log(0.3) + (math.log(3.3) - math.log(0.3)) * ratio)
    height, width = (share * ratio).sqrt().clamp(max=h), (share / ratio).sqrt().clamp(max=w)
    top, left = top * (h - height), left * (w - width)
    rows, columns = torch.arange(h) + 0.5, torch.arange(w) + 0.5
    hit_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    hit_columns = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    hit = hit_rows[:, :, None] & hit_columns[:, None, :] & chosen[:, None, None]
    return x.masked_fill(hit[:, None, None], 0.0)


def pass_behind(x: Tensor, chosen: Tensor, width: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Occlude the people of the chosen sequences of (N, T, C, H, W) by a post that they pass.

    A picture follows its person, so the post moves across it, at constant speed. It starts and ends anywhere outside,
    so that it may already be visible in the first frame or have left before the last.
    """
    n, frames, _, h, w = x.shape
    share, begin, length, way = torch.rand(4, n, generator=generator)
    half = h * (width[0] + (width[1] - width[0]) * share) / 2
    # In picture widths: start up to one before the left edge, move over two to four, in either direction.
    position = w * (-begin[:, None] + (2 + 2 * length[:, None]) * torch.linspace(0, 1, frames))
    middle = torch.where((way < 0.5)[:, None], position, w - position)
    hit = ((torch.arange(w) + 0.5 - middle[..., None]).abs() < half[:, None, None]) & chosen[:, None, None]
    return x.masked_fill(hit[:, :, None, None], 0.0)


def widened(x: Tensor, fatter: Tensor, thinner: Tensor) -> Tensor:
    """Silhouettes (N, T, 1, H, W) with the outline moved one pixel outwards or inwards, for the chosen (N,).

    Segmentation networks, fabrics and light differ in this way, but hardly within one walk.
    """
    out = x.clone() if fatter.any() or thinner.any() else x
    for chosen, extreme in ((fatter, torch.maximum), (thinner, torch.minimum)):
        if chosen.any():
            out[chosen] = _of_neighbours(_of_neighbours(x[chosen], extreme, 3), extreme, 4)
    return out


def _of_neighbours(x: Tensor, extreme: Callable[[Tensor, Tensor], Tensor], dim: int) -> Tensor:
    """The extreme of each value and its two neighbours along a dimension; four times as fast as max_pool2d."""
    size = x.shape[dim] - 1
    pairs = extreme(x.narrow(dim, 0, size), x.narrow(dim, 1, size))  # of each value and the next
    inner = extreme(pairs.narrow(dim, 0, size - 1), pairs.narrow(dim, 1, size - 1))
    return torch.cat([pairs.narrow(dim, 0, 1), inner, pairs.narrow(dim, size - 1, 1)], dim=dim)


def edge_noise(x: Tensor, chosen: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Flip a share of the pixels at the outline in each frame, like an uncertain segmentation.

    Args:
        x: silhouettes (N, T, 1, H, W) in [0, 1].
        chosen: chosen sequences, bool (N,).
        share: share of the pixels with both person and background within one pixel.
        generator: random generator.
    """
    some = x[chosen]
    flat = some.flatten(0, 1)
    outline = (F.max_pool2d(flat, 3, 1, 1) + F.max_pool2d(1 - flat, 3, 1, 1) > 1.5).view(some.shape)
    hit = outline & (torch.rand(some.shape, generator=generator) < share)
    out = x.clone()
    out[chosen] = torch.where(hit, 1 - some, some)
    return out


def shift_joints(x: Tensor, size: float, times: int, generator: torch.Generator) -> Tensor:
    """Joints (N, T, V, D) with normal noise on x and y: new in each frame, or with ``times`` 1 constant."""
    n, _, joints = x.shape[:3]
    shift = size * torch.randn(n, times, joints, 2, generator=generator)
    return torch.cat([x[..., :2] + shift, x[..., 2:]], dim=3)


def kept_frames(n: int, frames: int, chosen: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Frame indices (N, T) in which each dropped frame is replaced by the last kept frame before it."""
    dropped = (torch.rand(n, frames, generator=generator) < share) & chosen[:, None]
    dropped[:, 0] = False
    return torch.where(dropped, 0, torch.arange(frames)).cummax(dim=1).values


def _chosen(n: int, chance: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator) < chance


def _rows(chosen: Tensor, like: Tensor) -> Tensor:
    return chosen.view(-1, *[1] * (like.dim() - 1))
