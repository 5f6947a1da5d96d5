"""A plain room with a static camera: textured floor, a wall behind, one light, and the people who walk in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from gaitkeeper.training.walkers.camera import Camera
from gaitkeeper.training.walkers.gait import Path, speed, walk_at
from gaitkeeper.training.walkers.noise import Noise
from gaitkeeper.training.walkers.person import Person

Motion = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Walker:
    """A person in the scene, with a function that gives joints (T, J, 3) at times (T,) in seconds."""

    person: Person
    motion: Motion

    @classmethod
    def along(cls, person: Person, path: Path) -> Walker:
        """A walker on a straight path."""
        return cls(person, partial(walk_at, person, path=path))

    @classmethod
    def pacing(cls, person: Person, path: Path, leg: float) -> Walker:
        """A walker who goes along a path for ``leg`` seconds, then back, and so on; turn outside the picture."""

        def motion(times: Tensor) -> Tensor:
            length = speed(person) * leg
            far = (path.start[0] + length * math.cos(path.heading), path.start[1] + length * math.sin(path.heading))
            back = Path(far, path.heading + math.pi, path.phase)
            t = times.double() % (2 * leg)
            out = walk_at(person, t, path)
            returning = t >= leg
            out[returning] = walk_at(person, t[returning] - leg, back)
            return out

        return cls(person, motion)


@dataclass(frozen=True)
class Room:
    """Floor, wall and light; colours are linear RGB."""

    wall: float = 2.2  # metres behind the camera's target
    floor_colour: tuple[float, float, float] = (0.32, 0.29, 0.25)
    wall_colour: tuple[float, float, float] = (0.55, 0.55, 0.52)
    tile: float = 0.6  # metres; 0 for a floor without joints
    light: tuple[float, float, float] = (0.35, -0.45, 1.0)  # towards the light
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


@dataclass(frozen=True)
class Scene:
    """A scene: camera, room and walkers."""

    camera: Camera
    walkers: Sequence[Walker] = ()
    room: Room = field(default_factory=Room)

    def light(self) -> Tensor:
        """Unit vector (3,) towards the light."""
        return torch.nn.functional.normalize(torch.tensor(self.room.light), dim=0)


def background(scene: Scene, samples: int = 2, band: int = 120) -> tuple[Tensor, Tensor]:
    """The empty room: linear RGB (H, W, 3) float32, and the share of floor (H, W) in [0, 1].

    Args:
        scene: the scene; only its camera and room are used.
        samples: rays along each side of a pixel.
        band: rows of pixels processed together, which limits the memory.
    """
    camera = scene.camera
    noise = Noise(scene.room.seed)
    bands = []
    for top in range(0, camera.height, band):
        rays = camera.rays(samples, top, min(top + band, camera.height))
        position, target = torch.tensor(camera.position), torch.tensor(camera.target)
        colour = room_colours(scene.room, position, target, rays, noise).permute(2, 0, 1)
        bands.append(torch.nn.functional.avg_pool2d(colour, samples).permute(1, 2, 0))
    picture = torch.cat(bands)
    return picture[..., :3].contiguous(), picture[..., 3].contiguous()


def room_colours(room: Room, origin: Tensor, target: Tensor, rays: Tensor, noise: Noise) -> Tensor:
    """Colours where rays (H, W, 3) from a camera hit: linear RGB, and 1 for the floor or 0 for the wall, (H, W, 4).

    Args:
        room: floor and wall.
        origin: (3,), position of the camera in metres.
        target: (3,), a point in front of the wall.
        rays: directions in the world.
        noise: texture of the surfaces.
    """
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
    colour = torch.where(on_floor, _floor(points, room, noise), _wall(points, along, room, noise))
    # Light decreases towards the edges of the room and the corner of floor and wall.
    corner = (reach - (points[..., :2] - origin[:2]) @ facing).abs() + points[..., 2].abs()
    radius = (points[..., :2] - target[:2]).norm(dim=-1)
    light = (0.72 + 0.28 * torch.exp(-((radius / 5) ** 2))) * (1 - 0.35 * torch.exp(-corner / 0.25))
    return torch.cat((colour * light[..., None], on_floor.float()), -1)


def _floor(points: Tensor, room: Room, noise: Noise) -> Tensor:
    at = points[..., :2]
    value = 1 + 0.06 * noise.flat(at * 3.1) + 0.07 * noise.flat(at * 37.0)
    if room.tile:
        tiles = at / room.tile
        edge = ((tiles - tiles.round()).abs() * room.tile).amin(-1)
        value = (value + 0.07 * noise.flat(tiles.floor() * 1.37)) * (1 - 0.35 * torch.exp(-((edge / 0.006) ** 2)))
    return value[..., None] * torch.tensor(room.floor_colour)


def _wall(points: Tensor, along: Tensor, room: Room, noise: Noise) -> Tensor:
    height = points[..., 2]
    value = 1 + 0.04 * noise.flat(torch.stack((along, height), -1) * 7.0)
    panel = along / 1.2
    value = value * torch.where((panel - panel.round()).abs() * 1.2 < 0.006, 0.8, 1.0)
    value = value * torch.where(height < 0.95, 0.88, 1.0)
    return torch.where(height < 0.10, 0.45, value)[..., None] * torch.tensor(room.wall_colour)
