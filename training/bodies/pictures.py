"""Shaded pictures of dressed bodies over a background, in linear light, with the truth about every pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.training.bodies.camera import Camera
from gaitkeeper.training.bodies.mesh import normals
from gaitkeeper.training.bodies.paint import Paint
from gaitkeeper.training.bodies.render import Dressed, Posed
from gaitkeeper.training.bodies.shade import blend, colour_pixels, draw_nearest, light_vertices

Array = npt.NDArray[Any]
Window = tuple[int, int, int, int]

_SHADOW = 0.5  # share of the floor's light that the middle of a shadow lacks
_COARSE = 2  # pixels per pixel of a shadow along each side


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """A camera without distortion, whose axis need not be in the middle of the picture.

    Attributes:
        position: float32 (3,), metres.
        axes: float32 (3, 3), rows right, down, forward.
        scale: pixels per tangent.
        centre: float32 (2,), tangents x and y in the middle of the picture.
        size: width and height in pixels.
    """

    position: Array
    axes: Array
    scale: float
    centre: Array
    size: tuple[int, int]

    @classmethod
    def of(cls, camera: Camera) -> Viewpoint:
        """That of a camera of :mod:`gaitkeeper.training.bodies.camera`."""
        axes = np.ascontiguousarray(camera.axes().numpy(), np.float32)
        size = (camera.width, camera.height)
        return cls(np.array(camera.position, np.float32), axes, camera.focal, np.zeros(2, np.float32), size)

    def project(self, points: Array) -> Array:
        """Pixels x and y (..., 2) of points (..., 3); a pixel's centre is at half-integers."""
        away = (points - self.position) @ self.axes.T
        tangents = away[..., :2] / np.maximum(away[..., 2:], 0.3)
        return np.asarray((tangents - self.centre) * self.scale + np.array(self.size) / 2)

    def rays(self, samples: int = 1) -> Array:
        """Viewing directions (H·samples, W·samples, 3) in the world, float32, 1 along the line of sight."""
        (x, y), (w, h) = self.centre, self.size
        across = ((np.arange(w * samples) + 0.5) / samples - w / 2) / self.scale + x
        down = ((np.arange(h * samples) + 0.5) / samples - h / 2) / self.scale + y
        flat = np.stack([*np.meshgrid(across, down), np.ones((h * samples, w * samples))], -1)
        return np.asarray(flat @ self.axes, np.float32)


@dataclass(frozen=True, eq=False)
class Figure:
    """One walker in T frames."""

    dressed: Dressed
    posed: Posed
    paint: Paint

    @cached_property
    def normals(self) -> Array:
        """Unit normals (V, 3) of the mesh at rest."""
        return normals(self.dressed.mesh.points, self.dressed.mesh.triangles)


@dataclass(frozen=True)
class Lamp:
    """Light of a scene.

    Attributes:
        towards: unit vector towards the lamp.
        lamp, room: brightness of the lamp, and of the light from all sides.
    """

    towards: tuple[float, float, float] = (0.30, -0.39, 0.87)
    lamp: float = 0.8
    room: float = 0.55


