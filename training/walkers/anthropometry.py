"""Body shapes: half breadths, depths and radii in metres, drawn from published anthropometry.

Means and standard deviations are rounded after ANSUR II (Gordon et al., 2012 Anthropometric Survey of U.S. Army
Personnel, NATICK/TR-15/007, 2014), men and women, in millimetres; breadths and depths are halved, girths divided
by 2π. The girths of arms, which ANSUR II measures flexed, are reduced; those of elbow and knee are our
estimates. Soldiers are leaner than the public, so the spread of measures that depend on fat is widened by 0.35.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from gaitkeeper.training.walkers.person import Build


@dataclass(eq=False)
class Rows:
    """Tensors with a common first axis, one row per person."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def __getitem__(self, rows: int | slice | list[int] | Tensor) -> Self:
        """Select rows; an int gives a batch of one."""
        chosen = slice(rows, rows + 1 or None) if isinstance(rows, int) else rows
        return self._each(lambda tensor: tensor[chosen])

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        return self._each(lambda tensor: tensor.to(device))

    @classmethod
    def cat(cls, batches: Sequence[Self]) -> Self:
        """Concatenate batches."""
        return cls(**{f.name: torch.cat([getattr(b, f.name) for b in batches]) for f in fields(cls)})

    def _each(self, change: Any) -> Self:
        return type(self)(**{f.name: change(getattr(self, f.name)) for f in fields(self)})


@dataclass(eq=False)
class Shape(Rows):
    """B bodies without clothes; float32 (B,) each, metres, half breadth, half depth or radius.

    Attributes:
        stature: full height.
        head_width, head_depth: of the skull.
        neck: radius.
        deltoid: radius of flesh over the shoulder joint.
        chest_width, chest_depth, waist_width, waist_depth, hips_width, hips_depth: of the trunk.
        belly: distance of the waist's middle in front of the line of the spine.
        bust: extra depth in front of the chest.
        thigh, knee, calf, ankle, upper_arm, elbow, forearm, wrist, hand: radii.
        foot: half breadth.
    """

    stature: Tensor
    head_width: Tensor
    head_depth: Tensor
    neck: Tensor
    deltoid: Tensor
    chest_width: Tensor
    chest_depth: Tensor
    waist_width: Tensor
    waist_depth: Tensor
    hips_width: Tensor
    hips_depth: Tensor
    belly: Tensor
    bust: Tensor
    thigh: Tensor
    knee: Tensor
    calf: Tensor
    ankle: Tensor
    upper_arm: Tensor
    elbow: Tensor
    forearm: Tensor
    wrist: Tensor
    hand: Tensor
    foot: Tensor


_ROUND = 1 / (2 * math.pi)
# name: (divisor to a half breadth or radius, men mean, sd, women mean, sd, share of the spread that depends on
# fatness).
_ANSUR = {
    "head_width": (0.5, 154, 5.5, 147, 5.3, 0.2),
    "head_depth": (0.5, 199, 7.0, 190, 7.0, 0.1),
    "neck": (_ROUND, 398, 26, 330, 20, 0.7),
    "chest_width": (0.5, 289, 18, 265, 18, 0.6),
    "chest_depth": (0.5, 254, 26, 247, 27, 0.8),
    "waist_width": (0.5, 326, 36, 300, 36, 0.85),
    "waist_depth": (0.5, 237, 35, 222, 33, 0.85),
    "hips_width": (0.5, 343, 24, 351, 27, 0.7),
    "hips_depth": (0.5, 248, 23, 233, 24, 0.75),
    "thigh": (_ROUND, 625, 58, 617, 56, 0.75),
    "knee": (_ROUND, 390, 25, 380, 28, 0.6),
    "calf": (_ROUND, 392, 30, 373, 29, 0.6),
    "ankle": (_ROUND, 229, 15, 215, 14, 0.4),
    "upper_arm": (_ROUND, 335, 33, 290, 30, 0.7),
    "elbow": (_ROUND, 280, 18, 245, 17, 0.5),
    "forearm": (_ROUND, 295, 22, 255, 19, 0.6),
    "wrist": (_ROUND, 176, 9, 154, 8, 0.3),
    "hand": (0.5, 88, 4, 79, 4, 0.1),
    "foot": (0.5, 102, 5, 93, 5, 0.1),
}
_STATURE = {"men": (1.756, 0.069), "women": (1.629, 0.064)}
_WIDER = 1.35


def draw_shapes(builds: Sequence[Build], rng: np.random.Generator) -> Shape:
    """Draw body shapes for skeletons: sex given the stature, fatness, and each girth around that of the build.

    Args:
        builds: B bodies; ``bulk``, ``belly``, ``chest`` and ``pelvis`` move the means.
        rng: random generator.
    """
    n = len(builds)
    own = {name: np.array([getattr(b, name) for b in builds], np.float64) for name in Build.__dataclass_fields__}
    stature = own["stature"]
    men, women = (np.exp(-(((stature - m) / s) ** 2) / 2) / s for m, s in _STATURE.values())
    female = (rng.random(n) < women / (men + women)).astype(np.float64)
    fat = 0.45 * (own["bulk"] - 1) / 0.09 + 0.9 * rng.normal(size=n).clip(-2.2, 2.6)
    moved = {
        "chest_width": own["chest"], "chest_depth": own["chest"], "upper_arm": own["chest"],
        "hips_width": own["pelvis"], "hips_depth": own["pelvis"], "thigh": own["pelvis"],
    }  # fmt: skip
    drawn = {"stature": stature}
    for name, (half, m, m_sd, w, w_sd, tied) in _ANSUR.items():
        mean, sd = m + female * (w - m), (m_sd + female * (w_sd - m_sd)) * (_WIDER if tied > 0.5 else 1.0)
        z = tied * fat + math.sqrt(1 - tied**2) * rng.normal(size=n).clip(-2, 2)
        usual = np.where(female > 0, *(_STATURE[sex][0] for sex in ("women", "men")))
        drawn[name] = half / 1000 * (mean + sd * z) * moved.get(name, 1.0) * np.sqrt(stature / usual)
    drawn["waist_depth"] += 0.02 * own["belly"]
    drawn["belly"] = (0.006 + 0.012 * fat + 0.04 * (own["belly"] - 0.2)).clip(-0.01, 0.07)
    drawn["bust"] = female * (0.018 + 0.008 * rng.normal(size=n) + 0.006 * fat).clip(0, 0.05)
    drawn["deltoid"] = drawn["upper_arm"] * 1.08
    return Shape(**{f.name: torch.tensor(np.maximum(drawn[f.name], 0.0), dtype=torch.float32) for f in fields(Shape)})
