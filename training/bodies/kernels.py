"""Inner loops of rendering, compiled by numba: skinning, projection, filling of triangles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]


@njit(cache=True, fastmath=True)
def skin(points: Array, bones: Array, weights: Array, turn: Array, shift: Array, out: Array) -> None:
    """Skin points (V, 3) by bones and weights (V, K) with turns (B, 3, 3) and shifts (B, 3), into ``out`` (V, 3)."""
    for i in range(points.shape[0]):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        a = np.float32(0.0)
        b = np.float32(0.0)
        c = np.float32(0.0)
        for k in range(bones.shape[1]):
            w = weights[i, k]
            if w == 0:
                break
            j = bones[i, k]
            a += w * (turn[j, 0, 0] * x + turn[j, 0, 1] * y + turn[j, 0, 2] * z + shift[j, 0])
            b += w * (turn[j, 1, 0] * x + turn[j, 1, 1] * y + turn[j, 1, 2] * z + shift[j, 1])
            c += w * (turn[j, 2, 0] * x + turn[j, 2, 1] * y + turn[j, 2, 2] * z + shift[j, 2])
        out[i, 0] = a
        out[i, 1] = b
        out[i, 2] = c


@njit(cache=True, fastmath=True)
def project_frames(
    points: Array,
    bones: Array,
    weights: Array,
    turns: Array,
    shifts: Array,
    root: Array,
    position: Array,
    axes: Array,
    seen: Array,
    extent: Array,
    floor: Array,
) -> None:
    """Skin a mesh in T frames, put its lowest point on the floor, and project it through a camera.

    Args:
        points: float32 (V, 3) at rest, metres.
        bones, weights: int32 and float32 (V, K), the heaviest first; a weight of 0 ends a row.
        turns, shifts: float32 (T, B, 3, 3) and (T, B, 3): bone b moves p to ``turn @ p + shift``.
        root: float32 (T, 2), position of the body on the ground.
        position, axes: float32 (3,) and (3, 3) of the camera: rows right, down, forward.
        seen: float32 (T, V, 2), output: tangents.
        extent: float32 (T, 4), output: smallest x, y and largest x, y of the tangents.
        floor: float32 (T,), output: vertical shift of each frame in metres.
    """
    count = points.shape[0]
    posed = np.empty((count, 3), np.float32)
    for f in range(turns.shape[0]):
        skin(points, bones, weights, turns[f], shifts[f], posed)
        lowest = np.float32(1e9)
        for i in range(count):
            lowest = min(lowest, posed[i, 2])
        floor[f] = -lowest
        dx, dy, dz = root[f, 0] - position[0], root[f, 1] - position[1], -lowest - position[2]
        x0 = y0 = np.float32(1e9)
        x1 = y1 = np.float32(-1e9)
        for i in range(count):
            x, y, z = posed[i, 0] + dx, posed[i, 1] + dy, posed[i, 2] + dz
            depth = max(axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z, np.float32(0.3))
            u = (axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z) / depth
            v = (axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z) / depth
            seen[f, i, 0] = u
            seen[f, i, 1] = v
            x0, x1, y0, y1 = min(x0, u), max(x1, u), min(y0, v), max(y1, v)
        extent[f, 0] = x0
        extent[f, 1] = y0
        extent[f, 2] = x1
        extent[f, 3] = y1


@njit(cache=True, fastmath=True)
def edges_of(xa: Any, ya: Any, xb: Any, yb: Any, xc: Any, yc: Any) -> Any:
    """The edges of a triangle for :func:`columns`: its corners a above b, and the slopes of ac, ab and bc."""
    if yb < ya:
        xa, ya, xb, yb = xb, yb, xa, ya
    if yc < ya:
        xa, ya, xc, yc = xc, yc, xa, ya
    if yc < yb:
        xb, yb, xc, yc = xc, yc, xb, yb
    long = (xc - xa) / max(yc - ya, np.float32(1e-6))
    upper = (xb - xa) / max(yb - ya, np.float32(1e-6))
    lower = (xc - xb) / max(yc - yb, np.float32(1e-6))
    return xa, ya, xb, yb, long, upper, lower


@njit(cache=True, fastmath=True)
def columns(edges: Any, at: Any, width: int) -> Any:
    """First and last column of a picture whose middles a triangle covers at the height ``at``."""
    xa, ya, xb, yb, long, upper, lower = edges
    p = xa + (at - ya) * long
    q = xa + (at - ya) * upper if at < yb else xb + (at - yb) * lower
    left, right = (p, q) if p < q else (q, p)
    return max(0, math.ceil(left - 0.5)), min(width - 1, math.floor(right - 0.5))


@njit(cache=True, fastmath=True)
def _fill(x: Array, y: Array, triangles: Array, closed: int, picture: Array) -> None:
    height, width = picture.shape
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        if f < closed and (x[j] - x[i]) * (y[k] - y[i]) > (x[k] - x[i]) * (y[j] - y[i]):
            continue  # it faces away, and the near side of the surface covers it
        xa, ya, xb, yb, xc, yc = x[i], y[i], x[j], y[j], x[k], y[k]
        first = max(0, math.ceil(min(ya, yb, yc) - 0.5))
        last = min(height - 1, math.floor(max(ya, yb, yc) - 0.5))
        if last < first:
            continue
        edges = edges_of(xa, ya, xb, yb, xc, yc)
        for r in range(first, last + 1):
            at = r + np.float32(0.5)
            start, stop = columns(edges, at, width)
            for c in range(start, stop + 1):
                picture[r, c] = 1


@njit(cache=True, fastmath=True)
def fill_frames(seen: Array, triangles: Array, closed: int, origin: Array, unit: Array, pictures: Array) -> None:
    """Fill triangles of projected points, frame by frame; a pixel is set if a triangle covers its centre.

    Args:
        seen: float32 (T, V, 2), as in :func:`project_frames`.
        triangles: int32 (F, 3).
        closed: number of triangles, at the start, of closed surfaces, counter-clockwise seen from outside.
        origin: float32 (T, 2), the tangent at the picture's upper left corner.
        unit: float32 (T,), tangents per pixel.
        pictures: uint8 (T, H, W), zeros; set to 1.
    """
    count = seen.shape[1]
    x = np.empty(count, np.float32)
    y = np.empty(count, np.float32)
    for f in range(seen.shape[0]):
        scale = np.float32(1.0) / unit[f]
        for i in range(count):
            x[i] = (seen[f, i, 0] - origin[f, 0]) * scale
            y[i] = (seen[f, i, 1] - origin[f, 1]) * scale
        _fill(x, y, triangles, closed, pictures[f])
