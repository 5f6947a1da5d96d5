"""MakeHuman's clothes: `.mhclo` files, which bind every vertex of a garment to three vertices of the base mesh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.bodies.mesh import heaviest, thin
from gaitkeeper.training.bodies.model import Body, BodyModel
from gaitkeeper.training.errors import BadAsset

Array = npt.NDArray[Any]

_DECIMETRES = 10.0


@dataclass(frozen=True, eq=False)
class Garment:
    """A simplified garment that fits every body.

    Attributes:
        name: name of its folder.
        anchors: int (V, 3), vertices of the base mesh.
        shares: float32 (V, 3), weight of each anchor.
        offsets: float32 (V, 3), offset from the anchors, in decimetres of the base mesh (x left, y up, z ahead) at
            scale 1.
        scales: for each axis two vertices of the base mesh and their distance at scale 1.
        bones, weights: (V, 4).
        triangles: int32 (F, 3).
        hidden: bool (V of the base mesh,), the skin below the garment.
    """

    name: str
    anchors: Array
    shares: Array
    offsets: Array
    scales: dict[int, tuple[int, int, float]]
    bones: Array
    weights: Array
    triangles: Array
    hidden: Array

    def on(self, body: Body) -> Array:
        """Vertices (V, 3) of the garment on a body, float32, metres."""
        return _bound(body, self.anchors, self.shares, self.offsets, self.scales)


def read_garment(path: Path, model: BodyModel, cell: float) -> Garment:
    """The garment of an `.mhclo` file and the `.obj` beside it.

    Args:
        path: path of the `.mhclo` file.
        model: model with the bones.
        cell: cell size of the simplification in metres.

    Raises:
        BadAsset: a file is missing, or has another format.
    """
    try:
        rows, scales, mesh, below = _parse(path)
        triangles, count = _faces(path.with_name(mesh))
        numbers = np.array(rows, np.float64)
        anchors = numbers[:, :3].astype(np.int64)
        if len(rows) != count or anchors.max() >= len(model.dense):
            raise ValueError(f"{len(rows)} vertices are tied, the mesh has {count}")
    except (OSError, ValueError, IndexError) as error:
        raise BadAsset(f"{path} is not a garment: {error}.") from error
    shares, offsets = numbers[:, 3:6].astype(np.float32), numbers[:, 6:].astype(np.float32)
    points = _bound(model.mean, anchors, shares, offsets, scales)
    kept, triangles = thin(points, triangles, cell)
    carried = np.einsum("vk,vkb->vb", np.clip(shares[kept], 0, 1), model.dense[anchors[kept]])
    bones, weights = heaviest(carried)
    hidden = np.zeros(len(model.dense), bool)
    hidden[below] = True
    return Garment(path.stem, anchors[kept], shares[kept], offsets[kept], scales, bones, weights, triangles, hidden)


def _bound(
    body: Body, anchors: Array, shares: Array, offsets: Array, scales: dict[int, tuple[int, int, float]]
) -> Array:
    points = body.points
    # The file's axes are x left, y up, z ahead; ours are x ahead, y left, z up.
    ours = {0: 1, 1: 2, 2: 0}
    out = np.einsum("vk,vkc->vc", shares, points[anchors])
    for axis, column in ours.items():
        scale = 1.0
        if axis in scales:
            a, b, distance = scales[axis]
            scale = abs(float(points[a, column] - points[b, column])) * _DECIMETRES / distance
        out[:, column] += offsets[:, axis] * scale / _DECIMETRES
    return np.asarray(out, np.float32)


def _parse(path: Path) -> tuple[list[list[float]], dict[int, tuple[int, int, float]], str, list[int]]:
    rows: list[list[float]] = []
    below: list[int] = []
    scales: dict[int, tuple[int, int, float]] = {}
    mesh, part = "", ""
    for line in path.read_text(errors="replace").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        key = words[0]
        if key == "verts":
            part = key
        elif key == "obj_file":
            mesh = words[1]
        elif key in ("x_scale", "y_scale", "z_scale"):
            scales["xyz".index(key[0])] = (int(words[1]), int(words[2]), float(words[3]))
        elif part == "verts" and len(words) == 1 and key.isdigit():
            rows.append([float(key)] * 3 + [1.0, 0.0, 0.0] + [0.0] * 3)
        elif part == "verts" and key.isdigit() and len(words) >= 6:
            numbers = [float(word) for word in words[:9]]
            rows.append(numbers + [0.0] * (9 - len(numbers)))
        elif key in ("delete_verts", "weights"):
            part = key
        elif part == "delete_verts" and key.isdigit():
            below += _ranges(words)
    if not rows or not mesh:
        raise ValueError("it fits no vertices or has no mesh")
    return rows, scales, mesh, below


def _ranges(words: list[str]) -> list[int]:
    """Parse ``1 - 3 7`` to 1, 2, 3, 7."""
    found: list[int] = []
    for i, word in enumerate(words):
        if word != "-" and (i == 0 or words[i - 1] != "-"):
            found.append(int(word))
        elif word != "-":
            found += range(found[-1] + 1, int(word) + 1)
    return found


def _faces(path: Path) -> tuple[Array, int]:
    triangles, count = [], 0
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("v "):
            count += 1
        elif line.startswith("f "):
            corners = [int(word.split("/")[0]) - 1 for word in line.split()[1:]]
            triangles += [[corners[0], corners[i], corners[i + 1]] for i in range(1, len(corners) - 1)]
    return np.array(triangles, np.int64).reshape(-1, 3), count
