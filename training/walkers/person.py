"""A person: build, gait and outfit, drawn from a seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import TypeVar

import numpy as np

T = TypeVar("T", "Build", "Gait")
Colour = tuple[float, float, float]

TOPS = ("jacket", "coat", "hoodie", "shirt")
LEGWEAR = ("trousers", "wide trousers", "skirt")
HAIR = ("short", "bob", "bun", "cap", "hood")
BAGS = ("none", "backpack", "shoulder bag")


@dataclass(frozen=True)
class Build:
    """Lengths as shares of the stature, after Drillis and Contini (1966) in Winter, Biomechanics (2009), fig. 4.1.

    Attributes:
        stature: metres.
        thigh, shank, foot_height, foot_length, upper_arm, forearm, hand: segment lengths.
        hips: distance between the hip joints.
        shoulders: distance between the shoulder joints.
        bulk: girth of the whole body relative to the average, about 1.
        belly: size of the belly, in [0, 1].
        pelvis: girth of hips and thighs relative to the average, about 1.
        chest: girth of chest and upper arms relative to the average, about 1.
        stoop: forward bend of neck and upper back, radians.
    """

    stature: float = 1.74
    thigh: float = 0.245
    shank: float = 0.246
    foot_height: float = 0.039
    foot_length: float = 0.152
    upper_arm: float = 0.172
    forearm: float = 0.150
    hand: float = 0.075
    hips: float = 0.104
    shoulders: float = 0.203
    bulk: float = 1.0
    belly: float = 0.2
    pelvis: float = 1.0
    chest: float = 1.0
    stoop: float = 0.12


@dataclass(frozen=True)
class Gait:
    """Gait parameters for level walking; angles in radians, lengths as shares of the stature unless said otherwise.

    The ranges follow the normative curves of Winter, The Biomechanics and Motor Control of Human Gait (1991), and
    Perry and Burnfield, Gait Analysis (2010).

    Attributes:
        cadence: steps a minute.
        stride: length of two steps.
        stance: share of the cycle that a foot is on the ground.
        width: sideways distance between the ankles.
        toe_out: outward turn of the foot.
        strike: pitch of the raised toes as the heel lands.
        push_off: pitch of the raised heel as the toes leave.
        clearance: extra height of the swinging foot.
        circumduction: outward swerve of the swinging foot.
        knees: remaining bend of the knees; 0 stretches them fully at the longest reach of the cycle.
        bob, sway: half the rise and half the sideways travel of the pelvis.
        yaw, list_, tilt: turn of the pelvis with the step, its drop on the swinging side, its constant tilt forward.
        lean: forward lean of the trunk.
        trunk_yaw, trunk_roll: turn of the shoulders relative to the pelvis, lean of the trunk over the standing leg.
        arm_swing: half the arc of the upper arm.
        arm_mean: middle of the arc, forward positive.
        arm_lag: delay of the arms behind the opposite leg, as a share of the cycle.
        elbow, elbow_swing: mean bend of the elbow, and additional bend in front.
        carriage: abduction of the arms from the body.
        forearm_in: inward turn of the forearms.
        head: nod of the head, forward positive.
        uneven_time, uneven_step, uneven_arms: asymmetry of left and right in timing, step length and arm swing, about
            0.
    """

    cadence: float = 112.0
    stride: float = 0.80
    stance: float = 0.62
    width: float = 0.055
    toe_out: float = 0.12
    strike: float = 0.36
    push_off: float = 1.15
    clearance: float = 0.012
    circumduction: float = 0.006
    knees: float = 0.35
    bob: float = 0.0095
    sway: float = 0.013
    yaw: float = 0.09
    list_: float = 0.06
    tilt: float = 0.12
    lean: float = 0.04
    trunk_yaw: float = 0.08
    trunk_roll: float = 0.02
    arm_swing: float = 0.40
    arm_mean: float = 0.02
    arm_lag: float = 0.02
    elbow: float = 0.35
    elbow_swing: float = 0.25
    carriage: float = 0.14
    forearm_in: float = 0.25
    head: float = 0.0
    uneven_time: float = 0.0
    uneven_step: float = 0.0
    uneven_arms: float = 0.0

    @property
    def cycle_seconds(self) -> float:
        """Seconds of one gait cycle, two steps."""
        return 120.0 / self.cadence


@dataclass(frozen=True)
class Outfit:
    """What a person wears; colours are linear RGB in [0, 1]."""

    top: str = "jacket"
    legwear: str = "trousers"
    hair: str = "short"
    bag: str = "none"
    ease: float = 0.012
    skin: Colour = (0.62, 0.40, 0.30)
    hair_colour: Colour = (0.06, 0.04, 0.03)
    top_colour: Colour = (0.10, 0.16, 0.30)
    trim_colour: Colour = (0.5, 0.5, 0.5)
    leg_colour: Colour = (0.10, 0.10, 0.12)
    shoe_colour: Colour = (0.08, 0.07, 0.07)
    stripes: bool = False


@dataclass(frozen=True)
class Person:
    """A walker: the same seed gives the same body, clothes and gait."""

    seed: int = 0
    build: Build = field(default_factory=Build)
    gait: Gait = field(default_factory=Gait)
    outfit: Outfit = field(default_factory=Outfit)


# Spread of the population: standard deviations of normal draws, truncated at two. Stature and the lengths after the
# spread of ANSUR II (Gordon et al. 2014); gait after the between-person spread in Winter (1991), tables 3.1 to 3.4.
_BUILD_SPREAD = {
    **{"stature": 0.09, "thigh": 0.007, "shank": 0.007, "foot_height": 0.002, "foot_length": 0.004},
    **{"upper_arm": 0.005, "forearm": 0.005, "hand": 0.002, "hips": 0.005, "shoulders": 0.010},
    **{"bulk": 0.09, "belly": 0.25, "pelvis": 0.06, "chest": 0.06, "stoop": 0.08},
}
_GAIT_SPREAD = {
    **{"cadence": 8.0, "stride": 0.05, "stance": 0.012, "width": 0.016, "toe_out": 0.07, "strike": 0.07},
    **{"push_off": 0.12, "clearance": 0.006, "circumduction": 0.005, "knees": 0.2, "bob": 0.0022, "sway": 0.005},
    **{"yaw": 0.04, "list_": 0.02, "tilt": 0.04, "lean": 0.04, "trunk_yaw": 0.04, "trunk_roll": 0.02},
    **{"arm_swing": 0.16, "arm_mean": 0.08, "arm_lag": 0.02, "elbow": 0.18, "elbow_swing": 0.12, "carriage": 0.05},
    **{"forearm_in": 0.15, "head": 0.07, "uneven_time": 0.006, "uneven_step": 0.007, "uneven_arms": 0.15},
}
# Spread between walks of one person, as a share of the spread between people.
_WITHIN = 0.12
_FLOORS = {"belly": 0.0, "knees": 0.1, "arm_swing": 0.08, "elbow": 0.08, "elbow_swing": 0.0, "carriage": 0.05}


def draw_person(seed: int) -> Person:
    """The person with this seed: an individual build, gait and outfit."""
    rng = np.random.default_rng([seed, 0x6A17])
    build = _spread(Build(), _BUILD_SPREAD, rng)
    gait = _spread(Gait(), _GAIT_SPREAD, rng)
    return Person(seed, build, gait, _draw_outfit(rng))


def draw_people(count: int, seed: int, candidates: int = 12) -> list[Person]:
    """Draw people who differ: each is the candidate farthest from the people before (Mitchell 1991).

    A longer list starts with the people of a shorter one.
    """
    people: list[Person] = []
    for number in range(count):
        pool = [
            draw_person(int(np.random.SeedSequence([seed, number, k]).generate_state(1)[0])) for k in range(candidates)
        ]
        people.append(max(pool, key=lambda p: min((difference(p, q) for q in people), default=0.0)))
    return people


def difference(a: Person, b: Person) -> float:
    """Distance of two people in build and gait, in root-mean-square standard deviations of the population."""
    parts = [(getattr(a.build, k) - getattr(b.build, k)) / s for k, s in _BUILD_SPREAD.items()]
    parts += [(getattr(a.gait, k) - getattr(b.gait, k)) / s for k, s in _GAIT_SPREAD.items()]
    return float(np.sqrt(np.mean(np.square(parts))))


def another_walk(person: Person, seed: int) -> Person:
    """The same person on another day: same body and clothes, slightly different gait."""
    rng = np.random.default_rng([person.seed, seed, 0x3A1C])
    return replace(person, gait=_spread(person.gait, {k: _WITHIN * s for k, s in _GAIT_SPREAD.items()}, rng))


def _spread(mean: T, spread: dict[str, float], rng: np.random.Generator) -> T:
    drawn = asdict(mean)
    for name in (f.name for f in fields(mean)):
        value = drawn[name] + spread[name] * float(np.clip(rng.normal(), -2, 2))
        drawn[name] = max(value, _FLOORS.get(name, -np.inf))
    return replace(mean, **drawn)


_SKINS: tuple[Colour, ...] = ((0.68, 0.46, 0.36), (0.58, 0.36, 0.26), (0.44, 0.26, 0.17), (0.24, 0.13, 0.085))
_HAIRS: tuple[Colour, ...] = ((0.02, 0.018, 0.016), (0.07, 0.04, 0.025), (0.20, 0.12, 0.06), (0.32, 0.30, 0.28))
_TOPS: tuple[Colour, ...] = (
    *((0.05, 0.09, 0.24), (0.30, 0.05, 0.05), (0.09, 0.17, 0.09), (0.35, 0.33, 0.28), (0.045, 0.045, 0.05)),
    *((0.42, 0.26, 0.07), (0.06, 0.22, 0.30), (0.24, 0.22, 0.24), (0.45, 0.12, 0.05), (0.22, 0.11, 0.26)),
)
_LEGS: tuple[Colour, ...] = (
    *((0.035, 0.05, 0.11), (0.03, 0.03, 0.035), (0.20, 0.16, 0.11), (0.13, 0.13, 0.14), (0.08, 0.12, 0.21)),
    (0.10, 0.07, 0.05),
)
_SHOES: tuple[Colour, ...] = ((0.03, 0.03, 0.03), (0.12, 0.06, 0.03), (0.5, 0.5, 0.48), (0.15, 0.16, 0.18))


def _draw_outfit(rng: np.random.Generator) -> Outfit:
    def pick(colours: tuple[Colour, ...]) -> Colour:
        chosen = np.array(colours[rng.integers(len(colours))]) * rng.uniform(0.85, 1.15)
        return (float(chosen[0]), float(chosen[1]), float(chosen[2]))

    return Outfit(
        top=str(rng.choice(TOPS, p=(0.5, 0.15, 0.2, 0.15))),
        legwear=str(rng.choice(LEGWEAR, p=(0.72, 0.16, 0.12))),
        hair=str(rng.choice(HAIR, p=(0.5, 0.2, 0.1, 0.12, 0.08))),
        bag=str(rng.choice(BAGS, p=(0.75, 0.13, 0.12))),
        ease=float(rng.uniform(0.008, 0.02)),
        skin=pick(_SKINS),
        hair_colour=pick(_HAIRS),
        top_colour=pick(_TOPS),
        trim_colour=pick(_TOPS),
        leg_colour=pick(_LEGS),
        shoe_colour=pick(_SHOES),
        stripes=bool(rng.random() < 0.2),
    )
