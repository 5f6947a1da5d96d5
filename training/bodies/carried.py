"""Bags and their straps on bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.bodies.mesh import Mesh
from gaitkeeper.training.bodies.model import Body, BodyModel
from gaitkeeper.training.bodies.outfit import Carried
from gaitkeeper.training.bodies.solids import Measures, blob, tube

Array = npt.NDArray[Any]
Strap = Callable[[Body, Callable[[Array], Array], float], list[Mesh]]

_BOX = 4.0
_STRAP = 0.012  # distance of a strap from the clothes in metres


def carry(model: BodyModel, body: Body, what: Carried, at: Measures, ease: float, strap: Strap) -> list[Mesh]:
    """The meshes of a bag.

    Args:
        model, body: the carrier.
        what: the carried item.
        at: measures of the body.
        ease: ease of the clothes below it, in metres.
        strap: makes a band from the chosen vertices.
    """
    half, letter = np.array(what.size), "L" if what.side > 0 else "R"
    if what.kind == "backpack":
        middle = np.array([at.back - ease - 0.8 * half[0], 0.0, at.neck - 0.10 - 0.75 * half[2] - what.low])

        def over(points: Array) -> Array:
            near = np.abs(np.abs(points[:, 1]) - 0.75 * at.shoulder) < 0.022
            return np.asarray(near & (points[:, 2] > at.neck - 0.30))

        bands = strap(body, over, ease + _STRAP)
        return [blob(middle, half, model.bones.index("spine02"), _BOX), *bands]
    if what.kind == "shoulder bag":
        away = what.side * (at.side + ease + 0.9 * half[1])
        middle = np.array([-0.02, away, at.hip - what.low])
        # The strap lies in a plane along the walking direction, from the bag to the other shoulder.
        shoulder = np.array([-what.side * 0.6 * at.shoulder, at.neck])
        line = shoulder - np.array([away, at.hip])
        across = np.array([-line[1], line[0]]) / np.linalg.norm(line)

        def on(points: Array) -> Array:
            return np.asarray(np.abs((points[:, 1:] - shoulder) @ across) < 0.022)

        return [blob(middle, half, model.bones.index("root"), _BOX), *strap(body, on, ease + _STRAP)]
    hand = body.heads[model.bones.index(f"finger3-1.{letter}")]
    wrist = model.bones.index(f"wrist.{letter}")
    # Arms are held out at rest and hang in walking: an item in a hand continues along the arm.
    elbow = body.heads[model.bones.index(f"lowerarm01.{letter}")]
    along = (hand - elbow) / np.linalg.norm(hand - elbow)
    if what.kind == "hand bag":
        middle = hand + along * (half[2] + 0.05)
        return [_hung(blob(np.zeros(3), half, wrist, _BOX), middle, along), tube(hand, middle, 0.012, wrist)]
    behind = np.array([-0.45, what.side * (at.side + 0.10), at.ankle + half[2]])
    handle = np.array([-0.12, what.side * (at.side + 0.10), at.hip + 0.02])
    root = model.bones.index("root")
    return [blob(behind, half, root, _BOX), tube(behind + np.array([0.0, 0.0, half[2]]), handle, 0.012, root)]


def _hung(box: Mesh, middle: Array, along: Array) -> Mesh:
    """A box at a point, turned so that its height lies along a direction."""
    down = -along
    ahead = np.array([1.0, 0.0, 0.0]) - down * down[0]
    ahead /= np.linalg.norm(ahead)
    turn = np.stack((ahead, np.cross(down, ahead), down), 1)
    return Mesh((box.points @ turn.T + middle).astype(np.float32), box.bones, box.weights, box.triangles, box.closed)
