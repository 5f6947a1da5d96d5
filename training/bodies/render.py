"""Silhouettes, joints and boxes of walking bodies, as the pipeline would see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gaitkeeper.training.bodies.kernels import fill_frames, project_frames
from gaitkeeper.training.bodies.mesh import Mesh
from gaitkeeper.training.bodies.mistakes import Mistakes, spoil
from gaitkeeper.training.bodies.model import Body, BodyModel
from gaitkeeper.training.bodies.pose import pose
from gaitkeeper.training.walkers.perception_noise import perceive
from gaitkeeper.training.walkers.silhouettes import (
    FINE,
    PICTURE,
    ROUNDED,
    SIDE,
    WIDE,
    Seen,
    far_side,
    fit,
    normalised,
    soften,
)
from gaitkeeper.training.walkers.skeleton import INDEX
from gaitkeeper.training.walkers.views import Views, look, place

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dressed:
    """A body in clothes, with its COCO joints.

    Attributes:
        body: body without clothes.
        mesh: mesh with clothes.
        moments, shares: see :meth:`BodyModel.coco`.
    """

    body: Body
    mesh: Mesh
    moments: Array
    shares: Array

    @classmethod
    def of(cls, model: BodyModel, body: Body, mesh: Mesh) -> Dressed:
        """A body in the clothes of a mesh."""
        return cls(body, mesh, *model.coco(body))


@dataclass(frozen=True, eq=False)
class Posed:
    """The bones of a body in T frames.

    Attributes:
        turns, shifts: float32 (T, B, 3, 3) and (T, B, 3), see :func:`gaitkeeper.training.bodies.pose.pose`.
        root: float32 (T, 2), position of the body on the ground.
    """

    turns: Array
    shifts: Array
    root: Array

    @classmethod
    def of(cls, model: BodyModel, body: Body, joints: Array, rest: Array) -> Posed:
        """A body that follows joints (T, J, 3); its hips are above the ground position of the motion's pelvis."""
        turns, shifts = pose(model, body, joints, np.asarray(rest, np.float64))
        hips = turns[:, 0] @ _middle(model, body).astype(np.float32) + shifts[:, 0]
        return cls(turns, shifts, (joints[:, INDEX["pelvis"], :2] - hips[:, :2]).astype(np.float32))

    def coco(self, dressed: Dressed, floor: Array) -> Array:
        """The COCO joints in the world (T, 17, 3), with the vertical shift (T,) of each frame."""
        spread = self.turns.transpose(0, 2, 1, 3).reshape(len(floor), 3, -1)
        coco = (spread @ dressed.moments.reshape(len(dressed.moments), -1).T).swapaxes(1, 2)
        coco = coco + dressed.shares @ self.shifts
        coco[..., :2] += self.root[:, None]
        coco[..., 2] += floor[:, None]
        return np.asarray(coco)

    def project(self, mesh: Mesh, position: Array, axes: Array) -> tuple[Array, Array, Array]:
        """Tangents (T, V, 2) of a mesh's points, their extents (T, 4), x0 y0 x1 y1, and the vertical shifts (T,).

        Args:
            mesh: mesh at rest.
            position, axes: float32 (3,) and (3, 3) of the camera: rows right, down, forward.
        """
        frames = len(self.root)
        seen = np.empty((frames, len(mesh.points), 2), np.float32)
        extent, floor = np.empty((frames, 4), np.float32), np.empty(frames, np.float32)
        project_frames(
            mesh.points, mesh.bones, mesh.weights, self.turns, self.shifts, self.root,
            position, np.ascontiguousarray(axes), seen, extent, floor,
        )  # fmt: skip
        return seen, extent, floor


def render(
    model: BodyModel,
    dressed: Dressed,
    joints: Array,
    rest: Array,
    views: Views,
    noise: np.random.Generator | None = None,
    mistakes: Mistakes | None = None,
) -> Seen:
    """Render one walk of one body.

    Args:
        model: model of the body.
        dressed: the walker.
        joints: float (T, J, 3) metres, z up, along +x; J as in ``skeleton.JOINTS``.
        rest: float (J, 3), the same skeleton at rest.
        views: one camera.
        noise: random generator for the errors of a person model; None gives the truth, with all scores 1.
        mistakes: larger mask errors of this walk; needs ``noise``.

    Returns:
        A batch of one walk.
    """
    placed = place(torch.from_numpy(np.asarray(joints))[None].float(), views)
    position, axes = look(placed, views)
    frames, mesh = len(joints), dressed.mesh
    posed = Posed.of(model, dressed.body, placed[0].numpy().astype(np.float64), rest)
    seen, extent, floor = posed.project(mesh, position[0].numpy(), axes[0].numpy())
    low, high = torch.from_numpy(extent[None, :, :2]), torch.from_numpy(extent[None, :, 2:])
    scale, centre = fit(low, high, views)
    edge = torch.tensor(PICTURE)
    low, high = ((side - centre) * scale + edge / 2 for side in (low, high))
    whole = ((low > 0.5) & (high < edge - 0.5)).all(-1)
    boxes = torch.cat((low.clamp_min(0).minimum(edge - 2), high.minimum(edge).clamp_min(2)), -1)

    coco = posed.coco(dressed, floor)
    away = (torch.from_numpy(coco).float() - position[0]) @ axes[0].T
    truth = (away[..., :2] / away[..., 2:].clamp_min(0.3) - centre[0]) * scale[0] + edge / 2
    scored = torch.cat((truth, torch.ones_like(truth[..., :1])), -1)[None]
    if noise is not None:
        scored = perceive(scored, far_side(placed, axes), noise)

    window = extent if mistakes is None or noise is None else mistakes.cut(extent, noise)
    y0, y1 = window[:, 1], window[:, 3]
    trim = (y1 - y0) * np.float32(ROUNDED / SIDE)
    unit = (y1 - y0 - 2 * trim) / np.float32(FINE)
    origin = np.stack(((window[:, 0] + window[:, 2]) / 2 - unit * WIDE / 2, y0 + trim), 1).astype(np.float32)
    fine = np.zeros((frames, FINE, WIDE), np.uint8)
    fill_frames(seen, mesh.triangles, mesh.closed, origin, unit.astype(np.float32), fine)
    covered = torch.from_numpy(fine)
    if mistakes is not None and noise is not None:
        covered = spoil(covered, mistakes, noise)
    silhouettes = normalised(soften(covered), noise)
    return Seen(silhouettes[None], scored, boxes, whole)


def _middle(model: BodyModel, body: Body) -> Array:
    left, right = (body.heads[model.bones.index(f"upperleg01.{side}")] for side in "LR")
    return np.asarray((left + right) / 2)
