"""Rooms of pictures: a textured floor, a wall behind, and the direction of the light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_CELLS = 32


@dataclass(frozen=True)
class Room:
    """Floor, wall and light; colours are linear RGB.

    Attributes:
        wall: metres behind the place where people walk.
        floor_colour, wall_colour: red, green, blue in [0, 1].
        tile: side of a tile in metres; 0 for a floor without joints.
        light: direction towards the light, of any length.
        seed: seed of the textures.
    """

    wall: float = 2.2
    floor_colour: tuple[float, float, float] = (0.32, 0.29, 0.25)
    wall_colour: tuple[float, float, float] = (0.55, 0.55, 0.52)
    tile: float = 0.6
    light: tuple[float, float, float] = (0.35, -0.45, 1.0)
    seed: int = 0

    @classmethod
    def drawn(cls, seed: int) -> Room:
        """The room with this seed."""
        rng = np.random.default_rng([seed, 0x400B])
        grey, warm = rng.uniform(0.18, 0.42), rng.uniform(0.85, 1.1)
        pale, tint = rng.uniform(0.38, 0.68), rng.uniform(0.9, 1.06)
        return cls(
            wall=float(rng.uniform(1.6, 3.5)),
            floor_colour=(grey * warm, grey, grey / warm),
            wall_colour=(pale * tint, pale, pale / tint),
            tile=float(rng.choice((0.0, 0.45, 0.6, 1.2))),
            light=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-0.6, 0.6)), 1.0),
            seed=seed,
        )


def room_colours(room: Room, origin: Tensor, target: Tensor, rays: Tensor) -> Tensor:
    """Colours where rays (H, W, 3) from a camera hit: linear RGB, and 1 for the floor or 0 for the wall, (H, W, 4).

    Args:
        room: floor and wall.
        origin: (3,), position of the camera in metres.
        target: (3,), a point in front of the wall.
        rays: directions in the world.
    """
    texture = _Texture(room.seed)
    floor = (-origin[2] / rays[..., 2]).where(rays[..., 2] < -1e-6, torch.inf)
    # The wall stands upright across the line of sight, a little askew.
    ahead = target[:2] - origin[:2]
    angle = math.atan2(float(ahead[1]), float(ahead[0])) + 0.12 * math.sin(room.seed)
    facing = torch.tensor([math.cos(angle), math.sin(angle)])
    reach = float(ahead @ facing) + room.wall
    towards = rays[..., :2] @ facing
    wall = (reach / towards).where(towards > 1e-6, torch.inf)
    on_floor = (floor < wall)[..., None]
    points = origin + torch.minimum(floor, wall).clamp(max=60.0)[..., None] * rays
    along = points[..., :2] @ torch.tensor([-math.sin(angle), math.cos(angle)])
    colour = torch.where(on_floor, _floor(points, room, texture), _wall(points, along, room, texture))
    # Light decreases towards the edges of the room and the corner of floor and wall.
    corner = (reach - (points[..., :2] - origin[:2]) @ facing).abs() + points[..., 2].abs()
    radius = (points[..., :2] - target[:2]).norm(dim=-1)
    light = (0.72 + 0.28 * torch.exp(-((radius / 5) ** 2))) * (1 - 0.35 * torch.exp(-corner / 0.25))
    return torch.cat((colour * light[..., None], on_floor.float()), -1)


class _Texture:
    """A smooth random function of the plane, which repeats every 32 units."""

    def __init__(self, seed: int) -> None:
        lattice = torch.rand(_CELLS, _CELLS, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        for axis in range(2):  # one cell repeats at the far end, so that the lattice wraps
            lattice = torch.cat((lattice, lattice.narrow(axis, 0, 1)), axis)
        self._lattice = lattice[None, None]

    def __call__(self, points: Tensor) -> Tensor:
        """Values (H, W) in [-1, 1] at points (H, W, 2); neighbouring lattice values are one unit apart."""
        wrapped = points - (points / _CELLS).floor() * _CELLS
        return F.grid_sample(self._lattice, (wrapped / (_CELLS / 2) - 1)[None], align_corners=True)[0, 0]


def _floor(points: Tensor, room: Room, texture: _Texture) -> Tensor:
    at = points[..., :2]
    value = 1 + 0.06 * texture(at * 3.1) + 0.07 * texture(at * 37.0)
    if room.tile:
        tiles = at / room.tile
        edge = ((tiles - tiles.round()).abs() * room.tile).amin(-1)
        value = (value + 0.07 * texture(tiles.floor() * 1.37)) * (1 - 0.35 * torch.exp(-((edge / 0.006) ** 2)))
    return value[..., None] * torch.tensor(room.floor_colour)


def _wall(points: Tensor, along: Tensor, room: Room, texture: _Texture) -> Tensor:
    height = points[..., 2]
    value = 1 + 0.04 * texture(torch.stack((along, height), -1) * 7.0)
    panel = along / 1.2
    value = value * torch.where((panel - panel.round()).abs() * 1.2 < 0.006, 0.8, 1.0)
    value = value * torch.where(height < 0.95, 0.88, 1.0)
    return torch.where(height < 0.10, 0.45, value)[..., None] * torch.tensor(room.wall_colour)
