"""Solids as signed distance fields: lofts and ellipsoids, attached to bones, blended to one surface for meshing.

Distances are Quilez' ellipsoid bound, which is exact at the surface and accurate near it, as meshing needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gaitkeeper.training.walkers.noise import Noise
from gaitkeeper.training.walkers.skeleton import BONES


@dataclass(frozen=True)
class Loft:
    """A tube of elliptic sections along a line, its radii given at knots in between.

    Attributes:
        start, end: (3,) in metres.
        knots: (K,) positions along the line, rising from 0 to 1.
        across, along: (K,) radii in metres along y and along the third axis ("depth": x for an upright line).
        shift: (K,) offset of the section's centre along the depth axis.
        cap: length of the rounded ends, in metres.
        bones: names of the first and the second bone that move it.
        ramp: positions between which the weight moves from the first bone to the second.
    """

    start: Tensor
    end: Tensor
    knots: tuple[float, ...]
    across: tuple[float, ...]
    along: tuple[float, ...]
    bones: tuple[str, str]
    shift: tuple[float, ...] = (0.0, 0.0)
    cap: float = 0.02
    ramp: tuple[float, float] = (0.3, 0.7)

    def distance(self, points: Tensor) -> Tensor:
        """Signed distance (N,) of points (N, 3), negative inside."""
        length = (self.end - self.start).norm()
        axis = (self.end - self.start) / length
        side, depth = _section_axes(axis)
        offset = points - self.start
        h = offset @ axis
        s = (h / length).clamp(0, 1)
        ends = torch.maximum(-h, h - length)
        a, b = smooth_knots(self.knots, self.across, s), smooth_knots(self.knots, self.along, s)
        shift = self.shift if len(self.shift) == len(self.knots) else (0.0,) * len(self.knots)
        y, x = offset @ side, offset @ depth - smooth_knots(self.knots, shift, s)
        k0 = ((y / a) ** 2 + (x / b) ** 2).sqrt()
        k1 = ((y / a**2) ** 2 + (x / b**2) ** 2).sqrt()
        radial = _bound(k0, k1, torch.minimum(a, b)) + self.cap
        outside = (radial.clamp_min(0) ** 2 + ends.clamp_min(0) ** 2).sqrt()
        return outside + torch.maximum(radial, ends).clamp_max(0) - self.cap

    def weights(self, points: Tensor) -> Tensor:
        """Weights of the bones that move the points: (N, B), rows summing to 1."""
        span = self.end - self.start
        s = ((points - self.start) @ span) / (span @ span)
        t = ((s - self.ramp[0]) / (self.ramp[1] - self.ramp[0])).clamp(0, 1)
        t = t * t * (3 - 2 * t)
        out = torch.zeros(len(points), len(BONES), dtype=points.dtype, device=points.device)
        out[:, BONES.index(self.bones[0])] += 1 - t
        out[:, BONES.index(self.bones[1])] += t
        return out


@dataclass(frozen=True)
class Skirt:
    """A loft that hangs from the pelvis; each thigh pushes its own side."""

    loft: Loft

    def distance(self, points: Tensor) -> Tensor:
        """As :class:`Loft`."""
        return self.loft.distance(points)

    def weights(self, points: Tensor) -> Tensor:
        """As :class:`Loft`, with the second bone's weight split between left and right across 8 cm."""
        out = self.loft.weights(points)
        left = torch.sigmoid(points[:, 1] / 0.04)
        swing = out[:, BONES.index("left_thigh")].clone()
        out[:, BONES.index("left_thigh")] = swing * left
        out[:, BONES.index("right_thigh")] = swing * (1 - left)
        return out


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with axes along x, y, z, optionally pitched about y."""

    centre: Tensor
    radii: tuple[float, float, float]
    bone: str
    pitch: float = 0.0

    def distance(self, points: Tensor) -> Tensor:
        """Signed distance (N,) of points (N, 3), negative inside."""
        p = points - self.centre
        if self.pitch:
            c, s = torch.cos(torch.tensor(self.pitch)), torch.sin(torch.tensor(self.pitch))
            p = torch.stack((c * p[:, 0] - s * p[:, 2], p[:, 1], s * p[:, 0] + c * p[:, 2]), -1)
        r = torch.tensor(self.radii, device=points.device)
        k0, k1 = (p / r).norm(dim=-1), (p / r**2).norm(dim=-1)
        return _bound(k0, k1, r.min())

    def weights(self, points: Tensor) -> Tensor:
        """Bone weights (N, B): one bone moves all points."""
        out = torch.zeros(len(points), len(BONES), dtype=points.dtype, device=points.device)
        out[:, BONES.index(self.bone)] = 1
        return out


Primitive = Loft | Skirt | Ellipsoid


@dataclass(frozen=True)
class Solid:
    """A blend of primitives, with cuts and folds.

    Attributes:
        name: material, a key of the painter.
        primitives: primitives to blend.
        cell: grid step of the mesh in metres.
        melt: blending distance of two primitives, in metres.
        cuts: primitives that are removed from the solid.
        crumple: height of cloth folds in metres.
        reach: distance over which bones share a point, in metres.
    """

    name: str
    primitives: tuple[Primitive, ...]
    cell: float = 0.016
    melt: float = 0.012
    cuts: tuple[Primitive, ...] = ()
    crumple: float = 0.0
    reach: float = 0.022

    def distance(self, points: Tensor, noise: Noise | None = None) -> Tensor:
        """Signed distance (N,) of points (N, 3), negative inside."""
        d = torch.stack([p.distance(points) for p in self.primitives])
        d = -self.melt * torch.logsumexp(-d / self.melt, 0)
        if noise is not None and self.crumple:
            d = d + self.crumple * (noise(points * points.new_tensor([9.0, 9.0, 14.0])) + 0.5 * noise(points * 27.0))
        for cut in self.cuts:
            d = torch.maximum(d, -cut.distance(points))
        return d

    def weights(self, points: Tensor) -> Tensor:
        """Weights of the bones that move the points: (N, B), rows summing to 1; near primitives have more weight."""
        near = torch.softmax(-torch.stack([p.distance(points) for p in self.primitives]) / self.reach, 0)
        out = torch.zeros(len(points), len(BONES), dtype=points.dtype, device=points.device)
        for share, primitive in zip(near, self.primitives, strict=True):
            out += share[:, None] * primitive.weights(points)
        return out

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest corner of a box that contains the solid."""
        low, high = [], []
        for p in self.primitives:
            if isinstance(p, Ellipsoid):
                r = torch.full((3,), max(p.radii)) if p.pitch else torch.tensor(p.radii)
                ends = torch.stack((p.centre - r, p.centre + r))
            else:
                loft = p.loft if isinstance(p, Skirt) else p
                around = max(*loft.across, *loft.along, loft.cap) + max(abs(v) for v in loft.shift)
                ends = torch.stack((loft.start - around, loft.start + around, loft.end - around, loft.end + around))
            low.append(ends.amin(0))
            high.append(ends.amax(0))
        margin = self.melt + self.crumple + 2 * self.cell
        return torch.stack(low).amin(0) - margin, torch.stack(high).amax(0) + margin


