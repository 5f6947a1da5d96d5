"""Inner loops of shaded pictures, compiled by numba: lit vertices, a depth buffer, and the colours of its pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from gaitkeeper.training.bodies.kernels import columns, edges_of, skin
from gaitkeeper.training.bodies.paint import BANDS, CHECKS, GAP, LAYER, PATCHES, STRIPES, Material

Array = npt.NDArray[Any]

_BANDS, _STRIPES, _CHECKS, _PATCHES, _GAP = BANDS, STRIPES, CHECKS, PATCHES, np.float32(GAP)
_LAYER = LAYER
_SKIN, _HAIR, _TOP, _OUTER = int(Material.SKIN), int(Material.HAIR), int(Material.TOP), int(Material.OUTER)
_CELLS = 32  # of the noise's lattice along each side


@njit(cache=True, fastmath=True)
def light_vertices(
    points: Array,
    normals: Array,
    materials: Array,
    bones: Array,
    weights: Array,
    turn: Array,
    shift: Array,
    root: Array,
    position: Array,
    axes: Array,
    lens: Array,
    lamp: Array,
    seen: Array,
    shadow: Array,
) -> None:
    """Pose a mesh in one frame, put it on the floor, light its vertices, and project it and its shadow.

    Args:
        points, normals: float32 (V, 3) at rest, metres and unit vectors.
        materials: uint8 (V,).
        bones, weights: int32 and float32 (V, K), the heaviest first.
        turn, shift: float32 (B, 3, 3) and (B, 3).
        root: float32 (2,), position of the body on the ground.
        position, axes: float32 (3,) and (3, 3) of the camera: rows right, down, forward.
        lens: float32 (5,): pixels per tangent, tangents x and y in the middle of the picture, and the middle's pixel x
            and y.
        lamp: float32 (5,): unit vector towards the lamp, its brightness, and that of the room.
        seen: float32 (V, 4), output: pixels x and y, inverse depth in 1/metres, brightness.
        shadow: float32 (V, 2), output: pixels x and y of the shadow on the floor.
    """
    count = points.shape[0]
    posed = np.empty((count, 3), np.float32)
    skin(points, bones, weights, turn, shift, posed)
    lowest = np.float32(1e9)
    for i in range(count):
        lowest = min(lowest, posed[i, 2])
    for i in range(count):
        x, y, z = posed[i, 0] + root[0], posed[i, 1] + root[1], posed[i, 2] - lowest
        j = bones[i, 0]
        n0, n1, n2 = normals[i, 0], normals[i, 1], normals[i, 2]
        a = turn[j, 0, 0] * n0 + turn[j, 0, 1] * n1 + turn[j, 0, 2] * n2
        b = turn[j, 1, 0] * n0 + turn[j, 1, 1] * n1 + turn[j, 1, 2] * n2
        c = turn[j, 2, 0] * n0 + turn[j, 2, 1] * n1 + turn[j, 2, 2] * n2
        dx, dy, dz = x - position[0], y - position[1], z - position[2]
        if a * dx + b * dy + c * dz > 0:  # the inside of a cloth is lit like its outside
            a, b, c = -a, -b, -c
        direct = max((a * lamp[0] + b * lamp[1] + c * lamp[2] + np.float32(0.25)) / np.float32(1.25), np.float32(0))
        seen[i, 3] = lamp[3] * direct + lamp[4] * (np.float32(0.45) + np.float32(0.55) * (np.float32(0.5) + c / 2))
        depth = axes[2, 0] * dx + axes[2, 1] * dy + axes[2, 2] * dz
        near = np.float32(1) / max(depth, np.float32(0.3))
        u = (axes[0, 0] * dx + axes[0, 1] * dy + axes[0, 2] * dz) * near
        v = (axes[1, 0] * dx + axes[1, 1] * dy + axes[1, 2] * dz) * near
        seen[i, 0] = (u - lens[1]) * lens[0] + lens[3]
        seen[i, 1] = (v - lens[2]) * lens[0] + lens[4]
        seen[i, 2] = np.float32(1) / max(depth - _GAP * _LAYER[materials[i]], np.float32(0.3))
        x -= z / lamp[2] * lamp[0] + position[0]
        y -= z / lamp[2] * lamp[1] + position[1]
        depth = axes[2, 0] * x + axes[2, 1] * y - axes[2, 2] * position[2]
        near = np.float32(1) / max(depth, np.float32(0.3))
        u = (axes[0, 0] * x + axes[0, 1] * y - axes[0, 2] * position[2]) * near
        v = (axes[1, 0] * x + axes[1, 1] * y - axes[1, 2] * position[2]) * near
        shadow[i, 0] = (u - lens[1]) * lens[0] + lens[3]
        shadow[i, 1] = (v - lens[2]) * lens[0] + lens[4]


@njit(cache=True, fastmath=True)
def draw_nearest(seen: Array, triangles: Array, first: int, near: Array, owner: Array) -> None:
    """Draw triangles into a depth buffer; the nearest wins.

    Args:
        seen: float32 (V, 4) of :func:`light_vertices`.
        triangles: int32 (F, 3).
        first: number of the first triangle.
        near: float32 (H, W), inverse depths so far, 0 where there is nothing.
        owner: int32 (H, W), the nearest triangle's number.
    """
    height, width = near.shape
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        xa, ya, za = seen[i, 0], seen[i, 1], seen[i, 2]
        xb, yb, zb = seen[j, 0], seen[j, 1], seen[j, 2]
        xc, yc, zc = seen[k, 0], seen[k, 1], seen[k, 2]
        top = max(0, math.ceil(min(ya, yb, yc) - 0.5))
        bottom = min(height - 1, math.floor(max(ya, yb, yc) - 0.5))
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        if bottom < top or abs(area) < 1e-7:
            continue
        across = ((zb - za) * (yc - ya) - (zc - za) * (yb - ya)) / area
        down = ((xb - xa) * (zc - za) - (xc - xa) * (zb - za)) / area
        base = za - across * xa - down * ya
        edges = edges_of(xa, ya, xb, yb, xc, yc)
        for r in range(top, bottom + 1):
            at = r + np.float32(0.5)
            start, stop = columns(edges, at, width)
            z = base + down * at + across * (start + np.float32(0.5))
            for c in range(start, stop + 1):
                if z > near[r, c]:
                    near[r, c] = z
                    owner[r, c] = first + f
                z += across


@njit(cache=True, fastmath=True)
def _noise(x: float, y: float, z: float, lattice: Array) -> Any:
    """Smooth noise in [-1, 1] whose lattice has one value per unit."""
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    i, j, k = int(fx) & (_CELLS - 1), int(fy) & (_CELLS - 1), int(fz) & (_CELLS - 1)
    u, v, w = np.float32(x - fx), np.float32(y - fy), np.float32(z - fz)
    i1, j1, k1 = (i + 1) & (_CELLS - 1), (j + 1) & (_CELLS - 1), (k + 1) & (_CELLS - 1)
    one = np.float32(1)
    a = (lattice[i, j, k] * (one - u) + lattice[i1, j, k] * u) * (one - v)
    a += (lattice[i, j1, k] * (one - u) + lattice[i1, j1, k] * u) * v
    b = (lattice[i, j, k1] * (one - u) + lattice[i1, j, k1] * u) * (one - v)
    b += (lattice[i, j1, k1] * (one - u) + lattice[i1, j1, k1] * u) * v
    return a * (one - w) + b * w


@njit(cache=True, fastmath=True)
def _share(kind: int, x: float, y: float, z: float, period: float, lattice: Array) -> Any:
    """Share of a pattern's second colour at a point of the body at rest."""
    if kind == _BANDS:
        return np.float32(1) if math.floor(z / period) % 2 == 0 else np.float32(0)
    if kind == _STRIPES:
        return np.float32(1) if math.floor((y + x) / period) % 2 == 0 else np.float32(0)
    if kind == _CHECKS:
        a = np.float32(0.5) if math.floor(z / period) % 2 == 0 else np.float32(0)
        return a + (np.float32(0.5) if math.floor((y + x) / period) % 2 == 0 else np.float32(0))
    if kind == _PATCHES:
        return np.float32(1) if _noise(x / period, y / period, z / period, lattice) > 0.1 else np.float32(0)
    return np.float32(0)


