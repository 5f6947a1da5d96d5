"""Render the frames of a scene one after the other, with the truth about all people in them; memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from gaitkeeper.training.walkers.body import build
from gaitkeeper.training.walkers.camera import Camera
from gaitkeeper.training.walkers.mesh import Body
from gaitkeeper.training.walkers.paint import Paint
from gaitkeeper.training.walkers.person import Gait, Person
from gaitkeeper.training.walkers.raster import rasterise, take
from gaitkeeper.training.walkers.scene import Scene, background
from gaitkeeper.training.walkers.skeleton import coco_joints

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_GAMMA = 1 / 2.2
_SHADOW = 0.42  # share of the floor's light that the softened shadow removes
_SENSOR = 1.6  # standard deviation of the sensor's noise in grey levels


@dataclass(frozen=True, eq=False)
class Truth:
    """The truth about one walker in one frame.

    Attributes:
        mask: bool (H, W), the pixels where the walker is visible.
        whole: bool (H, W), the pixels that the walker would cover without occlusion.
        joints: float32 (17, 2), COCO-17 x, y in pixels, also if hidden or outside the picture.
        depth: metres from the camera to the walker's pelvis, along the line of sight.
    """

    mask: Mask
    whole: Mask
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
    """One walker over T frames in a box that holds them all: colour (T, h, w, 3), depth (T, h, w), inf where absent."""

    colour: Tensor
    depth: Tensor
    left: int
    top: int


@dataclass(frozen=True)
class _Shadow:
    """One walker's soft shadow on the floor over T frames: (T, h, w) in [0, 1], ``step`` times coarser than pixels."""

    cast: Tensor
    left: int
    top: int
    step: int


@dataclass(frozen=True)
class _Dressed:
    """A body with its paint, and the vertex attributes (V, 5): position at rest, openness, weave."""

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
    """Mesh detail that the picture can show: grid steps of about two and a half pixels, in a few classes."""
    depth = float((joints - torch.tensor(scene.camera.position)).norm(dim=-1).min().clamp_min(0.5))
    wanted = scene.camera.focal / depth / 190
    return next((d for d in (0.6, 0.8, 1.0) if wanted <= d), 1.25)


def render(
    scene: Scene, times: Tensor, *, device: str = "cpu", batch: int = 8, noise: float = _SENSOR
) -> Iterator[Frame]:
    """Frames of the scene at times (T,) in seconds.

    Args:
        scene: the scene.
        times: seconds.
        device: torch device; a missing device is an error.
        batch: frames processed together.
        noise: standard deviation of the sensor's noise in grey levels; 0 for none.
    """
    frames = _frames(scene, times, device, batch, noise)
    while True:
        with _one_thread():
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use few threads: rendering consists of many small operations, for which threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _frames(scene: Scene, times: Tensor, device: str, batch: int, noise: float) -> Iterator[Frame]:
    linear, floor = background(scene)
    floor, sharp = floor.to(device), (linear.clamp(0, 1) ** _GAMMA * 255).to(device)
    soft = _lens(sharp)
    grain = _Grain(scene, noise)
    number = 0
    for part in torch.split(times, batch):
        figures = [_figure(scene, w, part, device) for w in range(len(scene.walkers))]
        for i, time in enumerate(part.tolist()):
            picture = soft.clone()
            for _, shadow, _ in figures:
                _darken(picture, floor, shadow, i)
            people = _compose(picture, sharp, floor, figures, i)
            image = grain(picture, number)
            number += 1
            truths = tuple(
                Truth(mask, whole, joints[i, :, :2].numpy(), float(joints[i, 11:13, 2].mean()))
                for (mask, whole), (_, _, joints) in zip(people, figures, strict=True)
            )
            yield Frame(time, image, truths)


def _figure(scene: Scene, index: int, times: Tensor, device: str) -> tuple[_Layer | None, _Shadow | None, Tensor]:
    """One walker in a few frames: the visible layer, the shadow, and COCO joints (T, 17, 3) with depth."""
    walker, camera = scene.walkers[index], scene.camera
    joints = walker.motion(times)
    # The body does not depend on the gait, so another walk of the same person can reuse it.
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
    """Light (N, 3) that reaches a surface: one soft lamp, and a room that is brighter above than below."""
    normals = F.normalize(normals, dim=-1)
    lamp = ((normals @ towards + 0.25) / 1.25).clamp_min(0)
    up = 0.5 + 0.5 * normals[:, 2]
    room = 0.30 + 0.30 * up
    warm, cool = normals.new_tensor([1.02, 1.0, 0.96]), normals.new_tensor([0.97, 1.0, 1.05])
    return (0.85 * lamp * (0.4 + 0.6 * open_))[:, None] * warm + (room * open_)[:, None] * cool


