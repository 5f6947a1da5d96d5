"""Colours and patterns of bodies and clothes; a person keeps skin and hair, an outfit keeps its colours."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.bodies.model import Body, BodyModel
from gaitkeeper.training.bodies.outfit import Outfit

Array = npt.NDArray[Any]


class Material(IntEnum):
    """What a vertex is made of."""

    SKIN = 0
    HAIR = 1
    TOP = 2
    LEGS = 3
    SHOES = 4
    SKIRT = 5
    OUTER = 6
    SCARF = 7
    HAT = 8
    BAG = 9


LAYER = np.array([0, 1, 1, 1, 2, 2, 3, 4, 4, 5], np.float32)
"""Order of the materials from the skin outwards. Outer ones are drawn this many times ``GAP`` nearer, because thinned
meshes of two layers cross."""
GAP = 0.008  # metres

PLAIN, BANDS, STRIPES, CHECKS, PATCHES = range(5)
_SKINS = ((0.66, 0.44, 0.34), (0.55, 0.34, 0.25), (0.42, 0.25, 0.17), (0.23, 0.13, 0.085), (0.11, 0.065, 0.045))
_HAIRS = ((0.02, 0.018, 0.016), (0.07, 0.04, 0.025), (0.20, 0.12, 0.06), (0.32, 0.30, 0.28), (0.30, 0.19, 0.08))
# Range of the mean linear brightness, and how often there is a pattern.
_CLOTHS = {
    Material.TOP: (0.03, 0.75, 0.4),
    Material.LEGS: (0.02, 0.35, 0.1),
    Material.SHOES: (0.02, 0.6, 0.1),
    Material.SKIRT: (0.03, 0.6, 0.3),
    Material.OUTER: (0.02, 0.5, 0.2),
    Material.SCARF: (0.03, 0.7, 0.5),
    Material.HAT: (0.02, 0.5, 0.1),
    Material.BAG: (0.02, 0.4, 0.15),
}


@dataclass(frozen=True, eq=False)
class Paint:
    """Colours and patterns of M materials, and a face.

    Attributes:
        colours: float32 (M, 2, 3), linear RGB: the main one, and that of the pattern.
        patterns: int32 (M,): plain, bands around the body, stripes along it, checks, patches.
        periods: float32 (M,), metres.
        grain: float32 (M,), strength of the weave and the folds.
        fastening: half width of the line down the front of tops and jackets, in metres; 0 without one.
        face: float32 (3, 3), nose, left eye and right eye of the body at rest, metres.
    """

    colours: Array
    patterns: Array
    periods: Array
    grain: Array
    fastening: float
    face: Array


def draw_paint(model: BodyModel, body: Body, outfit: Outfit, person: int) -> Paint:
    """The paint of a body in an outfit: a function of the person's seed and of the outfit's."""
    own, worn = np.random.default_rng([person, 21]), np.random.default_rng([outfit.seed, 22])
    count = len(Material)
    colours = np.zeros((count, 2, 3), np.float32)
    patterns, periods = np.zeros(count, np.int32), np.ones(count, np.float32)
    grain = np.full(count, 0.10, np.float32)
    for material, known in ((Material.SKIN, _SKINS), (Material.HAIR, _HAIRS)):
        colours[material] = np.array(known[own.integers(len(known))]) * own.uniform(0.85, 1.15)
    grain[Material.SKIN], grain[Material.HAIR] = 0.03, 0.3
    for material, (low, high, share) in _CLOTHS.items():
        colours[material] = [_cloth(low, high, worn), _cloth(low, high, worn)]
        patterns[material] = worn.integers(1, 5) if worn.random() < share else PLAIN
        periods[material] = worn.uniform(0.02, 0.16)
        grain[material] = worn.uniform(0.05, 0.25)
    fastening = float(worn.uniform(0.004, 0.012)) if worn.random() < 0.5 else 0.0
    return Paint(colours, patterns, periods, grain, fastening, model.face(body))


def _cloth(low: float, high: float, rng: np.random.Generator) -> Array:
    """A colour whose brightness is log-uniform; most clothes have little colour."""
    tint = 1 + rng.choice((0.06, 0.2, 0.4), p=(0.45, 0.35, 0.2)) * rng.normal(size=3)
    tint = np.clip(tint, 0.1, None)
    return np.asarray(np.clip(np.exp(rng.uniform(np.log(low), np.log(high))) * tint / tint.mean(), 0.01, 0.9))