@dataclass(frozen=True, eq=False)
class Backdrop:
    """An empty scene: linear RGB float32 (H, W, 3), and the share of floor (H, W) in [0, 1], which takes shadows."""

    picture: Array
    floor: Array


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture.

    Attributes:
        light: float32 (H, W, 3), linear RGB.
        cover: float32 (K, H, W), share of each pixel in [0, 1] that shows each of the K people.
    """

    light: Array
    cover: Array


def pictures(
    figures: Sequence[Figure], view: Viewpoint, backdrop: Backdrop, lamp: Lamp, *, fine: int = 2
) -> Iterator[Picture]:
    """The frames of a scene, one after the other.

    Args:
        figures: K walkers with the same number of frames.
        view: the camera.
        backdrop: the scene without people, of the camera's size.
        lamp: light.
        fine: samples per pixel along each side.
    """
    width, height = view.size
    near = np.zeros((height * fine, width * fine), np.float32)
    owner = np.full(near.shape, -1, np.int32)
    colour = np.zeros((*near.shape, 3), np.float32)
    ends = np.cumsum([len(figure.dressed.mesh.triangles) for figure in figures])
    lens = np.array([view.scale * fine, *view.centre, width * fine / 2, height * fine / 2], np.float32)
    light = np.array([*lamp.towards, lamp.lamp, lamp.room], np.float32)
    for frame in range(len(figures[0].posed.root) if figures else 0):
        out = backdrop.picture.copy()
        cover = np.zeros((len(figures), height, width), np.float32)
        drawn = [_lit(figure, frame, view, lens, light) for figure in figures]
        windows = [_window(seen, fine, view.size) for seen, _ in drawn]
        for figure, (seen, shadow), end in zip(figures, drawn, ends, strict=True):
            _darken(out, backdrop.floor, shadow / fine, seen[:, 1].max() / fine - seen[:, 1].min() / fine)
            mesh = figure.dressed.mesh
            draw_nearest(seen, mesh.triangles, int(end) - len(mesh.triangles), near, owner)
        for figure, (seen, _), end, window in zip(figures, drawn, ends, windows, strict=True):
            mesh, paint = figure.dressed.mesh, figure.paint
            first = int(end) - len(mesh.triangles)
            x0, y0, x1, y1 = (edge * fine for edge in window)
            colour_pixels(
                seen, mesh.points, mesh.triangles, mesh.materials, first, paint.colours, paint.patterns,
                paint.periods, paint.grain, paint.fastening, paint.face, _lattice(), owner, (x0, y0, x1, y1), colour,
            )  # fmt: skip
        if figures:
            x0, y0, x1, y1 = _around(windows)
            blend(colour, owner, ends, fine, (x0, y0, x1, y1), out, cover)
            near[y0 * fine : y1 * fine, x0 * fine : x1 * fine] = 0
            owner[y0 * fine : y1 * fine, x0 * fine : x1 * fine] = -1
        yield Picture(out, cover)


def _lit(figure: Figure, frame: int, view: Viewpoint, lens: Array, lamp: Array) -> tuple[Array, Array]:
    """The vertices (V, 4) in the picture, and their shadows (V, 2)."""
    mesh, posed = figure.dressed.mesh, figure.posed
    seen, shadow = np.empty((len(mesh.points), 4), np.float32), np.empty((len(mesh.points), 2), np.float32)
    light_vertices(
        mesh.points, figure.normals, mesh.materials, mesh.bones, mesh.weights, posed.turns[frame], posed.shifts[frame],
        posed.root[frame], view.position, view.axes, lens, lamp, seen, shadow,
    )  # fmt: skip
    return seen, shadow


def _window(seen: Array, fine: int, size: tuple[int, int]) -> Window:
    """Left, top, right, bottom of the pixels that vertices (V, 4) may cover."""
    (x0, y0), (x1, y1) = seen[:, :2].min(0) / fine, seen[:, :2].max(0) / fine
    left, right = (int(np.clip(edge, 0, size[0])) for edge in (np.floor(x0), np.ceil(x1)))
    top, bottom = (int(np.clip(edge, 0, size[1])) for edge in (np.floor(y0), np.ceil(y1)))
    return left, top, right, bottom


def _around(windows: Sequence[Window]) -> Window:
    lefts, tops, rights, bottoms = zip(*windows, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _darken(picture: Array, floor: Array, shadow: Array, tall: float) -> None:
    """Darken the floor under a person by the softened shadow of points (V, 2) of the picture."""
    height, width = floor.shape
    small = (height // _COARSE + 1, width // _COARSE + 1)
    at = (shadow / _COARSE).astype(np.int32)
    at = at[((at >= 0) & (at < (small[1], small[0]))).all(1)]
    if not len(at):
        return
    soft = max(tall / _COARSE / 45, 0.6)
    edge = int(4 * soft) + 2
    (x0, y0), (x1, y1) = np.maximum(at.min(0) - edge, 0), np.minimum(at.max(0) + edge + 1, (small[1], small[0]))
    cast = np.zeros((y1 - y0, x1 - x0), np.float32)
    cast[at[:, 1] - y0, at[:, 0] - x0] = 1
    cast = cv2.GaussianBlur(cv2.dilate(cast, np.ones((3, 3), np.uint8)), (0, 0), soft)
    cast = cv2.resize(cast, None, fx=_COARSE, fy=_COARSE, interpolation=cv2.INTER_LINEAR)
    rows = slice(y0 * _COARSE, min(y1 * _COARSE, height))
    columns = slice(x0 * _COARSE, min(x1 * _COARSE, width))
    part = picture[rows, columns]
    part *= 1 - _SHADOW * (cast[: part.shape[0], : part.shape[1]] * floor[rows, columns])[..., None]


@lru_cache(maxsize=1)
def _lattice() -> Array:
    return np.random.default_rng(0).uniform(-1, 1, (32, 32, 32)).astype(np.float32)
