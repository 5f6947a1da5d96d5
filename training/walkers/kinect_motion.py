"""From the noisy joints of a Kinect walk to clean joint angles over one gait cycle, and to the walker's bones.

The people of the Kinect Gait Biometry data set walk along an arc around a sensor that turns with them, and back,
so that each side faces the sensor for about half of a walk. The steps are:

* heading: the direction of the horizontal ankle difference (angle doubled, because left and right foot lead in turn;
  Hann window of 1.5 s), with the sign from the direction of feet and knees (2 s). Positions and angles are measured in
  that frame; the sensor's translation is not used;
* half cycles from one extreme of the ankles' difference to the next; half cycles that are too short or too long, in a
  turn, or not seen from the side are dropped;
* angles of the segments in the sagittal plane, which is the sensor's picture plane and so the most exact one; frames in
  which a segment is more than a quarter longer or shorter than its median are outliers;
* every limb is fitted in the half cycles in which it faces the sensor: a Fourier series over phase by iteratively
  reweighted least squares with Tukey's biweight, so that it is smooth and single bad frames are ignored; frames with a
  backward-bent knee are ignored, too. The two legs share one curve, half a cycle apart. The arms have separate curves;
  if they differ more than is plausible, or one never faced the sensor, the worse one is replaced by the mirror image of
  the other;
* bones: medians over the near side's frames, mean of left and right, relative to the population, times the published
  anthropometry of :class:`gaitkeeper.training.walkers.person.Build`.

Then the swings of limbs, which averaging and the sensor reduce, are restored (thighs ×1.13, knees ×1.25, arms ×1.2; so
that median stride over cadence is the walk ratio of adults, 0.0065 m a step a minute; Sekiya and Nagasaki 1998), and
mean angles with a common bias are set to published values. Figures are in ``docs/walkers.md``.

Feet, hips' and shoulders' widths and the legs' sideways position are not taken from the sensor: they come from
:mod:`gaitkeeper.training.walkers.gait` and the build.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.datasets.sample import NOMINAL_RATE
from gaitkeeper.training.errors import NoClearGait
from gaitkeeper.training.walkers.gait_cycle import CURVES, GaitCycle, Motion, assemble, basis
from gaitkeeper.training.walkers.person import Build, Person

Array = npt.NDArray[np.float64]

_NAMES = (
    *("head", "neck", "right_shoulder", "left_shoulder", "right_elbow", "left_elbow", "right_wrist", "left_wrist"),
    *("right_hand", "left_hand", "spine", "pelvis", "right_hip", "left_hip", "right_knee", "left_knee"),
    *("right_ankle", "left_ankle", "right_foot", "left_foot"),
)
_AT = {name: i for i, name in enumerate(_NAMES)}

BONES = ("thigh", "shank", "upper_arm", "forearm", "trunk", "neck")
MIN_CYCLES = 3.0

# Medians of the sensor's data over the 75 training people: bones in metres, and the means of angles with a common bias,
# with the published means that replace them (Winter 1991).
_SENSOR_BONES = np.array((0.482, 0.410, 0.286, 0.239, 0.542, 0.186))
_STATURE = 1.72  # metres of a person with these bones: the mean of men and women in ANSUR II
_STATURES = (1.45, 2.05)  # outside this range, the sensor has lost the trunk
_OFF = {"knee": 0.317, "lean": -0.010, "out": 0.319, "forearm_out": 0.090, "neck": 0.449}
_ABOUT = {"knee": 0.36, "lean": 0.04, "out": 0.14, "forearm_out": 0.05}
_MIDDLE = {"arm": -0.06, "forearm": 0.40}  # of the arms' angles without a bias
_TRUSTED = {"turn": 0.0, "roll": 0.5, "out": 0.6, "forearm_out": 0.6}
_NECK = _OFF["neck"]
_GAIN = {"thigh": 1.13, "knee": 1.25, "arm": 1.2, "forearm": 1.2}


@dataclass(frozen=True)
class Measured:
    """Measurements of one walk.

    Attributes:
        curves: uncorrected Fourier coefficients in radians of every name in ``CURVES``, as in :class:`Motion`.
        bones: metres as measured, one for each of ``BONES``.
        seconds: duration of one gait cycle.
        cycles: number of clean cycles.
    """

    curves: dict[str, Array]
    bones: Array
    seconds: float
    cycles: float


def measure(joints: npt.NDArray[np.float32]) -> Measured:
    """Angles, bones and cadence of one walk.

    Args:
        joints: (T, 20, 3), x right, y up, z away from the sensor, metres, 30 Hz.

    Raises:
        NoClearGait: fewer than three clean gait cycles, seen from either side.
    """
    world = np.stack((joints[..., 0], -joints[..., 2], joints[..., 1]), -1).astype(np.float64)
    body, sideways, evidence = _body_frame(world)
    halves = _half_cycles(body, sideways, evidence)
    if len(halves) < 2 * MIN_CYCLES:
        raise NoClearGait(f"A walk of {len(joints)} frames has {len(halves) / 2:g} clean gait cycles; 3 are needed.")
    frames, phase = _phases(halves)
    body, near = body[frames], sideways[frames]
    left, right = np.clip(near, 0, 1) ** 2, np.clip(-near, 0, 1) ** 2
    # If a side is hardly seen, its arm is copied from the other side.
    shown = {"left": left.sum() > NOMINAL_RATE, "right": right.sum() > NOMINAL_RATE}

    def span(a: str, b: str) -> tuple[Array, Array]:
        """Vector from a to b, and the frames in which its length is plausible."""
        v = body[:, _AT[b]] - body[:, _AT[a]]
        length = np.linalg.norm(v, axis=-1)
        return v, np.abs(length / np.median(length) - 1) < 0.25

    curves: dict[str, Array] = {}
    legs: dict[str, list[tuple[Array, Array, Array]]] = {"thigh": [], "knee": []}
    lengths: dict[str, list[float]] = {name: [] for name in BONES}
    for side, sign, offset, weight in (("left", 1.0, 0.0, left), ("right", -1.0, 0.5, right)):
        if not shown[side]:
            continue
        own = phase - offset
        parts = {}
        for name, a, b in (
            ("thigh", "hip", "knee"),
            ("shank", "knee", "ankle"),
            ("upper_arm", "shoulder", "elbow"),
            ("forearm", "elbow", "wrist"),
        ):
            v, likely = span(f"{side}_{a}", f"{side}_{b}")
            parts[name] = (_forward(v), np.arctan2(sign * v[:, 1], np.hypot(v[:, 0], v[:, 2])), weight * likely)
            seen = weight > 0.25
            lengths[name].append(float(np.median(np.linalg.norm(v[seen], axis=-1))))
        knee = _wrapped(parts["thigh"][0] - parts["shank"][0])
        forwards = parts["thigh"][2] * parts["shank"][2] * (knee > -0.2)  # knees do not bend backwards
        legs["thigh"].append((own, parts["thigh"][0], forwards))
        legs["knee"].append((own, knee, forwards))
        arm, fore = parts["upper_arm"], parts["forearm"]
        curves[f"{side}_arm"] = _fit(own, arm[0], arm[2], CURVES["left_arm"])
        curves[f"{side}_forearm"] = _fit(own, _wrapped(fore[0] - arm[0]), fore[2] * arm[2], CURVES["left_forearm"])
        curves[f"{side}_out"] = _fit(own, arm[1], arm[2], 1)
        curves[f"{side}_forearm_out"] = _fit(own, fore[1], fore[2], 1)
    for side, other in (("left", "right"), ("right", "left")):
        if not shown[side]:
            curves |= {name: curves[name.replace(side, other)] for name in CURVES if name.startswith(side)}
    for name, seen_legs in legs.items():
        own, angle, weights = (np.concatenate(x) for x in zip(*seen_legs, strict=True))
        curves[name] = _fit(own, angle, weights, CURVES[name])

    trunk, likely = span("pelvis", "neck")
    curves["lean"] = _fit(phase, np.arctan2(trunk[:, 0], trunk[:, 2]), likely.astype(float), CURVES["lean"])
    curves["roll"] = _fit(phase, np.arctan2(trunk[:, 1], trunk[:, 2]), likely.astype(float), CURVES["roll"])
    neck, likely = span("neck", "head")
    curves["neck"] = _fit(phase, np.arctan2(neck[:, 0], neck[:, 2]), likely.astype(float), CURVES["neck"])
    # Turn of the shoulders from the near one alone: the left one moves back in a turn to the left.
    ahead = {s: body[:, _AT[f"{s}_shoulder"], 0] - body[:, _AT["neck"], 0] for s in ("left", "right")}
    turns = np.arctan2(np.where(near > 0, -ahead["left"], ahead["right"]), 0.17)
    curves["turn"] = _fit(phase, turns, np.abs(near), CURVES["turn"])
    # The sensor sometimes places the shoulders too low, but never too high.
    lengths["trunk"].append(float(np.quantile(np.linalg.norm(trunk, axis=-1), 0.8)))
    lengths["neck"].append(float(np.median(np.linalg.norm(neck, axis=-1))))
    bones = np.array([np.mean(lengths[name]) for name in BONES])
    steps = np.median([(end - start) for start, end, _ in halves])
    return Measured(curves, bones, 2 * float(steps) / NOMINAL_RATE, len(halves) / 2)


def motion(measured: Measured) -> Motion:
    """The measured angles, corrected for known errors of the sensor.

    Swings of the limbs are reduced by averaging, and because the sensor places joints too near to the body's middle.
    Mean angles of trunk, neck and arms have about the same bias for all people. See ``_GAIN``, ``_OFF`` and ``_ABOUT``.
    """
    curves = {name: values.copy() for name, values in measured.curves.items()}
    for limb, most in (("arm", 0.35), ("forearm", 0.35), ("out", 0.2), ("forearm_out", 0.2)):
        _make_even(curves, limb, most)
    for name, values in curves.items():
        limb = name.removeprefix("left_").removeprefix("right_")
        values[0] = _ABOUT.get(limb, 0.0) + (values[0] - _OFF.get(limb, 0.0)) * _TRUSTED.get(limb, 1.0)
        values[1:] *= _GAIN.get(limb, 1.0)
    return Motion(curves, measured.seconds)


def kinect_build(walks: Sequence[Measured], build: Build | None = None) -> Build:
    """A person's proportions: bones from the medians of their walks, the rest from ``build`` (average by default)."""
    build = build or Build()
    ratio = np.median([walk.bones for walk in walks], 0) / _SENSOR_BONES
    shares = np.array([getattr(Build(), name) for name in ("thigh", "shank", "upper_arm", "forearm")])
    rest = 1 - shares[0] - shares[1]  # of the stature: trunk, neck, head, and the height of the ankle
    upper = (ratio[4] * _SENSOR_BONES[4] + ratio[5] * _SENSOR_BONES[5]) / _SENSOR_BONES[4:].sum()
    size = shares[0] * ratio[0] + shares[1] * ratio[1] + rest * upper
    limbs = dict(zip(("thigh", "shank", "upper_arm", "forearm"), (shares * ratio[:4] / size).tolist(), strict=True))
    bent = np.median([walk.curves["neck"][0] for walk in walks]) - _NECK
    stoop = float(np.clip(Build().stoop + bent, -0.05, 0.40))
    return replace(build, stature=float(np.clip(_STATURE * size, *_STATURES)), stoop=stoop, **limbs)


