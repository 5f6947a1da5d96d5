"""Meshes of solids by surface nets (Gibson 1998), and skinned bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from gaitkeeper.training.walkers.distance_fields import Solid
from gaitkeeper.training.walkers.noise import Noise
from gaitkeeper.training.walkers.skeleton import bone_frames

_CORNERS = torch.tensor([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
_EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if (_CORNERS[a] != _CORNERS[b]).sum() == 1]


@dataclass(frozen=True)
class Body:
    """A person's dressed body at rest, ready to pose.

    Attributes:
        vertices, normals: (V, 3) at rest, metres.
        faces: (F, 3) int64, outward side counter-clockwise.
        materials: (V,) int64, index into ``names``.
        names: materials' names.
        shade: (V,) in [0, 1], exposure of the surface to the surrounding room.
        weights: (V, B), weights of the bones that move a vertex.
        rest: (J, 3), the skeleton of the body at rest.
    """

    vertices: Tensor
    normals: Tensor
    faces: Tensor
    materials: Tensor
    names: tuple[str, ...]
    shade: Tensor
    weights: Tensor
    rest: Tensor

    def pose(self, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Vertices and normals (T, V, 3) of the body with joints (T, J, 3): linear blend skinning."""
        turns, moves = bone_frames(joints, self.rest)
        t = len(joints)
        blended = self.weights @ torch.cat((turns.flatten(2), moves), -1).permute(1, 0, 2).flatten(1)
        blended = blended.reshape(-1, t, 12).transpose(0, 1)
        turn = blended[..., :9].reshape(*blended.shape[:-1], 3, 3)
        vertices = (turn @ self.vertices[..., None])[..., 0] + blended[..., 9:]
        normals = torch.nn.functional.normalize((turn @ self.normals[..., None])[..., 0], dim=-1)
        return vertices, normals

    def to(self, device: torch.device | str) -> Body:
        """The same body on another device."""
        tensors = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "names"}
        return replace(self, **tensors)


def build_body(solids: Sequence[Solid], rest: Tensor, noise: Noise) -> Body:
    """Mesh every solid and bind its vertices to the bones of the skeleton at rest (J, 3)."""
    vertices, normals, faces, materials, shade, weights = [], [], [], [], [], []
    names = tuple(dict.fromkeys(solid.name for solid in solids))
    count = 0
    for solid in solids:
        v, f = surface_nets(solid, noise)
        n = _gradient(solid, v, noise)
        vertices.append(v)
        normals.append(n)
        faces.append(f + count)
        materials.append(torch.full((len(v),), names.index(solid.name)))
        shade.append(_openness(solids, v, n))
        weights.append(solid.weights(v))
        count += len(v)
    return Body(
        *(torch.cat(vertices), torch.cat(normals), torch.cat(faces), torch.cat(materials), names),
        *(torch.cat(shade), torch.cat(weights), rest),
    )


def surface_nets(solid: Solid, noise: Noise) -> tuple[Tensor, Tensor]:
    """Vertices (V, 3) and triangles (F, 3) of a solid's surface, one vertex for every cell that it crosses."""
    low, high = solid.bounds()
    size = tuple(int(n) for n in ((high - low) / solid.cell).ceil() + 1)
    axes = [low[i] + solid.cell * torch.arange(size[i]) for i in range(3)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    value = solid.distance(grid.reshape(-1, 3), noise).reshape(size)
    inside = value < 0
    corner = torch.stack([inside[_window(c, size)] for c in _CORNERS.tolist()], -1)
    crossed = corner.any(-1) & ~corner.all(-1)
    number = torch.full(crossed.shape, -1)
    cells = crossed.nonzero()
    number[crossed] = torch.arange(len(cells))
    at = torch.stack([value[tuple((cells + c).T)] for c in _CORNERS], -1)
    total, hits = torch.zeros(len(cells), 3), torch.zeros(len(cells), 1)
    for a, b in _EDGES:
        va, vb = at[:, a], at[:, b]
        hit = ((va < 0) != (vb < 0)).float()[:, None]
        t = (va / (va - vb).where(hit[:, 0] > 0, torch.ones_like(va)))[:, None]
        total += hit * (_CORNERS[a] + t * (_CORNERS[b] - _CORNERS[a]))
        hits += hit
    vertices = low + solid.cell * (cells + total / hits)
    quads = torch.cat([_quads(inside, number, axis) for axis in range(3)])
    return vertices, torch.cat((quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]))


def _window(corner: Sequence[int], size: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(c, n - 1 + c) for c, n in zip(corner, size, strict=True))


def _quads(inside: Tensor, number: Tensor, axis: int) -> Tensor:
    """One quad around every grid edge along an axis that the surface crosses, outward side counter-clockwise."""
    u, v = (axis + 1) % 3, (axis + 2) % 3
    a, b = inside.narrow(axis, 0, inside.shape[axis] - 1), inside.narrow(axis, 1, inside.shape[axis] - 1)
    edges = (a != b).nonzero()
    edges = edges[((edges[:, [u, v]] > 0) & (edges[:, [u, v]] < torch.tensor(number.shape)[[u, v]])).all(1)]
    outward = a[tuple(edges.T)]
    step = torch.eye(3, dtype=torch.int64)
    around = [edges - step[u] - step[v], edges - step[v], edges, edges - step[u]]
    quad = torch.stack([number[tuple(cell.T)] for cell in around], -1)
    return torch.where(outward[:, None], quad, quad.flip(-1))


def _gradient(solid: Solid, points: Tensor, noise: Noise) -> Tensor:
    step = 0.4 * solid.cell
    shifts = step * torch.eye(3)
    slope = [solid.distance(points + s, noise) - solid.distance(points - s, noise) for s in shifts]
    return torch.nn.functional.normalize(torch.stack(slope, -1), dim=-1)


def _openness(solids: Sequence[Solid], points: Tensor, normals: Tensor) -> Tensor:
    """Ambient occlusion (Quilez): compares the distance to the body, some way outside, with that of a plane."""
    closed = torch.zeros(len(points))
    for out, share in ((0.025, 0.5), (0.07, 0.5)):
        probe = points + out * normals
        distance = torch.stack([s.distance(probe) for s in solids]).amin(0)
        closed += share * ((out - distance) / out).clamp(0, 1)
    return 1 - closed
