"""Frames of a scene, one after the other, with the truth about everyone in them. Nothing is ever held whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from training.walkers.body import build
from training.walkers.camera import Camera
from training.walkers.mesh import Body
from training.walkers.paint import Paint
from training.walkers.person import Gait, Person
from training.walkers.raster import rasterise, take
from training.walkers.scene import Scene, background
from training.walkers.skeleton import coco_joints

Image = npt.NDArray[np.uint8]

_GAMMA = 1 / 2.2
_SHADOW = 0.42  # how much of the floor's light the softened shadow takes
_SENSOR = 1.6  # standard deviation of the sensor's noise in grey levels


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known about one walker in one frame.

    Attributes:
        mask: bool (H, W), the pixels where the walker is what is seen.
        whole: bool (H, W), the pixels that the walker would cover were nobody in front.
        joints: float32 (17, 2), COCO-17 x, y in pixels, also where hidden or outside the picture.
        depth: metres from the camera to the walker's pelvis, along the line of sight.
    """

    mask: npt.NDArray[np.bool_]
    whole: npt.NDArray[np.bool_]
    joints: npt.NDArray[np.float32]
    depth: float


@dataclass(frozen=True, eq=False)
class Frame:
    """One rendered picture, RGB uint8 (H, W, 3), and the truth about each walker in the order of the scene."""

    time: float
    image: Image
    people: tuple[Truth, ...]


@dataclass(frozen=True)
class _Layer:
    """One walker over a few frames, inside a box that holds them all: colour, depth (inf: not there), shadow."""

    colour: Tensor
    depth: Tensor
    left: int
    top: int


@dataclass(frozen=True)
class _Dressed:
    """A body with its paint, and what every vertex carries to the pixels: place at rest, openness, weave (V, 5)."""

    body: Body
    paint: Paint
    carried: Tensor


@lru_cache(maxsize=16)
def _dressed(person: Person, detail: float, device: str) -> _Dressed:
    body = build(person, detail).to(device)
    paint = Paint(person, body)
    return _Dressed(
        body, paint, torch.cat((body.vertices, body.shade[:, None], paint.weave(body.vertices)[:, None]), -1)
    )


def _detail(scene: Scene, joints: Tensor) -> float:
    """Fineness of the mesh that the picture can show: grid steps of about two and a half pixels, in few classes."""
    depth = float((joints - torch.tensor(scene.camera.position)).norm(dim=-1).min().clamp_min(0.5))
    wanted = scene.camera.focal / depth / 190
    return next((d for d in (0.6, 0.8, 1.0) if wanted <= d), 1.25)


def render(
    scene: Scene, times: Tensor, *, device: str = "cpu", batch: int = 8, noise: float = _SENSOR
) -> Iterator[Frame]:
    """Frames of the scene at times (T,) in seconds.

    Args:
        scene: what is filmed.
        times: seconds.
        device: where torch works; a device that is not there is an error.
        batch: frames worked on together.
        noise: standard deviation of the sensor's noise in grey levels; 0 for none.
    """
    linear, floor = background(scene)
    room = _lens(linear.clamp(0, 1) ** _GAMMA * 255)
    floor = floor.to(device)
    room = room.to(device)
    grain = _Grain(scene, noise)
    number = 0
    for part in torch.split(times, batch):
        figures = [_figure(scene, w, part, device) for w in range(len(scene.walkers))]
        for i, time in enumerate(part.tolist()):
            picture = room.clone()
            for _, shadow, _ in figures:
                _darken(picture, floor, shadow, i)
            people = _compose(picture, [layer for layer, _, _ in figures], i)
            image = grain(picture, number)
            number += 1
            truths = tuple(
                Truth(mask, whole, joints[i, :, :2].numpy(), float(joints[i, 11:13, 2].mean()))
                for (mask, whole), (_, _, joints) in zip(people, figures, strict=True)
            )
            yield Frame(time, image, truths)