def _bound(k0: Tensor, k1: Tensor, radius: Tensor) -> Tensor:
    """Quilez' distance bound k0 (k0 − 1) / k1 to an ellipse or ellipsoid; at its centre the smallest radius."""
    return (k0 - 1) * torch.where(k1 > 1e-4, k0 / k1, radius)


def smooth_knots(knots: tuple[float, ...], values: tuple[float, ...], s: Tensor) -> Tensor:
    """A curve through the knots, a cubic with zero slope at the knots, so that it does not overshoot."""
    out = torch.full_like(s, values[0])
    for i in range(len(knots) - 1):
        t = ((s - knots[i]) / (knots[i + 1] - knots[i])).clamp(0, 1)
        t = 0.5 * t + 0.5 * t * t * (3 - 2 * t)
        out = out + (values[i + 1] - values[i]) * t
    return out


def _section_axes(axis: Tensor) -> tuple[Tensor, Tensor]:
    """The across axis (as near to +y as possible) and the depth axis, both perpendicular to the line."""
    y = axis.new_tensor([0.0, 1.0, 0.0])
    if abs(float(axis @ y)) > 0.9:
        y = axis.new_tensor([0.0, 0.0, 1.0])
    side = torch.nn.functional.normalize(y - (y @ axis) * axis, dim=0)
    depth = torch.linalg.cross(side, axis)
    pointing = depth[0] if abs(depth[0]) > 0.5 else depth[2]
    return side, depth * torch.sign(pointing)
