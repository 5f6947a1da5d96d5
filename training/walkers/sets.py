"""The rendered sets: people, takes, clothes and views, as a function of the seed alone.

* ``train``: the 75 training people with their measured walks and any number of drawn people; cameras at CASIA-B's
  azimuths, in both directions, and anywhere; half everyday clothes, a quarter bags, a quarter outer wear.
* ``calibrate``: the 15 calibration people and drawn people, with takes as in Walkers-XL.
* ``walkers-b``, shaped like CASIA-B (Yu et al., ICPR 2006): the 50 test people; 11 views × (6 normal, 2 bag, 2 outer
  wear). The first walks of a person (gallery) and the later ones (probes) come from different recordings.
* ``walkers-xl``: 2,000 drawn people, 1,000 enrolled with 4 takes from all around, 1,000 strangers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gaitkeeper.training.datasets import load_partition, open_dataset
from gaitkeeper.training.walkers.anthropometry import Shape
from gaitkeeper.training.walkers.clothing import Dress
from gaitkeeper.training.walkers.gait_cycle import GaitCycle
from gaitkeeper.training.walkers.gait_model import GaitModel
from gaitkeeper.training.walkers.population import Actor, drawn_actors, measured_actors
from gaitkeeper.training.walkers.views import AZIMUTHS, Views, draw_views, fixed_views

PARTITION = "kinect_75_15_50"
ALL_AROUND = (0.0, 60.0, 120.0, 180.0)
"""Azimuths in degrees at which people of Walkers-XL are enrolled."""
_CONDITIONS = ("nm", "nm", "bg", "cl")


@dataclass(frozen=True, eq=False)
class Take:
    """One walk to render; shape, dress and view are one row each.

    Attributes:
        subject, condition, take, view: its name in the set.
        cycle: the gait cycle.
        phase: start within the cycle, in [0, 1).
        shape, dress, camera: body, outfit, view.
    """

    subject: str
    condition: str
    take: str
    view: str
    cycle: GaitCycle
    phase: float
    shape: Shape
    dress: Dress
    camera: Views


@dataclass(frozen=True)
class Size:
    """Size of a set.

    Attributes:
        people: drawn people, in addition to measured ones. In Walkers-XL half are strangers.
        takes: takes per drawn person in training; measured people have three times as many.
        frames: frames per take, at 30 Hz.
    """

    people: int
    takes: int
    frames: int


def training_takes(kinect: Path, seed: int, size: Size) -> Iterator[Take]:
    """See the module's text."""
    model = GaitModel.load()
    walks = load_partition(PARTITION).of(open_dataset("kinect", kinect), "train")
    measured = measured_actors(walks, seed, outfits=3)
    drawn = drawn_actors(model, (f"drawn-{i:04}" for i in range(size.people)), seed, outfits=3)
    for actor in measured + drawn:
        rng = np.random.default_rng([seed, 1, *actor.name.encode()])
        for i in range(size.takes if actor.drawn else 3 * size.takes):
            condition = _CONDITIONS[i % 4]
            around = 18.0 * rng.integers(20) if i % 8 < 4 else rng.uniform(0, 360)
            outfit = int(rng.choice(3, p=(0.6, 0.2, 0.2)))
            yield _take(actor, model, rng, condition, f"{i:02}", f"{round(around) % 360:03}", around, outfit=outfit)


def walkers_b(kinect: Path, seed: int, size: Size) -> Iterator[Take]:
    """See the module's text."""
    model = GaitModel.load()
    walks = load_partition(PARTITION).of(open_dataset("kinect", kinect), "test")
    cameras = fixed_views()
    takes = [("nm", i) for i in range(1, 7)] + [(condition, i) for condition in ("bg", "cl") for i in (1, 2)]
    for actor in measured_actors(walks, seed, min_walks=2):
        rng = np.random.default_rng([seed, 2, *actor.name.encode()])
        half = (len(actor.walks) + 1) // 2
        for condition, number in takes:
            share = slice(0, half) if condition == "nm" and number <= 4 else slice(half, None)
            cycle, dress = actor.walk(model, rng, share), actor.dressed(condition, rng)
            for row, azimuth in enumerate(AZIMUTHS):
                phase, shape = float(rng.uniform()), actor.shape
                view = f"{azimuth:03}"
                yield Take(actor.name, condition, f"{number:02}", view, cycle, phase, shape, dress, cameras[row])


def walkers_xl(kinect: Path, seed: int, size: Size) -> Iterator[Take]:
    """See the module's text."""
    names = [f"{'known' if i % 2 else 'stranger'}-{i // 2:04}" for i in range(size.people)]
    model = GaitModel.load()
    yield from _enrolled_and_seen(drawn_actors(model, names, seed), model, seed)


def calibration_takes(kinect: Path, seed: int, size: Size) -> Iterator[Take]:
    """See the module's text."""
    walks = load_partition(PARTITION).of(open_dataset("kinect", kinect), "calibrate")
    names = [f"{'known' if i % 2 else 'stranger'}-c{i // 2:04}" for i in range(size.people)]
    measured = measured_actors(walks, seed, min_walks=2)
    model = GaitModel.load()
    yield from _enrolled_and_seen(measured + drawn_actors(model, names, seed), model, seed)


def _enrolled_and_seen(actors: list[Actor], model: GaitModel, seed: int) -> Iterator[Take]:
    """Four takes to enrol each person except strangers; probes in all conditions and views, twice as many strangers."""
    for actor in actors:
        rng = np.random.default_rng([seed, 3, *actor.name.encode()])
        stranger = actor.name.startswith("stranger-")
        half = (len(actor.walks) + 1) // 2
        if not stranger:
            for i, azimuth in enumerate(ALL_AROUND):
                yield _take(actor, model, rng, "nm", f"enrol{i}", f"{azimuth:03.0f}", azimuth, share=slice(0, half))
        for i in range(10 if stranger else 5):
            condition = ("nm", "nm", "nm", "bg", "cl")[i % 5]
            azimuth = float(rng.uniform(0, 360))
            share = slice(half, None) if half < len(actor.walks) else slice(None)
            yield _take(actor, model, rng, condition, f"probe{i}", f"{azimuth:03.0f}", azimuth, share=share)


def _take(
    actor: Actor,
    model: GaitModel,
    rng: np.random.Generator,
    condition: str,
    name: str,
    view: str,
    azimuth: float,
    *,
    outfit: int = 0,
    share: slice = slice(None),
) -> Take:
    cycle = actor.walk(model, rng, share)
    dress = actor.dressed(condition, rng, outfit)
    return Take(
        actor.name, condition, name, view, cycle, float(rng.uniform()), actor.shape, dress, draw_views(1, rng, azimuth)
    )


@dataclass(frozen=True)
class SetOf:
    """A set: its takes, and its published seed and size."""

    takes: Callable[[Path, int, Size], Iterator[Take]]
    seed: int
    size: Size


SETS: dict[str, SetOf] = {
    "train": SetOf(training_takes, 20_001, Size(people=500, takes=16, frames=40)),
    "calibrate": SetOf(calibration_takes, 20_002, Size(people=1000, takes=0, frames=40)),
    "walkers-b": SetOf(walkers_b, 20_003, Size(people=0, takes=0, frames=60)),
    "walkers-xl": SetOf(walkers_xl, 20_004, Size(people=2000, takes=0, frames=40)),
}
"""Sets by name; walkers-b and walkers-xl are benchmarks, so their seeds and sizes are fixed."""
