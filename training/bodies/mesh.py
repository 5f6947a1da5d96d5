"""Skinned triangle meshes of bodies and clothes: join, simplify to the detail of a silhouette, and compute normals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

INFLUENCES = 4
"""Maximum number of bones per vertex."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A skinned mesh at rest.

    Attributes:
        points: float32 (V, 3), metres; x ahead, y left, z up.
        bones, weights: int32 and float32 (V, 4), the heaviest first, summing to 1.
        triangles: int32 (F, 3), counter-clockwise seen from outside.
        closed: number of triangles, at the start, of surfaces whose inside is never visible.
        materials: uint8 (V,), or (1,) for one of all vertices: a :class:`gaitkeeper.training.bodies.paint.Material`.
    """

    points: Array
    bones: Array
    weights: Array
    triangles: Array
    closed: int = 0
    materials: Array = field(default_factory=lambda: np.zeros(1, np.uint8))

    def of(self, material: int | Array) -> Mesh:
        """The same mesh, of one material or of one for each vertex."""
        return replace(self, materials=np.broadcast_to(np.uint8(material), len(self.points)))


def join(pieces: Sequence[Mesh]) -> Mesh:
    """Join several meshes."""
    starts = np.cumsum([0, *(len(piece.points) for piece in pieces)])
    moved = [piece.triangles + np.int32(start) for piece, start in zip(pieces, starts[:-1], strict=True)]
    closed = [triangles[: piece.closed] for piece, triangles in zip(pieces, moved, strict=True)]
    rest = [triangles[piece.closed :] for piece, triangles in zip(pieces, moved, strict=True)]
    return Mesh(
        np.concatenate([piece.points for piece in pieces]),
        np.concatenate([piece.bones for piece in pieces]),
        np.concatenate([piece.weights for piece in pieces]),
        np.ascontiguousarray(np.concatenate(closed + rest)),
        sum(piece.closed for piece in pieces),
        np.concatenate([np.broadcast_to(piece.materials, len(piece.points)) for piece in pieces]),
    )


def heaviest(dense: Array) -> tuple[Array, Array]:
    """Bones and weights (V, 4) from weights (V, B) of all bones."""
    bones = np.argsort(-dense, axis=1, kind="stable")[:, :INFLUENCES]
    weights = np.take_along_axis(dense, bones, 1)
    weights = weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)
    return bones.astype(np.int32), weights.astype(np.float32)


def thin(points: Array, triangles: Array, cell: float) -> tuple[Array, Array]:
    """Simplify a mesh: the vertices in one cubic cell are replaced by the one nearest to their mean.

    Args:
        points: (V, 3), in any one shape; the result is used for all shapes.
        triangles: int (F, 3).
        cell: metres.

    Returns:
        sorted indices (U,) of the remaining vertices, and triangles (G, 3) into them.
    """
    used = np.unique(triangles)
    key = np.floor(points[used] / cell).astype(np.int64)
    key -= key.min(0)
    _, group = np.unique(key @ np.array([1, 1 << 20, 1 << 40]), return_inverse=True)
    count = int(group.max()) + 1
    size = np.bincount(group, minlength=count)
    mean = np.stack([np.bincount(group, points[used, axis], count) / size for axis in range(3)], 1)
    away = np.linalg.norm(points[used] - mean[group], axis=1)
    order = np.lexsort((away, group))
    chosen = order[np.r_[True, group[order][1:] != group[order][:-1]]]  # the nearest of each group
    kept = used[chosen]
    place = np.zeros(len(points), np.int64)
    place[used] = group
    moved = place[triangles]
    whole = (moved[:, 0] != moved[:, 1]) & (moved[:, 1] != moved[:, 2]) & (moved[:, 0] != moved[:, 2])
    moved = moved[whole]
    # Thin parts become two triangles back to back; keep both, because only one of them faces the camera.
    start = moved.argmin(1)
    turned = np.take_along_axis(moved, (start[:, None] + np.arange(3)) % 3, 1)
    _, first = np.unique(turned, axis=0, return_index=True)
    sort = np.argsort(kept)
    rank = np.empty(count, np.int64)
    rank[sort] = np.arange(count)
    return kept[sort], rank[moved[np.sort(first)]].astype(np.int32)


def normals(points: Array, triangles: Array) -> Array:
    """Unit normals (V, 3), float32, weighted by the areas of the triangles around each vertex."""
    corners = points[triangles]
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [sum(np.bincount(triangles[:, k], face[:, axis], len(points)) for k in range(3)) for axis in range(3)],
        1,
    )
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12), np.float32)