def kinect_cycles(walk: npt.NDArray[np.float32], person: Person | None = None) -> GaitCycle:
    """The gait cycle of one walk, on the bones of this walk.

    Args:
        walk: joints (T, 20, 3) as in :func:`measure`.
        person: gives what the sensor does not measure: widths, feet, rotation of the pelvis; average by default.

    Raises:
        NoClearGait: fewer than three clean gait cycles.
    """
    return cycle_of(measure(walk), person)


def cycle_of(measured: Measured, person: Person | None = None, build: Build | None = None) -> GaitCycle:
    """The gait cycle of a measured walk, on this walk's bones or on ``build``."""
    person = person or Person()
    build = build or kinect_build([measured], person.build)
    return assemble(motion(measured), replace(person, build=build))


def _make_even(curves: dict[str, Array], limb: str, most: float) -> None:
    """If two arms differ too much, replace the one farther from the average by the other's mirror image."""
    left, right = curves[f"left_{limb}"], curves[f"right_{limb}"]
    size = np.sqrt(np.r_[1.0, np.full(len(left) - 1, 0.5)])  # root mean square over phase, from coefficients
    if np.linalg.norm(size * (left - right)) > most:
        usual = np.zeros_like(left)
        usual[0] = _OFF.get(limb, _MIDDLE.get(limb, 0.0))
        wrong, kept = (
            ("left", right)
            if np.linalg.norm(size * (left - usual)) > np.linalg.norm(size * (right - usual))
            else ("right", left)
        )
        curves[f"{wrong}_{limb}"] = kept.copy()


