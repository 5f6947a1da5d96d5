"""The people of a rendered set: measured people with their own motion and bones, and people of the gait model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from gaitkeeper.training.datasets import Dataset
from gaitkeeper.training.errors import NoClearGait
from gaitkeeper.training.walkers.anthropometry import Shape, draw_shapes
from gaitkeeper.training.walkers.clothing import Dress, draw_dress
from gaitkeeper.training.walkers.gait_cycle import GaitCycle
from gaitkeeper.training.walkers.gait_model import DrawnWalker, GaitModel
from gaitkeeper.training.walkers.kinect_motion import Measured, cycle_of, kinect_build, measure
from gaitkeeper.training.walkers.person import another_walk, draw_person


@dataclass(frozen=True, eq=False)
class Actor:
    """A person, with a source of walks.

    Attributes:
        name: the subject.
        shape: body shape, one row.
        everyday: everyday outfits, one row each.
        walks: gait cycles of measured walks, in the order of recording; empty for drawn people.
        drawn: the model's person; None for measured people.
    """

    name: str
    shape: Shape
    everyday: Dress
    walks: tuple[GaitCycle, ...] = ()
    drawn: DrawnWalker | None = None

    def walk(self, model: GaitModel, rng: np.random.Generator, share: slice = slice(None)) -> GaitCycle:
        """A walk: a measured one of ``share`` at a slightly different pace, or a new one of the model."""
        if self.drawn is not None:
            return model.draw_walk(self.drawn, rng)
        walks = self.walks[share]
        cycle = walks[int(rng.integers(len(walks)))]
        return replace(cycle, seconds=cycle.seconds * float(np.exp(0.04 * rng.normal())))

    def dressed(self, condition: str, rng: np.random.Generator, outfit: int = 0) -> Dress:
        """One row: an everyday outfit, with a bag ("bg") or outer wear over it ("cl")."""
        return draw_dress(condition, 1, rng, base=self.everyday[outfit])  # type: ignore[arg-type]


def measured_actors(walks: Dataset, seed: int, *, outfits: int = 1, min_walks: int = 1) -> list[Actor]:
    """One actor for every person with enough walks of clear gait.

    Args:
        walks: walks of the format "kinect".
        seed: seed of the parts that the sensor does not measure: body shape, clothes, feet.
        outfits: number of everyday outfits per person.
        min_walks: people with fewer clear walks are left out.
    """
    found: dict[str, list[Measured]] = {}
    for sample in walks:
        joints = sample.load().joints
        try:
            if joints is not None:
                found.setdefault(sample.subject, []).append(measure(joints))
        except NoClearGait:
            continue
    actors = []
    for name, own in sorted(found.items()):
        if len(own) < min_walks:
            continue
        rng = _rng(seed, name)
        person = draw_person(int(rng.integers(2**31)))
        build = kinect_build(own, person.build)
        cycles = tuple(cycle_of(walk, another_walk(person, i), build) for i, walk in enumerate(own))
        actors.append(Actor(name, draw_shapes([build], rng), draw_dress("nm", outfits, rng), walks=cycles))
    return actors


def drawn_actors(model: GaitModel, names: Iterable[str], seed: int, *, outfits: int = 1) -> list[Actor]:
    """People of the model; each depends only on the seed and the name."""
    actors = []
    for name in names:
        rng = _rng(seed, name)
        drawn = model.draw_person(rng)
        actors.append(Actor(name, draw_shapes([drawn.person.build], rng), draw_dress("nm", outfits, rng), drawn=drawn))
    return actors


def _rng(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, *name.encode()])
