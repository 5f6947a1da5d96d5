"""Draw builds: phenotypes and local changes with the distribution of real statures and weights.

The stature is that of the gait, so that body and motion belong to one person; the sex is drawn given the stature. The
body-mass index is log-normal around the medians of ANSUR II (Gordon et al. 2014, NATICK/TR-15/007), a little wider and
lighter, because ANSUR II measured soldiers. Ages are 18 to 75 years.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.bodies.model import SKIN, Body, BodyModel

Array = npt.NDArray[Any]

_STATURE = {"men": (1.756, 0.069), "women": (1.629, 0.064)}  # metres, ANSUR II
_BMI = {"men": (25.2, 0.15), "women": (24.0, 0.17)}  # median, and deviation of the logarithm
_DENSITY = 985.0  # kg/m³ of a body
_CHANGED = (
    *("upperarm-", "lowerarm-", "breast-", "buttocks", "head-", "hip-", "measure-", "upperleg-", "lowerleg-", "neck-"),
    *("stomach-pregnant", "stomach-tone", "torso-", "pelvis-tone", "foot-scale", "leg-valgus", "upperlegs-height"),
    *("lowerlegs-height", "hand-scale"),
)
_LEFT_OUT = ("head-age", "trans-out", "head-angle")
_WEIGHTS = (0.0, 0.5, 1.0, 1.6)  # between these, a body's volume is nearly linear; above 1 the model is extrapolated
_HEIGHTS = (0.0, 1.0)
_SPREAD = 0.3
"""Standard deviation of a local change; the model's maximum is 1."""


@dataclass(frozen=True, eq=False)
class Physique:
    """A person's build.

    Attributes:
        female: True to draw women's clothes and hair.
        years: age.
        stature: metres.
        bmi: kilograms per square metre.
        phenotypes: phenotypes of the model, each in [0, 1].
        changes: local changes, each in [-1, 1].
    """

    female: bool
    years: float
    stature: float
    bmi: float
    phenotypes: dict[str, float]
    changes: dict[str, float]

    def vector(self) -> Array:
        """float32 (D,) with mean about 0 and deviation about 1; people of similar build lie near one another."""
        p = self.phenotypes
        main = [(self.stature - 1.70) / 0.09, math.log(self.bmi / 24.6) / 0.16, 1.0 if self.female else -1.0]
        rest = [4 * (p[name] - 0.5) for name in ("muscle", "proportions")]
        return np.array(main + rest + [v / _SPREAD for v in self.changes.values()], np.float32)


def draw_physique(model: BodyModel, stature: float, rng: np.random.Generator) -> tuple[Physique, Body]:
    """Draw a person of a stature in metres, with a body that matches it as closely as the model allows."""
    men, women = (math.exp(-(((stature - mean) / sd) ** 2) / 2) / sd for mean, sd in _STATURE.values())
    female = bool(rng.random() < women / (men + women))
    sex = "women" if female else "men"
    years = float(rng.uniform(18, 75))
    middle, spread = _BMI[sex]
    bmi = middle * math.exp(spread * float(np.clip(rng.normal(), -2.0, 2.6)) + 0.05 * (years - 40) / 35)
    origin = rng.dirichlet((1.0, 1.0, 1.0))
    phenotypes = {
        "gender": float(rng.uniform(0.75, 1.0) if female else rng.uniform(0.0, 0.25)),
        "age": model.age(years),
        "muscle": float(np.clip(rng.normal(0.45 if female else 0.55, 0.17), 0.05, 0.95)),
        "proportions": float(np.clip(rng.normal(0.5, 0.2), 0.0, 1.0)),
        "cupsize": float(np.clip(rng.normal(0.5, 0.2), 0.0, 1.0)),
        "firmness": float(np.clip(rng.normal(0.5, 0.2), 0.0, 1.0)),
        **dict(zip(("african", "asian", "caucasian"), (float(share) for share in origin), strict=True)),
    }
    changes = _changes(model, female, rng)
    # The model is linear in weight and height between a few corners: interpolate between these.
    corners = {"weight": [w for w in _WEIGHTS for _ in _HEIGHTS], "height": list(_HEIGHTS) * len(_WEIGHTS)}
    grid = np.stack([b.points for b in model.bodies({**phenotypes, **corners}, changes)])
    grid = grid.reshape(len(_WEIGHTS), len(_HEIGHTS), *grid.shape[1:])
    height = 0.5
    for _ in range(2):  # weight and height affect each other a little
        columns = grid[:, 0] + np.float32(height) * (grid[:, 1] - grid[:, 0])
        indices = np.maximum.accumulate([mass(model, points) / stature**2 for points in columns])
        weight = float(np.interp(bmi, indices, _WEIGHTS))
        row = min(int(np.searchsorted(_WEIGHTS, weight, "right")) - 1, len(_WEIGHTS) - 2)
        share = np.float32((weight - _WEIGHTS[row]) / (_WEIGHTS[row + 1] - _WEIGHTS[row]))
        ends = [tall(points) for points in grid[row] + share * (grid[row + 1] - grid[row])]
        height = float(np.clip((stature - ends[0]) / (ends[1] - ends[0]), -0.1, 1.1))
    phenotypes |= {"weight": weight, "height": height}
    body = model.bodies(phenotypes, changes)[0]
    found = tall(body.points)
    return Physique(female, years, found, mass(model, body.points) / found**2, phenotypes, changes), body


def tall(points: Array) -> float:
    """Metres from sole to crown of a body's points (V, 3)."""
    z = points[:SKIN, 2]
    return float(z.max() - z.min())


def mass(model: BodyModel, points: Array) -> float:
    """Kilograms of a body's points (V, 3), from the volume that its skin encloses."""
    corners = points[:SKIN][model.outside].astype(np.float64)
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    across = np.stack([a[:, i] * b[:, j] - a[:, j] * b[:, i] for i, j in ((1, 2), (2, 0), (0, 1))], 1)
    return _DENSITY * abs(float((across * c).sum())) / 6


def _changes(model: BodyModel, female: bool, rng: np.random.Generator) -> dict[str, float]:
    drawn: dict[str, float] = {}
    for name in model.local_changes:
        if not any(part in name for part in _CHANGED) or any(part in name for part in _LEFT_OUT):
            continue
        if name.startswith("r-"):
            drawn[name] = drawn["l-" + name[2:]]
            continue
        value = float(np.clip(_SPREAD * rng.normal(), -0.9, 0.9))
        if "pregnant" in name:
            value = max(value, 0.0)
        if "breast" in name and not female:
            value = min(value, 0.1)
        drawn[name] = value
    return drawn