def _body_frame(world: Array) -> tuple[Array, Array, Array]:
    """Joints (T, 20, 3) relative to the pelvis with x ahead and y left; the degree to which the left side faces the
    sensor, in [-1, 1]; and the reliability of the heading's sign, in metres (T,)."""
    apart = world[:, _AT["left_ankle"], :2] - world[:, _AT["right_ankle"], :2]
    doubled = (apart[:, 0] + 1j * apart[:, 1]) ** 2
    angle = np.unwrap(np.angle(_smooth(doubled, 1.5))) / 2
    ahead = np.stack((np.cos(angle), np.sin(angle)), -1)

    def mean(*names: str) -> Array:
        value: Array = np.mean([world[:, _AT[f"{side}_{n}"], :2] for side in ("left", "right") for n in names], 0)
        return value

    pointing = mean("foot") - mean("ankle") + 2 * mean("knee") - mean("hip") - mean("ankle")
    evidence = _smooth((pointing * ahead).sum(-1), 2.0).real
    ahead *= np.where(evidence < 0, -1.0, 1.0)[:, None]
    leftwards = np.stack((-ahead[:, 1], ahead[:, 0]), -1)
    pelvis = world[:, _AT["pelvis"]]
    away = np.linalg.norm(pelvis[:, :2], axis=-1, keepdims=True)
    to_sensor = -pelvis[:, :2] / np.maximum(away, 0.5)  # a lost body lies at the sensor's origin
    centred = world - pelvis[:, None]
    x = np.einsum("tjc,tc->tj", centred[..., :2], ahead)
    y = np.einsum("tjc,tc->tj", centred[..., :2], leftwards)
    return np.stack((x, y, centred[..., 2]), -1), (to_sensor * leftwards).sum(-1), np.abs(evidence)


