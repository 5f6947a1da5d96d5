"""A person: build and gait, drawn from a seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import TypeVar

import numpy as np

T = TypeVar("T", "Build", "Gait")


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
class Person:
    """A walker: the same seed gives the same body and gait."""

    seed: int = 0
    build: Build = field(default_factory=Build)
    gait: Gait = field(default_factory=Gait)


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
    """The person with this seed: an individual build and gait."""
    rng = np.random.default_rng([seed, 0x6A17])
    build = _spread(Build(), _BUILD_SPREAD, rng)
    gait = _spread(Gait(), _GAIT_SPREAD, rng)
    return Person(seed, build, gait)


def another_walk(person: Person, seed: int) -> Person:
    """The same person on another day: same body, slightly different gait."""
    rng = np.random.default_rng([person.seed, seed, 0x3A1C])
    return replace(person, gait=_spread(person.gait, {k: _WITHIN * s for k, s in _GAIT_SPREAD.items()}, rng))


def _spread(mean: T, spread: dict[str, float], rng: np.random.Generator) -> T:
    drawn = asdict(mean)
    for name in (f.name for f in fields(mean)):
        value = drawn[name] + spread[name] * float(np.clip(rng.normal(), -2, 2))
        drawn[name] = max(value, _FLOORS.get(name, -np.inf))
    return replace(mean, **drawn)