def _box(screen: Tensor, camera: Camera, margin: int = 3) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom in whole pixels of the box of the points in the picture; None if there is none."""
    low, high = screen[..., :2].amin((0, 1)), screen[..., :2].amax((0, 1))
    left, top = max(int(low[0]) - margin, 0), max(int(low[1]) - margin, 0)
    right, bottom = min(int(high[0]) + margin, camera.width), min(int(high[1]) + margin, camera.height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _shadow(scene: Scene, vertices: Tensor) -> _Shadow | None:
    """The shadow of posed vertices (T, V, 3), projected along the light; None if it is outside the picture."""
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
    # Turn points into a closed patch, then soften it.
    cast = F.max_pool2d(cast, 3, 1, 1)
    for _ in range(2):
        cast = F.avg_pool2d(cast, 5, 1, 2)
    return _Shadow(cast[:, 0], left, top, step)


def _darken(picture: Tensor, floor: Tensor, shadow: _Shadow | None, i: int, left: int = 0, top: int = 0) -> None:
    """Apply a shadow to a picture, or to the part of it with the given upper left corner."""
    if shadow is None:
        return
    soft = F.interpolate(shadow.cast[i][None, None], scale_factor=shadow.step, mode="bilinear")[0, 0]
    # Where shadow and part overlap, in pixels of the whole picture.
    x0, y0 = max(left, shadow.left), max(top, shadow.top)
    x1 = min(left + picture.shape[1], shadow.left + soft.shape[1])
    y1 = min(top + picture.shape[0], shadow.top + soft.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    cast = soft[y0 - shadow.top : y1 - shadow.top, x0 - shadow.left : x1 - shadow.left] * floor[y0:y1, x0:x1]
    picture[y0 - top : y1 - top, x0 - left : x1 - left] *= ((1 - _SHADOW * cast) ** _GAMMA)[..., None]


def _compose(
    picture: Tensor, sharp: Tensor, floor: Tensor, figures: list[tuple[_Layer | None, _Shadow | None, Tensor]], i: int
) -> list[tuple[Mask, Mask]]:
    """Draw the nearest walker at every pixel, softened like by a lens; returns visible and covered pixels by walker.

    In a box around the walkers the picture is redrawn from the sharp room, so that nothing is softened twice.
    """
    height, width = picture.shape[:2]
    owner = torch.full((height, width), -1, dtype=torch.int8, device=picture.device)
    whole = torch.zeros(len(figures), height, width, dtype=torch.bool, device=picture.device)
    layers = [layer for layer, _, _ in figures if layer is not None]
    if layers:
        left, top = (max(min(getattr(layer, side) for layer in layers) - 1, 0) for side in ("left", "top"))
        right = min(max(layer.left + layer.depth.shape[2] for layer in layers) + 1, width)
        bottom = min(max(layer.top + layer.depth.shape[1] for layer in layers) + 1, height)
        part = sharp[top:bottom, left:right].clone()
        for _, shadow, _ in figures:
            _darken(part, floor, shadow, i, left, top)
        nearest = torch.full(part.shape[:2], torch.inf, device=picture.device)
        for w, (layer, _, _) in enumerate(figures):
            if layer is None:
                continue
            depth = layer.depth[i]
            v = slice(layer.top - top, layer.top - top + depth.shape[0])
            h = slice(layer.left - left, layer.left - left + depth.shape[1])
            wins = depth < nearest[v, h]
            nearest[v, h] = torch.where(wins, depth, nearest[v, h])
            part[v, h] = torch.where(wins[..., None], layer.colour[i], part[v, h])
            inside = owner[top:bottom, left:right][v, h]
            inside[wins] = w
            whole[w, top:bottom, left:right][v, h] = depth < torch.inf
        softened = _lens(part)
        # Pixels at the rim of the box lack neighbours, so the rim is unchanged, unless it is that of the picture.
        y0, x0 = int(top > 0), int(left > 0)
        y1, x1 = softened.shape[0] - int(bottom < height), softened.shape[1] - int(right < width)
        picture[top + y0 : top + y1, left + x0 : left + x1] = softened[y0:y1, x0:x1]
    return [((owner == w).cpu().numpy(), whole[w].cpu().numpy()) for w in range(len(figures))]


def _lens(picture: Tensor) -> Tensor:
    """The picture (H, W, C), slightly blurred like by a lens; this also softens the outlines."""
    for axis in (0, 1):
        n = picture.shape[axis]
        before, at, after = (picture.narrow(axis, i, n - 2) for i in range(3))
        inner = 0.66 * at + 0.17 * (before + after)
        picture = torch.cat((picture.narrow(axis, 0, 1), inner, picture.narrow(axis, n - 1, 1)), axis)
    return picture


class _Grain:
    """Sensor noise: one tile, with a random offset in every frame."""

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
