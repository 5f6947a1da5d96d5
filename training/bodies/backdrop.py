"""Backgrounds of pictures: a floor and a wall, near or far, with things of random shapes and colours at the wall."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import torch

from gaitkeeper.training.bodies.pictures import Array, Backdrop, Lamp, Viewpoint
from gaitkeeper.training.bodies.room import Room, room_colours

_AIM = 0.95  # metres above the floor


def backdrop(view: Viewpoint, room: Room, target: tuple[float, float] = (0.0, 0.0), *, samples: int = 2) -> Backdrop:
    """A room, seen by a camera.

    Args:
        view: the camera.
        room: floor and wall.
        target: x and y in metres of the place before the wall where people walk.
        samples: rays along each side of a pixel.
    """
    aim = torch.tensor([*target, _AIM], dtype=torch.float32)
    rays = torch.from_numpy(view.rays(samples))
    colours = room_colours(room, torch.from_numpy(view.position), aim, rays).numpy()
    picture = cv2.resize(np.ascontiguousarray(colours), view.size, interpolation=cv2.INTER_AREA)
    return Backdrop(np.ascontiguousarray(picture[..., :3]), np.ascontiguousarray(picture[..., 3]))


def draw_room(rng: np.random.Generator, depth: float) -> Room:
    """A room, or a place outdoors, of any brightness; ``depth`` is the least distance of the wall in metres."""
    outdoors = rng.random() < 0.4
    wall = float(np.exp(rng.uniform(math.log(5), math.log(30))) if outdoors else rng.uniform(1.2, 5.0))
    return Room(
        wall=depth + wall,
        floor_colour=_dull(0.08, 0.6, rng),
        wall_colour=_dull(0.05, 0.85, rng),
        tile=0.0 if outdoors else float(rng.choice((0.0, 0.3, 0.45, 0.6, 1.2))),
        light=(float(rng.uniform(-0.9, 0.9)), float(rng.uniform(-0.9, 0.9)), 1.0),
        seed=int(rng.integers(2**31)),
    )


def draw_lamp(room: Room, rng: np.random.Generator) -> Lamp:
    """Light from the room's direction; where the lamp is weak, shadows are soft and shapes look flat."""
    towards = np.array(room.light) / np.linalg.norm(room.light)
    lamp = float(rng.uniform(0.2, 1.1))
    return Lamp((float(towards[0]), float(towards[1]), float(towards[2])), lamp, float(rng.uniform(0.3, 0.8)))


def cluttered(scene: Backdrop, rng: np.random.Generator) -> Backdrop:
    """The same scene with things before the wall, and with blotches at several scales everywhere."""
    picture = scene.picture.copy()
    height, width = scene.floor.shape
    for _ in range(int(rng.integers(0, 9))):
        mask = np.zeros((height, width), np.float32)
        w, h = np.exp(rng.uniform(math.log(0.03), math.log(0.6), 2)) * (width, height)
        x, y = rng.uniform(-0.1, 1.1) * width, rng.uniform(-0.1, 0.8) * height
        if rng.random() < 0.6:
            cv2.rectangle(mask, (int(x - w / 2), int(y - h / 2)), (int(x + w / 2), int(y + h / 2)), 1.0, -1)
        else:
            cv2.ellipse(mask, (int(x), int(y)), (int(w / 2) + 1, int(h / 2) + 1), 0, 0, 360, 1.0, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.3, 3.0)) * rng.uniform(0.15, 1.0) * (1 - scene.floor)
        picture += mask[..., None] * (np.array(_dull(0.03, 0.8, rng), np.float32) - picture)
    picture *= 1 + _blotches((width, height), rng)[..., None]
    return replace(scene, picture=np.clip(picture, 0.002, 1).astype(np.float32))


def _blotches(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Noise (H, W) of four scales, about 0; leaves, bricks and shadows have much of it, walls little."""
    strength = rng.choice((0.02, 0.08, 0.2))
    total = np.zeros(size[::-1], np.float32)
    for cells in (4, 12, 36, 90):
        coarse = rng.normal(size=(max(2, cells * size[1] // size[0]), cells)).astype(np.float32)
        total += rng.uniform(0, strength) * cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return np.clip(total, -0.7, 0.9)


def _dull(low: float, high: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """A colour of log-uniform brightness, mostly grey."""
    grey = math.exp(rng.uniform(math.log(low), math.log(high)))
    tint = np.clip(1 + rng.choice((0.04, 0.2)) * rng.normal(size=3), 0.3, 1.7)
    red, green, blue = (float(value) for value in np.clip(grey * tint, 0.01, 0.95))
    return red, green, blue
