"""People and takes of a set of real bodies: measured or drawn gaits, with individual bodies and clothes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from gaitkeeper.training.bodies.model import Body, BodyModel
from gaitkeeper.training.bodies.outfit import Carried, Outfit, draw_carried, draw_hair, draw_outfit
from gaitkeeper.training.bodies.physique import Physique, draw_physique
from gaitkeeper.training.datasets import load_partition, open_dataset
from gaitkeeper.training.walkers.gait_cycle import GaitCycle
from gaitkeeper.training.walkers.gait_model import GaitModel
from gaitkeeper.training.walkers.population import Actor, drawn_actors, measured_actors
from gaitkeeper.training.walkers.sets import ALL_AROUND, PARTITION
from gaitkeeper.training.walkers.views import AZIMUTHS, Views, draw_views, fixed_views

OUTFITS = 4
"""Everyday outfits of each person; the first is the usual one."""


@dataclass(frozen=True, eq=False)
class Someone:
    """A person with a body and a wardrobe.

    Attributes:
        actor: the gait.
        physique, body: the build.
        hair: a head of hair, or None.
        outfits: everyday outfits; outer wear of the set may be added.
    """

    actor: Actor
    physique: Physique
    body: Body
    hair: str | None
    outfits: tuple[Outfit, ...]

    @classmethod
    def of(cls, model: BodyModel, actor: Actor, seed: int) -> Someone:
        """A function of the seed and the actor."""
        rng = np.random.default_rng([seed, 11, *actor.name.encode()])
        build = actor.drawn.person.build if actor.drawn is not None else actor.walks[0].build
        physique, body = draw_physique(model, build.stature, rng)
        hair = draw_hair(physique.female, rng)
        outfits = tuple(draw_outfit(physique.female, rng) for _ in range(OUTFITS))
        return cls(actor, physique, body, hair, outfits)


@dataclass(frozen=True, eq=False)
class Take:
    """One walk to render.

    Attributes:
        condition, take, view: its name in the set.
        cycle: the gait cycle.
        phase: start within the cycle, in [0, 1).
        outfit: number of the outfit; from ``OUTFITS`` on, an outfit of this take alone.
        worn, carried: the visible clothes and items.
        camera: one view.
    """

    condition: str
    take: str
    view: str
    cycle: GaitCycle
    phase: float
    outfit: int
    worn: Outfit
    carried: Carried | None
    camera: Views


@dataclass(frozen=True)
class Size:
    """Size of a set.

    Attributes:
        people: measured and drawn people together in training and calibration; drawn people of Bodies-XL.
        takes: takes per person in training.
        frames: frames per take.
        rate: frames per second: 30, or 30 divided by an integer.
        outfit_share: share of a person's training takes in the usual outfit.
    """

    people: int
    takes: int = 0
    frames: int = 40
    rate: int = 30
    outfit_share: float = 0.7


Takes = Callable[[Someone, np.random.Generator, Size], Iterator[Take]]


@dataclass(frozen=True)
class SetOf:
    """A set: its people, their takes, and its published seed and size."""

    actors: Callable[[Path, int, Size], list[Actor]]
    takes: Takes
    seed: int
    size: Size = field(default_factory=lambda: Size(0))


def _training_takes(who: Someone, rng: np.random.Generator, size: Size) -> Iterator[Take]:
    usual = round(size.outfit_share * size.takes)
    worn = [0] * usual + [1 + i % (OUTFITS - 1) for i in range(size.takes - usual)]
    rng.shuffle(worn)
    for i, number in enumerate(worn):
        around = 18.0 * float(rng.integers(20)) if i % 2 else float(rng.uniform(0, 360))
        bag = rng.random() < 0.3
        condition = "bg" if bag else "nm" if number == 0 else "cl"
        yield _take(who, rng, condition, f"{i:02}", around, number, carried=draw_carried(rng) if bag else None)


def _laboratory_takes(who: Someone, rng: np.random.Generator, size: Size) -> Iterator[Take]:
    """As in CASIA-B: 11 views × (6 normal, 2 with a bag, 2 in outer wear), the later ones from other recordings."""
    cameras = fixed_views()
    half = (len(who.actor.walks) + 1) // 2
    for condition, number in [("nm", i) for i in range(1, 7)] + [(c, i) for c in ("bg", "cl") for i in (1, 2)]:
        share = slice(0, half) if condition == "nm" and number <= 4 else slice(half, None)
        first = _dressed(who, rng, condition, number, 90.0, share)
        for row, azimuth in enumerate(AZIMUTHS):
            yield replace(first, view=f"{azimuth:03}", phase=float(rng.uniform()), camera=cameras[row])


def _open_takes(who: Someone, rng: np.random.Generator, size: Size) -> Iterator[Take]:
    """Four takes to enrol each person except strangers; probes in all conditions and views, twice as many strangers."""
    half = (len(who.actor.walks) + 1) // 2
    stranger = who.actor.name.startswith("stranger-")
    if not stranger:
        for i, azimuth in enumerate(ALL_AROUND):
            yield replace(_dressed(who, rng, "nm", i, azimuth, slice(0, half)), take=f"enrol{i}")
    share = slice(half, None) if half < len(who.actor.walks) else slice(None)
    for i in range(10 if stranger else 5):
        condition = ("nm", "nm", "nm", "bg", "cl")[i % 5]
        take = _dressed(who, rng, condition, i, float(rng.uniform(0, 360)), share)
        yield replace(take, take=f"probe{i}")


def _dressed(who: Someone, rng: np.random.Generator, condition: str, number: int, azimuth: float, share: slice) -> Take:
    """The usual outfit, with a bag ("bg"), or another outfit with a jacket or coat ("cl")."""
    other = draw_outfit(who.physique.female, rng, outer=True) if condition == "cl" else None
    carried = draw_carried(rng) if condition == "bg" else None
    outfit = OUTFITS + number if other is not None else 0
    return _take(who, rng, condition, f"{number:02}", azimuth, outfit, worn=other, carried=carried, share=share)


def _take(
    who: Someone,
    rng: np.random.Generator,
    condition: str,
    name: str,
    azimuth: float,
    outfit: int,
    *,
    worn: Outfit | None = None,
    carried: Carried | None = None,
    share: slice = slice(None),
) -> Take:
    cycle = who.actor.walk(_gait(), rng, share)
    camera = draw_views(1, rng, azimuth)
    view = f"{round(azimuth) % 360:03}"
    worn = who.outfits[outfit] if worn is None else worn
    return Take(condition, name, view, cycle, float(rng.uniform()), outfit, worn, carried, camera)


def _measured_and_drawn(part: str, seed: int, kinect: Path, names: list[str], *, min_walks: int = 1) -> list[Actor]:
    walks = load_partition(PARTITION).of(open_dataset("kinect", kinect), part)
    measured = measured_actors(walks, seed, min_walks=min_walks)
    return measured + drawn_actors(_gait(), names[: max(len(names) - len(measured), 0)], seed)


def _training_actors(kinect: Path, seed: int, size: Size) -> list[Actor]:
    names = [f"drawn-{i:04}" for i in range(size.people)]
    return _measured_and_drawn("train", seed, kinect, names)[: size.people]


def _calibration_actors(kinect: Path, seed: int, size: Size) -> list[Actor]:
    names = [f"{'known' if i % 2 else 'stranger'}-c{i // 2:04}" for i in range(size.people)]
    return _measured_and_drawn("calibrate", seed, kinect, names, min_walks=2)


def _test_actors(kinect: Path, seed: int, size: Size) -> list[Actor]:
    return _measured_and_drawn("test", seed, kinect, [], min_walks=2)[: size.people or None]


def _many_actors(kinect: Path, seed: int, size: Size) -> list[Actor]:
    names = [f"{'known' if i % 2 else 'stranger'}-{i // 2:04}" for i in range(size.people)]
    return drawn_actors(_gait(), names, seed)


@cache
def _gait() -> GaitModel:
    return GaitModel.load()


SETS: dict[str, SetOf] = {
    "train": SetOf(_training_actors, _training_takes, 30_001, Size(600, takes=16, frames=24, rate=15)),
    "calibrate": SetOf(_calibration_actors, _open_takes, 30_002, Size(1000)),
    "bodies-b": SetOf(_test_actors, _laboratory_takes, 30_003, Size(0, frames=60)),
    "bodies-xl": SetOf(_many_actors, _open_takes, 30_004, Size(2000)),
}
"""Sets by name; bodies-b and bodies-xl are benchmarks, so their seeds and sizes are fixed."""
