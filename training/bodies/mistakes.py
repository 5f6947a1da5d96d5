"""Simulate errors of person masks: too fat, too thin, interlacing combs, holes, cut feet, occlusion.

The pipeline's masks of rendered clips are nearly correct (:mod:`gaitkeeper.training.walkers.perception_noise`). Masks
of real clips and of published data sets have these larger errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Mistakes:
    """Mask errors of one walk; lengths in pixels of the fine picture, in which a person is 128 high.

    Attributes:
        fatter: outward shift of the outline, negative for inward.
        comb: sideways offset of odd fields against even ones.
        field: rows per field.
        holes: share of frames with a hole.
        feet: share of the height that is missing at the bottom of cut frames.
        cuts: share of frames that are cut.
        post: width of an occluding post, 0 without one.
    """

    fatter: int = 0
    comb: int = 0
    field: int = 2
    holes: float = 0.0
    feet: float = 0.0
    cuts: float = 0.0
    post: int = 0

    def cut(self, extent: Array, noise: np.random.Generator) -> Array:
        """Extents (T, 4) of the person, x0 y0 x1 y1, without feet in some intervals."""
        if not self.cuts:
            return extent
        spell = _slow(len(extent), noise) < np.quantile(_slow(400, noise), self.cuts)
        out = extent.copy()
        out[:, 3] -= np.where(spell, self.feet, 0.0).astype(np.float32) * (extent[:, 3] - extent[:, 1])
        return out


def draw_mistakes(rng: np.random.Generator) -> Mistakes:
    """Draw the errors of a walk, each kind with its own probability; about four walks in ten have no errors."""
    fatter = int(rng.choice((-2, -1, 1, 2, 3), p=(0.15, 0.3, 0.3, 0.15, 0.1))) if rng.random() < 0.4 else 0
    comb = int(rng.integers(1, 4)) if rng.random() < 0.10 else 0
    cuts = float(rng.uniform(0.1, 1.0)) if rng.random() < 0.10 else 0.0
    return Mistakes(
        fatter=fatter,
        comb=comb,
        field=int(rng.integers(1, 3)),
        holes=float(rng.uniform(0.1, 0.6)) if rng.random() < 0.15 else 0.0,
        feet=float(rng.uniform(0.02, 0.09)) if cuts else 0.0,
        cuts=cuts,
        post=int(rng.integers(5, 16)) if rng.random() < 0.04 else 0,
    )


def spoil(fine: Tensor, mistakes: Mistakes, noise: np.random.Generator) -> Tensor:
    """Fine masks uint8 (T, H, W), 0 or 1, with the errors; widened masks are scaled to fill the picture again."""
    out = fine
    if mistakes.fatter:
        out = _refilled(_moved(out, mistakes.fatter), mistakes.fatter)
    if mistakes.holes:
        out = _holed(out, mistakes.holes, noise)
    if mistakes.comb:
        odd = (torch.arange(out.shape[1]) // mistakes.field) % 2 == 1
        way = mistakes.comb * int(noise.choice((-1, 1)))
        out = torch.where(odd[None, :, None], out.roll(way, 2), out)
    if mistakes.post:
        t, _, w = out.shape
        ends = noise.uniform(-0.4, 1.4, 2) * w
        middle = torch.linspace(float(ends[0]), float(ends[1]), t)
        hidden = (torch.arange(w)[None] - middle[:, None]).abs() < mistakes.post / 2
        out = out.masked_fill(hidden[:, None], 0)
        gone = out.flatten(1).sum(1) < 0.25 * fine.flatten(1).sum(1)
        out = torch.where(gone[:, None, None], fine, out)
    return out.contiguous()


def _moved(fine: Tensor, by: int) -> Tensor:
    """Move the outline outwards, or inwards if negative."""
    reach = abs(by)
    # There is no mask beyond top and bottom, so the person is thinned there, too.
    grown = F.pad(fine if by > 0 else 1 - fine, (reach, reach, reach, reach), value=0 if by > 0 else 1)
    for axis in (1, 2):
        length = fine.shape[axis]
        moved = grown.narrow(axis, 0, length).clone()
        for step in range(1, 2 * reach + 1):
            moved |= grown.narrow(axis, step, length)
        grown = moved
    return grown if by > 0 else 1 - grown


def _refilled(fine: Tensor, by: int) -> Tensor:
    """Rescale a mask that grew or shrank by that many rows above and below, because a box follows its mask."""
    h, w = fine.shape[1:]
    factor = 1 + 2 * by / h
    if by > 0:  # the picture has no rows beyond the person: add as many as the outline moved
        fine = F.pad(fine, (0, 0, by, by))
        fine[:, :by] = fine[:, by : 2 * by]
        fine[:, -by:] = fine[:, -2 * by : -by]
    rows = (torch.arange(h) + 0.5) * factor - 0.5 + (0 if by > 0 else -by)
    columns = (torch.arange(w) + 0.5 - w / 2) * factor + w / 2 - 0.5
    rows = rows.round().long().clamp(0, fine.shape[1] - 1)
    columns = columns.round().long()
    inside = (columns >= 0) & (columns < w)
    return fine[:, rows][:, :, columns.clamp(0, w - 1)] * inside


def _holed(fine: Tensor, share: float, noise: np.random.Generator) -> Tensor:
    """Cut elliptic holes that come and go, at most one at a time."""
    t, h, w = fine.shape
    there = torch.from_numpy(_slow(t, noise) < np.quantile(_slow(400, noise), share))
    y, x = noise.uniform(0.15, 0.95) * h, w / 2 + noise.normal(0, 0.09) * h
    ry, rx = noise.uniform(0.02, 0.07, 2) * h
    drift = torch.from_numpy(np.cumsum(noise.normal(0, 0.6, (t, 2)), 0)).float()
    rows = (torch.arange(h)[None] - y - drift[:, :1]) / ry
    columns = (torch.arange(w)[None] - x - drift[:, 1:]) / rx
    hole = (rows[:, :, None] ** 2 + columns[:, None] ** 2 < 1) & there[:, None, None]
    return fine.masked_fill(hole, 0)


def _slow(count: int, noise: np.random.Generator) -> Array:
    """Random values (count,) that change slowly."""
    wide = np.convolve(noise.normal(size=count + 6), np.ones(7) / np.sqrt(7), "valid")
    return np.asarray(wide[:count])