@njit(cache=True, fastmath=True)
def _face(x: float, y: float, z: float, face: Array, hair: Array, colour: Array) -> None:
    """Eyes, brows and mouth on the skin of the head; ``colour`` (3,) is changed."""
    if x < face[0, 0] - 0.06:
        return
    side = 1 if y > 0 else 2
    dy, dz = y - face[side, 1], z - face[side, 2]
    if (dy / 0.014) ** 2 + (dz / 0.007) ** 2 < 1:
        for c in range(3):
            colour[c] = np.float32(0.03) if abs(dy) < 0.006 else np.float32(0.35)
    elif (dy / 0.020) ** 2 + ((dz - 0.021) / 0.006) ** 2 < 1:
        for c in range(3):
            colour[c] = np.float32(0.35) * colour[c] + np.float32(0.65) * hair[c]
    elif ((y - face[0, 1]) / 0.024) ** 2 + ((z - face[0, 2] + 0.034) / 0.008) ** 2 < 1:
        colour[1] *= np.float32(0.5)
        colour[2] *= np.float32(0.5)


@njit(cache=True, fastmath=True)
def colour_pixels(
    seen: Array,
    points: Array,
    triangles: Array,
    materials: Array,
    first: int,
    colours: Array,
    patterns: Array,
    periods: Array,
    grain: Array,
    fastening: float,
    face: Array,
    lattice: Array,
    owner: Array,
    window: tuple[int, int, int, int],
    picture: Array,
) -> None:
    """Colour the pixels of the depth buffer that show a mesh.

    Args:
        seen, triangles, first, owner: as in :func:`draw_nearest`.
        points: float32 (V, 3) at rest, which carry the patterns.
        materials: uint8 (V,).
        colours, patterns, periods, grain, fastening, face: of a :class:`gaitkeeper.training.bodies.paint.Paint`.
        lattice: float32 (32, 32, 32) in [-1, 1].
        window: left, top, right, bottom of the pixels to look at.
        picture: float32 (H, W, 3), output: linear RGB.
    """
    colour = np.empty(3, np.float32)
    last = first + triangles.shape[0]
    for r in range(window[1], window[3]):
        for c in range(window[0], window[2]):
            f = owner[r, c]
            if f < first or f >= last:
                continue
            i, j, k = triangles[f - first, 0], triangles[f - first, 1], triangles[f - first, 2]
            px, py = c + np.float32(0.5), r + np.float32(0.5)
            xa, ya, xb, yb, xc, yc = seen[i, 0], seen[i, 1], seen[j, 0], seen[j, 1], seen[k, 0], seen[k, 1]
            area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
            wb = ((px - xa) * (yc - ya) - (xc - xa) * (py - ya)) / area
            wc = ((xb - xa) * (py - ya) - (px - xa) * (yb - ya)) / area
            wb = min(max(wb, np.float32(0)), np.float32(1))
            wc = min(max(wc, np.float32(0)), np.float32(1))
            wa = np.float32(1) - wb - wc
            x = wa * points[i, 0] + wb * points[j, 0] + wc * points[k, 0]
            y = wa * points[i, 1] + wb * points[j, 1] + wc * points[k, 1]
            z = wa * points[i, 2] + wb * points[j, 2] + wc * points[k, 2]
            light = wa * seen[i, 3] + wb * seen[j, 3] + wc * seen[k, 3]
            m = materials[i]
            share = _share(patterns[m], x, y, z, periods[m], lattice)
            if fastening > 0 and m in (_TOP, _OUTER) and x > 0 and abs(y) < fastening:
                share = np.float32(1)
            for band in range(3):
                colour[band] = colours[m, 0, band] * (1 - share) + colours[m, 1, band] * share
            if m == _SKIN:
                _face(x, y, z, face, colours[_HAIR, 0], colour)
            folds = _noise(x * 11, y * 11, z * 11, lattice) + _noise(x * 67, y * 67, z * 67, lattice)
            light *= np.float32(1) + grain[m] * folds
            for band in range(3):
                picture[r, c, band] = max(colour[band] * light, np.float32(0))


