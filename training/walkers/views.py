"""Cameras for batches of walkers: random, or fixed as in CASIA-B, with their projections."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gaitkeeper.training.walkers.anthropometry import Rows
from gaitkeeper.training.walkers.skeleton import INDEX

AZIMUTHS = tuple(range(0, 181, 18))
"""CASIA-B's eleven views in degrees: 0 walks towards the camera, 90 shows the left side, 180 the back."""
NEAREST = 1.7
"""Minimum horizontal distance of a camera from the path's nearest end, in metres."""


@dataclass(eq=False)
class Views(Rows):
    """B pinhole cameras in the frame of a walk along +x; float32 (B,) each.

    Attributes:
        azimuth: direction of the camera from the path's middle in degrees: 0 ahead of the walker, 90 to the left.
        height: metres above the floor.
        distance: horizontal distance from the path's middle in metres, at least ``NEAREST`` from its end.
        aim_side, aim_up: metres from the path's middle at 0.95 m height to the camera's target, to the picture's
            right and up: off the axis, perspective tilts and stretches.
        roll: radians, clockwise in the picture.
        crossing: share of the walker's own movement: 1 crosses the picture, 0 is followed by the camera.
        fill: share of the picture that the whole walk fills, in the tighter direction; above 1 the edge cuts it.
        shift_x, shift_y: in [-1, 1], position of the walk within the free (or lacking) space.
    """

    azimuth: Tensor
    height: Tensor
    distance: Tensor
    aim_side: Tensor
    aim_up: Tensor
    roll: Tensor
    crossing: Tensor
    fill: Tensor
    shift_x: Tensor
    shift_y: Tensor


def draw_views(
    n: int,
    rng: np.random.Generator,
    azimuth: float | np.ndarray | None = None,
    *,
    spread: float = 6.0,
    cut_off: float = 0.0,
) -> Views:
    """Draw cameras from all directions, or around an azimuth.

    Args:
        n: number of cameras.
        rng: random generator.
        azimuth: degrees, one or (n,); None draws from the whole circle.
        spread: standard deviation in degrees around a given azimuth.
        cut_off: share of cameras whose picture's edge sometimes cuts the walker.
    """
    turn = rng.uniform(0, 360, n) if azimuth is None else np.asarray(azimuth) + spread * rng.normal(size=n)
    height = rng.uniform(1.0, 3.5, n)
    cut = rng.random(n) < cut_off
    drawn = {
        "azimuth": turn % 360,
        "height": height,
        "distance": rng.uniform(2.4, 7.0, n) + 0.4 * (height - 1.0),
        "aim_side": 0.4 * rng.normal(size=n),
        "aim_up": 0.2 * rng.normal(size=n),
        "roll": 0.03 * rng.normal(size=n),
        "crossing": np.where(rng.random(n) < 0.75, 1.0, 0.0),
        "fill": np.where(cut, rng.uniform(1.05, 1.7, n), rng.uniform(0.6, 0.97, n)),
        "shift_x": rng.uniform(-1, 1, n),
        "shift_y": rng.uniform(-1, 1, n),
    }
    return _views(drawn)


def fixed_views(azimuths: tuple[float, ...] = AZIMUTHS, *, back: bool = False) -> Views:
    """One camera per azimuth, as in a laboratory: 1.4 m high, 5 m away, level, aimed at the path's middle.

    Args:
        azimuths: degrees.
        back: True for the same cameras while the walker returns along the path: azimuth + 180.
    """
    n = len(azimuths)
    return _views({
        "azimuth": (np.array(azimuths, np.float64) + (180 if back else 0)) % 360,
        "height": np.full(n, 1.4), "distance": np.full(n, 5.0), "aim_side": np.zeros(n), "aim_up": np.zeros(n),
        "roll": np.zeros(n), "crossing": np.ones(n), "fill": np.full(n, 0.9), "shift_x": np.zeros(n),
        "shift_y": np.zeros(n),
    })  # fmt: skip


def place(joints: Tensor, views: Views) -> Tensor:
    """Joints (B, T, J, 3) moved so that the path's middle is the origin; followed walkers stay there.

    Raises:
        ValueError: joints and views have different numbers.
    """
    if len(joints) != len(views):
        raise ValueError(f"{len(joints)} walks and {len(views)} views: one each is needed.")
    pelvis = joints[:, :, INDEX["pelvis"], :2]
    first, last = pelvis[:, :1], pelvis[:, -1:]
    share = torch.linspace(0, 1, joints.shape[1], device=joints.device)[None, :, None]
    way = first + share * (last - first)
    kept = views.crossing[:, None, None] * (way - (first + last) / 2)
    moved = joints.clone()
    moved[..., :2] += (kept - way)[:, :, None]
    return moved


def look(joints: Tensor, views: Views) -> tuple[Tensor, Tensor]:
    """Positions and orientations of the cameras, for placed joints (B, T, J, 3).

    Returns:
        positions (B, 3) and axes (B, 3, 3), rows right, down and forward of the picture.
    """
    a = views.azimuth * (math.pi / 180)
    towards = torch.stack((torch.cos(a), torch.sin(a)), -1)
    reach = (joints[:, :, INDEX["pelvis"], :2] * towards[:, None]).sum(-1).amax(1)
    distance = torch.maximum(views.distance, reach + NEAREST)
    position = torch.cat((distance[:, None] * towards, views.height[:, None]), -1)
    zero = torch.zeros_like(a)
    right = torch.stack((-torch.sin(a), torch.cos(a), zero), -1)
    target = views.aim_side[:, None] * right
    target = torch.cat((target[:, :2], (0.95 + views.aim_up)[:, None]), -1)
    forward = torch.nn.functional.normalize(target - position, dim=-1)
    up = torch.tensor([0.0, 0.0, 1.0], device=a.device).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    down = torch.linalg.cross(forward, right)
    c, s = torch.cos(views.roll)[:, None], torch.sin(views.roll)[:, None]
    return position, torch.stack((c * right - s * down, s * right + c * down, forward), 1)


def _views(drawn: dict[str, np.ndarray]) -> Views:
    return Views(**{name: torch.tensor(np.asarray(values), dtype=torch.float32) for name, values in drawn.items()})