def _half_cycles(body: Array, sideways: Array, evidence: Array) -> list[tuple[float, float, bool]]:
    """Clean steps as (first, last, left leads at first), in fractional frames, in order of time."""
    lead = _smooth(body[:, _AT["left_ankle"], 0] - body[:, _AT["right_ankle"], 0], 0.3).real
    inner = np.arange(1, len(lead) - 1)
    top = np.abs(lead)
    peaks = inner[(top[inner] >= top[inner - 1]) & (top[inner] > top[inner + 1]) & (top[inner] > 0.15)]
    kept: list[int] = []
    for p in peaks:  # of two extremes on one side of zero the larger is the step
        if kept and lead[kept[-1]] * lead[p] > 0 and p - kept[-1] < 0.8 * NOMINAL_RATE:
            if top[p] > top[kept[-1]]:
                kept[-1] = int(p)
        else:
            kept.append(int(p))
    exact = [p + _vertex(lead[p - 1], lead[p], lead[p + 1]) for p in kept]
    pairs = [
        (exact[i], exact[i + 1], bool(lead[p] > 0))
        for i, (p, q) in enumerate(pairwise(kept))
        if lead[p] * lead[q] < 0 and 0.33 < (exact[i + 1] - exact[i]) / NOMINAL_RATE < 1.0
    ]
    if not pairs:
        return []
    usual = float(np.median([end - start for start, end, _ in pairs]))
    clean = []
    for start, end, leads in pairs:
        inside = slice(int(start), int(end) + 2)
        steady = np.abs(sideways[inside]).min() > 0.6 and evidence[inside].min() > 0.03
        one_side = np.abs(np.sign(sideways[inside]).mean()) == 1
        if steady and one_side and 0.75 < (end - start) / usual < 1.3:
            clean.append((start, end, leads))
    return clean


def _phases(halves: Iterable[tuple[float, float, bool]]) -> tuple[npt.NDArray[np.intp], Array]:
    """Frames of the half cycles and their phase in [0, 1), 0 at a left strike."""
    frames, phases = [], []
    for start, end, leads in halves:
        inside = np.arange(math.ceil(start), math.floor(end) + 1)
        frames.append(inside)
        phases.append((inside - start) / (end - start) / 2 + (0.0 if leads else 0.5))
    return np.concatenate(frames), np.concatenate(phases) % 1.0


def _fit(phase: Array, angle: Array, weight: Array, harmonics: int) -> Array:
    """Robust weighted Fourier fit, coefficients (1 + 2 · harmonics,)."""
    matrix = basis(phase, harmonics)
    robust: Array = np.ones(len(angle))
    coefficients: Array = np.zeros(matrix.shape[1])
    for _ in range(5):
        w = weight * robust
        gram = matrix.T @ (w[:, None] * matrix) + 1e-3 * np.eye(matrix.shape[1])
        coefficients[:] = np.linalg.solve(gram, matrix.T @ (w * angle))
        off = angle - matrix @ coefficients
        usual = 1.4826 * np.median(np.abs(off[weight > 0.25])) if np.any(weight > 0.25) else 1.0
        robust[:] = np.clip(1 - (off / (4.685 * max(float(usual), 1e-3))) ** 2, 0, 1) ** 2
    return coefficients


def _forward(v: Array) -> Array:
    """Angle in the sagittal plane of vectors that hang down: 0 straight down, forward positive."""
    return np.arctan2(v[:, 0], -v[:, 2])


def _wrapped(angle: Array) -> Array:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _vertex(before: float, at: float, after: float) -> float:
    """Position of the extreme of a parabola through three samples, relative to the middle one."""
    bend = before - 2 * at + after
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend else 0.0


def _smooth(values: npt.NDArray[np.complexfloating] | Array, seconds: float) -> npt.NDArray[np.complex128]:
    """Convolution with a Hann window; the ends are extended."""
    count = 2 * round(seconds * NOMINAL_RATE / 2) + 1
    window = np.hanning(count + 2)[1:-1]
    padded = np.pad(values, count // 2, mode="edge")
    return np.convolve(padded, window / window.sum(), "valid").astype(np.complex128)
