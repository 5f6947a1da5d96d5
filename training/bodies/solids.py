"""Body measures for clothes, and rounded boxes and tubes attached to bones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.bodies.mesh import INFLUENCES, Mesh
from gaitkeeper.training.bodies.model import SKIN, Body, BodyModel

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Measures:
    """Positions and sizes on a body at rest, in metres.

    Attributes:
        hip, ankle, neck: heights.
        shoulder, wrist: sideways positions of the left arm.
        nape, throat: points (3,) behind and in front of the neck's middle.
        neck_radius: half of the neck's width.
        back: backward extent of the trunk at the shoulder blades (negative).
        side: half breadth at the hips.
    """

    hip: float
    ankle: float
    neck: float
    shoulder: float
    wrist: float
    nape: Array
    throat: Array
    neck_radius: float
    back: float
    side: float

    @classmethod
    def of(cls, model: BodyModel, body: Body) -> Measures:
        """Measure a body."""
        head = {name: body.heads[model.bones.index(name)] for name in _BONES}
        skin = body.points[:SKIN]
        throat = head["neck01"] + 0.35 * (head["head"] - head["neck01"])
        at_neck = skin[(np.abs(skin[:, 2] - throat[2]) < 0.015) & (np.abs(skin[:, 1]) < 0.12)]
        blades = skin[(np.abs(skin[:, 2] - head["spine02"][2]) < 0.06) & (np.abs(skin[:, 1]) < 0.1)]
        hips = skin[(np.abs(skin[:, 2] - head["upperleg01.L"][2]) < 0.03) & (np.abs(skin[:, 1]) < 0.26)]
        return cls(
            hip=float(head["upperleg01.L"][2]),
            ankle=float(head["foot.L"][2]),
            neck=float(head["neck01"][2]),
            shoulder=float(head["upperarm01.L"][1]),
            wrist=float(head["wrist.L"][1]),
            nape=head["neck01"] + np.array([-0.05, 0.0, 0.0]),
            throat=throat,
            neck_radius=float(np.ptp(at_neck[:, 1]) / 2) if len(at_neck) else 0.06,
            back=float(blades[:, 0].min()) if len(blades) else -0.12,
            side=float(np.abs(hips[:, 1]).max()) if len(hips) else 0.17,
        )

    def down_leg(self, points: Array) -> Array:
        """Position along the leg: 0 at the hip joints, 1 at the ankles, negative above."""
        return np.asarray((self.hip - points[:, 2]) / (self.hip - self.ankle))

    def down_arm(self, points: Array) -> Array:
        """Position along the outstretched arm: 0 at the shoulder, 1 at the wrist."""
        return np.asarray((np.abs(points[:, 1]) - self.shoulder) / (self.wrist - self.shoulder))

    def below_neck(self, points: Array) -> Array:
        """1 from the chest down, falling to 0.25 at the neck, because cloth rests on the shoulders."""
        return np.clip((self.neck + 0.03 - points[:, 2]) / 0.14, 0.25, 1.0)


_BONES = ("upperleg01.L", "foot.L", "neck01", "head", "upperarm01.L", "wrist.L", "spine02")


def rigid(points: Array, triangles: Array, bone: int) -> Mesh:
    """A mesh attached to one bone."""
    bones = np.zeros((len(points), INFLUENCES), np.int32)
    weights = np.zeros((len(points), INFLUENCES), np.float32)
    bones[:, 0], weights[:, 0] = bone, 1.0
    return Mesh(points.astype(np.float32), bones, weights, triangles.astype(np.int32), len(triangles))


def blob(centre: Array, half: Array, bone: int, power: float = 2.5) -> Mesh:
    """A superellipsoid: an ellipsoid at power 2, nearly a box at 5.

    Args:
        centre, half: (3,), metres.
        bone: bone that moves it.
        power: exponent of the superellipsoid.
    """
    rows, columns = 10, 16
    a, b = np.meshgrid(np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, columns, endpoint=False), indexing="ij")

    def swell(x: Array) -> Array:
        return np.asarray(np.sign(x) * np.abs(x) ** (2 / power))

    unit = np.stack((swell(np.sin(a)) * swell(np.cos(b)), swell(np.sin(a)) * swell(np.sin(b)), swell(np.cos(a))), -1)
    return rigid(unit.reshape(-1, 3) * half + centre, _grid(rows, columns), bone)


def tube(start: Array, end: Array, radius: float, bone: int) -> Mesh:
    """A rod between two points (3,), with a radius in metres."""
    along = (end - start) / np.linalg.norm(end - start)
    across = np.cross(along, [1.0, 0.0, 0.0] if abs(along[0]) < 0.9 else [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    angle = np.linspace(0, 2 * np.pi, 6, endpoint=False)[:, None]
    ring = radius * (np.cos(angle) * across + np.sin(angle) * np.cross(along, across))
    return rigid(np.concatenate((start + ring, end + ring)), _grid(2, 6), bone)


def _grid(rows: int, columns: int) -> Array:
    """Triangles of a closed tube of rows by columns."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate((np.stack((a, c, b), -1).reshape(-1, 3), np.stack((b, c, d), -1).reshape(-1, 3)))