def _figure(scene: Scene, index: int, times: Tensor, device: str) -> tuple[_Layer | None, Any, Tensor]:
    """One walker in a few frames: the layer seen, the shadow cast, and COCO joints (T, 17, 3) with depth."""
    walker, camera = scene.walkers[index], scene.camera
    joints = walker.motion(times)
    # The body does not know how it walks: another walk of the same person finds it ready made.
    dressed = _dressed(replace(walker.person, gait=Gait()), _detail(scene, joints), device)
    body, joints = dressed.body, joints.to(device)
    vertices, normals = body.pose(joints)
    screen = camera.project(vertices)
    coco = camera.project(coco_joints(joints)).cpu()
    shadow = _shadow(scene, vertices)
    box = _box(screen, camera)
    if box is None or float(screen[..., 2].min()) <= 0.2:
        return None, shadow, coco
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    hits = rasterise(screen - screen.new_tensor([left, top, 0.0]), body.faces, height, width)
    frame = hits.pixel // (height * width)
    corners = take(body.faces, hits.face)

    weights = hits.weights[..., None]
    carried = (take(dressed.carried, corners) * weights).sum(1)
    facing = (take(normals.reshape(-1, 3), corners + frame[:, None] * normals.shape[1]) * weights).sum(1)
    albedo = dressed.paint(carried[:, :3], body.materials[corners[:, 0]], carried[:, 4])
    lit = _light(scene.light().to(device), facing, carried[:, 3])
    colour = torch.zeros(len(times) * height * width, 3, device=device)
    colour[hits.pixel] = (albedo * lit).clamp(0, 1) ** _GAMMA * 255
    depth = torch.full((len(times) * height * width,), torch.inf, device=device)
    depth[hits.pixel] = hits.depth
    shape = (len(times), height, width)
    return _Layer(colour.reshape(*shape, 3), depth.reshape(shape), left, top), shadow, coco


def _light(towards: Tensor, normals: Tensor, open_: Tensor) -> Tensor:
    """Light (N, 3) that reaches a surface: one lamp, softly wrapped, and a room brighter above than below."""
    normals = F.normalize(normals, dim=-1)
    lamp = ((normals @ towards + 0.25) / 1.25).clamp_min(0)
    up = 0.5 + 0.5 * normals[:, 2]
    room = 0.30 + 0.30 * up
    warm, cool = normals.new_tensor([1.02, 1.0, 0.96]), normals.new_tensor([0.97, 1.0, 1.05])
    return (0.85 * lamp * (0.4 + 0.6 * open_))[:, None] * warm + (room * open_)[:, None] * cool