@njit(cache=True, fastmath=True)
def blend(
    picture: Array, owner: Array, ends: Array, fine: int, window: tuple[int, int, int, int], out: Array, cover: Array
) -> None:
    """Average the fine pixels that show a person over the background.

    Args:
        picture: float32 (H·fine, W·fine, 3), linear RGB where ``owner`` is not negative.
        owner: int32 (H·fine, W·fine).
        ends: int64 (K,), the last triangle of each of K people plus 1.
        fine: fine pixels per pixel along each side.
        window: left, top, right, bottom of the pixels to change.
        out: float32 (H, W, 3), the background, changed.
        cover: float32 (K, H, W), zeros, output: share of each pixel that shows each person.
    """
    part = np.float32(1) / (fine * fine)
    for r in range(window[1], window[3]):
        for c in range(window[0], window[2]):
            red = green = blue = np.float32(0)
            count = 0
            for y in range(r * fine, r * fine + fine):
                for x in range(c * fine, c * fine + fine):
                    f = owner[y, x]
                    if f < 0:
                        continue
                    count += 1
                    red += picture[y, x, 0]
                    green += picture[y, x, 1]
                    blue += picture[y, x, 2]
                    person = 0
                    while f >= ends[person]:
                        person += 1
                    cover[person, r, c] += part
            if count:
                rest = np.float32(1) - count * part
                out[r, c, 0] = out[r, c, 0] * rest + red * part
                out[r, c, 1] = out[r, c, 1] * rest + green * part
                out[r, c, 2] = out[r, c, 2] * rest + blue * part