def _box(screen: Tensor, camera: Camera, margin: int = 3) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom in whole pixels of a box that holds the points within the picture; None where none."""
    low, high = screen[..., :2].amin((0, 1)), screen[..., :2].amax((0, 1))
    left, top = max(int(low[0]) - margin, 0), max(int(low[1]) - margin, 0)
    right, bottom = min(int(high[0]) + margin, camera.width), min(int(high[1]) + margin, camera.height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _shadow(scene: Scene, vertices: Tensor) -> tuple[Tensor, int, int, int] | None:
    """Soft shadows (T, h, w) in [0, 1] on the floor, where their box is (left, top), and by what step it is coarser."""
    towards = scene.light().to(vertices.device)
    flat = vertices - vertices[..., 2:] / towards[2] * towards
    screen = scene.camera.project(flat)
    if float(screen[..., 2].min()) <= 0.2:
        return None
    tall = float((screen[..., 1].amax(1) - screen[..., 1].amin(1)).max())
    wide = float((screen[..., 0].amax(1) - screen[..., 0].amin(1)).max())
    step = max(2, int(max(tall, wide) / 90))
    box = _box(screen, scene.camera, margin=6 * step)
    if box is None:
        return None
    left, top, right, bottom = box
    height, width = -(-(bottom - top) // step), -(-(right - left) // step)
    at = ((screen[..., :2] - screen.new_tensor([left, top])) / step).floor().long()
    kept = ((at >= 0) & (at < at.new_tensor([width, height]))).all(-1)
    frame = torch.arange(len(vertices), device=vertices.device)[:, None].expand_as(kept)
    cast = torch.zeros(len(vertices), 1, height, width, device=vertices.device)
    cast[frame[kept], 0, at[..., 1][kept], at[..., 0][kept]] = 1
    # Points become a closed patch, then a soft one.
    cast = F.max_pool2d(cast, 3, 1, 1)
    for _ in range(2):
        cast = F.avg_pool2d(cast, 5, 1, 2)
    return cast[:, 0], left, top, step


def _darken(picture: Tensor, floor: Tensor, shadow: tuple[Tensor, int, int, int] | None, i: int) -> None:
    if shadow is None:
        return
    cast, left, top, step = shadow
    soft = F.interpolate(cast[i][None, None], scale_factor=step, mode="bilinear", align_corners=False)[0, 0]
    region = picture[top : top + soft.shape[0], left : left + soft.shape[1]]
    soft = (
        soft[: region.shape[0], : region.shape[1]] * floor[top : top + region.shape[0], left : left + region.shape[1]]
    )
    region *= ((1 - _SHADOW * soft) ** _GAMMA)[..., None]


def _compose(picture: Tensor, layers: list[_Layer | None], i: int) -> list[tuple[Any, Any]]:
    """Draw the nearest walker at every pixel, as a lens softens it; what is seen and what is covered, by walker."""
    height, width = picture.shape[:2]
    nearest = torch.full((height, width), torch.inf, device=picture.device)
    owner = torch.full((height, width), -1, dtype=torch.int8, device=picture.device)
    whole = [np.zeros((height, width), bool) for _ in layers]
    windows = []
    for w, layer in enumerate(layers):
        if layer is None:
            continue
        h, v = slice(layer.left, layer.left + layer.depth.shape[2]), slice(layer.top, layer.top + layer.depth.shape[1])
        depth = layer.depth[i]
        there = depth < torch.inf
        whole[w][v, h] = there.cpu().numpy()
        wins = depth < nearest[v, h]
        nearest[v, h] = torch.where(wins, depth, nearest[v, h])
        owner[v, h] = torch.where(wins, w, owner[v, h])
        picture[v, h] = torch.where(wins[..., None], layer.colour[i], picture[v, h])
        windows.append((v, h))
    for v, h in windows:
        picture[v, h] = _lens(picture[v, h])
    seen = owner.cpu().numpy()
    return [(seen == w, whole[w]) for w in range(len(layers))]


def _lens(picture: Tensor) -> Tensor:
    """The picture (H, W, C), slightly blurred as any lens does; this also softens the outlines."""
    for axis in (0, 1):
        n = picture.shape[axis]
        before, at, after = (picture.narrow(axis, i, n - 2) for i in range(3))
        inner = 0.66 * at + 0.17 * (before + after)
        picture = torch.cat((picture.narrow(axis, 0, 1), inner, picture.narrow(axis, n - 1, 1)), axis)
    return picture


class _Grain:
    """Sensor noise: one tile of it, laid somewhere else on every frame."""

    _ROOM = 61

    def __init__(self, scene: Scene, deviation: float) -> None:
        self.size = (scene.camera.height, scene.camera.width)
        generator = torch.Generator().manual_seed(scene.room.seed)
        shape = (self.size[0] + self._ROOM, self.size[1] + self._ROOM, 1)
        self.tile = torch.randn(shape, generator=generator) * deviation if deviation else None
        self.generator = np.random.default_rng([scene.room.seed, 0x6E01])

    def __call__(self, picture: Tensor, number: int) -> Image:
        picture = picture.cpu()
        if self.tile is not None:
            y, x = self.generator.integers(self._ROOM, size=2)
            picture = picture + self.tile[y : y + self.size[0], x : x + self.size[1]]
        image: Image = (picture + 0.5).clamp_(0, 255).to(torch.uint8).numpy()
        return image
