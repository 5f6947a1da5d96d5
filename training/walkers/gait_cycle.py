"""One gait cycle of one person: built from joint angles over phase, and walked along a path.

The angles, measured or drawn, describe the motion of trunk, arms and legs. The feet move as in
:mod:`gaitkeeper.training.walkers.gait`: planted through stance and rolling over heel, ball and toe, so that they do not
slide or sink. In swing the ankle follows the angles, adjusted smoothly to the two footprints. Knees are placed by
inverse kinematics and bend forward only. Stride length and the rise and fall of the pelvis follow from the angles of
the legs in stance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gaitkeeper.training.walkers.gait import (
    REACH,
    Path,
    bend_knee,
    foot_lengths,
    foot_pitch,
    hermite,
    place_foot,
    place_trunk,
    rocker,
    toe_pitch,
    vector,
)
from gaitkeeper.training.walkers.person import Build, Person
from gaitkeeper.training.walkers.skeleton import INDEX, JOINTS, rotation

Array = npt.NDArray[np.float64]

PHASES = 32
CURVES: dict[str, int] = {
    **{"thigh": 4, "knee": 5, "left_arm": 3, "right_arm": 3, "left_forearm": 3, "right_forearm": 3},
    **{"left_out": 1, "right_out": 1, "left_forearm_out": 1, "right_forearm_out": 1},
    **{"lean": 2, "roll": 1, "turn": 1, "neck": 2},
}
"""Angles in radians over phase, with their numbers of harmonics; see :class:`Motion`."""

_STRETCHED = 0.06  # least bend of a knee, radians
_LET_GO = 0.35  # share of its speed relative to the angles that a foot keeps as it leaves the floor
_CLEARANCE = 0.012  # height of a swinging foot over the floor, as a share of the stature
_STANCE = (0.06, 0.54)  # phases in which the angles of the leg give the path of the pelvis over the planted foot
_STRIDES = (1.6, 2.15)  # ratio of the stride to an ankle's travel relative to the hip: nine walks in ten are within
_LONGEST = 0.92  # longest stride in statures
_UNDER = (0.19, 0.28)  # phases between which the ankle of the standing leg passes under the pelvis
_CROUCH = 0.012  # largest lowering of the pelvis by bent knees, as a share of the stature
_BOB = (0.004, 0.018)  # range of half the pelvis's rise, as shares of the stature
_ELBOW = 0.05  # least bend of an elbow, radians
_APART = 0.06  # least abduction of an upper arm, radians


@dataclass(frozen=True)
class GaitCycle:
    """A person's gait as the joints of one cycle.

    Attributes:
        joints: (K, J, 3) float32 in metres, K = 32 phases from a left heel strike, J as in ``skeleton.JOINTS``; +x
            ahead, +y left, z up, floor at z = 0, the pelvis over the origin on average over the cycle.
        seconds: duration of one cycle.
        stride: metres walked in one cycle.
        build: the proportions that fit these joints.
    """

    joints: Tensor
    seconds: float
    stride: float
    build: Build


@dataclass(frozen=True)
class Motion:
    """Joint angles of one cycle, independent of a body.

    Attributes:
        curves: for every name in ``CURVES`` the Fourier coefficients (1 + 2 · harmonics,) in radians: mean, then cosine
            and sine of each harmonic. Phase 0 is a left strike; limbs count from their own side's strike. "thigh",
            "arm": forward from hanging down; "knee", "forearm": bend against the segment above; "out", "forearm_out":
            away from the middle; "lean", "roll", "turn": of the trunk forward, to the left, and of the shoulders to
            the left; "neck": forward beyond an average neck's.
        seconds: of one cycle.
    """

    curves: Mapping[str, Array]
    seconds: float


def basis(phase: Array, harmonics: int) -> Array:
    """Fourier basis (T, 1 + 2 · harmonics): one, then cosine and sine of each harmonic."""
    waves = 2 * math.pi * phase[:, None] * np.arange(1, harmonics + 1)
    pairs = np.stack((np.cos(waves), np.sin(waves)), -1).reshape(len(phase), -1)
    return np.concatenate((np.ones((len(phase), 1)), pairs), 1)


_EDGE = 1e-3
_GRID = np.arange(PHASES) / PHASES


def assemble(motion: Motion, person: Person) -> GaitCycle:
    """The gait cycle of a motion on a body.

    Args:
        motion: the angles.
        person: gives the build, and the parts of the gait that the angles do not contain: pitch, width and timing of
            the feet; sway, yaw and list of the pelvis.
    """
    wave = 2 * math.pi * torch.from_numpy(_GRID)
    out: dict[str, Tensor] = {}
    pelvis, turn, stride = _legs(out, motion, person)
    out["pelvis"] = pelvis
    lean, roll, shoulders, neck = (_curve(motion, name) for name in ("lean", "roll", "turn", "neck"))
    upright = rotation(1, lean) @ rotation(0, -roll)
    chest = upright @ rotation(2, shoulders)
    head = rotation(1, neck - neck.mean() + 0.01 * torch.cos(2 * wave))
    place_trunk(out, person, upright @ turn, chest, head)
    for side, sign, shift in (("left", 1.0, 0), ("right", -1.0, PHASES // 2)):
        _arm(out, motion, person, side, sign, shift)
    joints = torch.stack([out[name] for name in JOINTS], 1)
    joints[:, :, 0] -= joints[:, INDEX["pelvis"], 0].mean()
    return GaitCycle(joints.float(), motion.seconds, stride, person.build)


def walk_cycle(cycle: GaitCycle, times: Tensor, path: Path | None = None) -> Tensor:
    """Joints (T, J, 3) in metres, float32, of a cycle repeated at its own speed.

    Between the phases of the cycle the joints move on Catmull-Rom curves, which preserve the constant speed of a
    planted foot.

    Args:
        cycle: the gait cycle.
        times: (T,) seconds.
        path: the path, along +x through the origin by default.
    """
    path = path or Path()
    cycles = times.to(cycle.joints.device, torch.float64) / cycle.seconds
    k = len(cycle.joints)
    place = (cycles + path.phase) * k
    first = place.floor()
    t = (place - first).float()[:, None, None]
    i = first.long()
    a, b, c, d = (cycle.joints[(i + n) % k] for n in (-1, 0, 1, 2))
    joints = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    joints[..., 0] += (cycle.stride * cycles).float()[:, None]
    joints = joints @ rotation(2, torch.tensor(path.heading, device=joints.device)).T
    joints[..., :2] += torch.tensor(path.start, device=joints.device)
    return joints


def _legs(out: dict[str, Tensor], motion: Motion, person: Person) -> tuple[Tensor, Tensor, float]:
    """Both legs' joints in the body's frame; the pelvis (K, 3), its turn (K, 3, 3), and the stride in metres.

    The left leg is solved; the right one is its mirror image half a cycle later.
    """
    gait, build, h = person.gait, person.build, person.build.stature
    leave = gait.stance
    n = PHASES
    # The grid, then both ends of stance, with two phases each for the velocities.
    phase = torch.from_numpy(np.concatenate((_GRID, [leave - _EDGE, leave, 0.0, _EDGE])))
    on_grid = torch.arange(len(phase)) < n
    wave = 2 * math.pi * phase
    heading = rotation(2, torch.tensor([gait.toe_out], dtype=torch.float64))
    pitch = foot_pitch(gait, phase)
    rolled = (heading @ rocker(person, pitch)[..., None])[..., 0]
    turn = rotation(2, -gait.yaw * torch.cos(wave)) @ rotation(0, gait.list_ * torch.sin(wave + 0.35))
    hip = turn @ vector(0.0, build.hips * h / 2)
    led = hip + _swung(motion, build, phase.numpy())  # ankle relative to the pelvis according to the angles
    sway = gait.sway * h * torch.sin(wave - 0.1)

    over = rolled - led  # pelvis relative to the planted heel if the angles were followed exactly
    stands = (phase > _STANCE[0]) & (phase < _STANCE[1]) & on_grid
    stride = _slope(phase[stands], over[stands, 0])
    excursion = float(led[:n, 0].max() - led[:n, 0].min())
    stride = min(max(stride, _STRIDES[0] * excursion), _STRIDES[1] * excursion, _LONGEST * h)
    start = float((over[stands, 0] - stride * phase[stands]).mean())
    back = foot_lengths(person)[1]
    under = min(max((back - start) / stride, _UNDER[0]), _UNDER[1])
    start = back - under * stride
    surge = 0.006 * h * torch.sin(2 * wave + 0.5)
    middle = stands & (phase > 0.1)
    bob, height = _bob(phase[middle], over[middle, 2], wave, h)

    # On the ground: the foot relative to the passing pelvis. The leg must reach it at every phase of stance.
    planted = rolled + vector(-start, gait.width / 2 * h)
    pelvis = torch.stack((stride * phase + surge, sway, bob), -1)
    reach = REACH * (build.thigh + build.shank) * h
    away = (planted - pelvis - hip)[phase <= leave]
    room = float((away[:, 2] + (reach**2 - away[:, 0] ** 2 - away[:, 1] ** 2).clamp_min(0).sqrt()).min())
    pelvis[:, 2] += max(min(height, room), room - _CROUCH * h)

    # In swing: the path of the angles, plus a cubic that joins the place where the foot left to where it lands.
    led = led + pelvis
    s = ((phase[:n] - leave) / (1 - leave)).clamp(0, 1)
    before, off, strike, after = (planted - led)[n:]
    scale = (1 - leave) / _EDGE
    fix = hermite(off, strike, _LET_GO * (off - before) * scale, (after - strike) * scale, s[:, None])
    swing = led[:n] + fix
    lift = torch.sin(math.pi * s) ** 2
    swing[:, 1] = _sideways(planted[n + 1, 1], planted[n + 2, 1], s) + gait.circumduction * h * lift
    swing[:, 2] = _cleared(person, swing[:, 2], pitch[:n], lift)
    ankle = torch.where((phase[:n] < leave)[:, None], planted[:n], swing)
    hips = pelvis[:n] + hip[:n]
    line = ankle - hips
    ankle = hips + line * (reach / line.norm(dim=-1, keepdim=True)).clamp(max=1)

    up, _, front, toe = foot_lengths(person)
    ball = ankle[:, 2] + front * torch.sin(pitch[:n]) - up * torch.cos(pitch[:n])
    clear = (0.01 * h * (s / 0.12)).clamp(max=0.01 * h)
    toes = torch.maximum(toe_pitch(pitch[:n]), -torch.asin(((ball - clear) / toe).clamp(-0.6, 1)))
    place_foot(out, "left", person, ankle, pitch[:n], toes, heading)
    out["left_hip"] = hips
    bend_knee(out, "left", person, turn[:n])
    moved = stride * phase[:n]
    for name in ("hip", "knee", "ankle", "heel", "ball", "toe"):
        joint = out[f"left_{name}"]
        joint[:, 0] -= moved
        out[f"right_{name}"] = joint.roll(n // 2, 0) * vector(1.0, -1.0, 1.0)
    pelvis = pelvis[:n].clone()
    pelvis[:, 0] -= moved
    return pelvis, turn[:n], float(stride)


def _swung(motion: Motion, build: Build, phase: Array) -> Tensor:
    """Ankle (T, 3) from the hip, in the sagittal plane, by the angles of thigh and knee."""
    thigh = basis(phase, CURVES["thigh"]) @ motion.curves["thigh"]
    knee = basis(phase, CURVES["knee"]) @ motion.curves["knee"]
    knee = _STRETCHED + np.logaddexp(0, 30 * (knee - _STRETCHED)) / 30
    a, b = build.thigh * build.stature, build.shank * build.stature
    shank = thigh - knee
    x, z = a * np.sin(thigh) + b * np.sin(shank), -a * np.cos(thigh) - b * np.cos(shank)
    return torch.from_numpy(np.stack((x, np.zeros_like(x), z), -1))


def _slope(x: Tensor, y: Tensor) -> float:
    """Slope of the least-squares line."""
    off = x - x.mean()
    return float((off * y).sum() / (off * off).sum())


def _bob(phase: Tensor, height: Tensor, wave: Tensor, h: float) -> tuple[Tensor, float]:
    """Rise and fall of the pelvis twice per cycle, around 0, and its mean height; from the standing leg."""
    twice = 4 * math.pi * phase
    # In closed form, because the last bits of a linear algebra library depend on memory alignment.
    u, v, z = torch.cos(twice), torch.sin(twice), height - height.mean()
    du, dv = u - u.mean(), v - v.mean()
    uu, uv, vv, uz, vz = ((a * b).sum() for a, b in ((du, du), (du, dv), (dv, dv), (du, z), (dv, z)))
    c = float((uz * vv - vz * uv) / (uu * vv - uv * uv))
    s = float((vz * uu - uz * uv) / (uu * vv - uv * uv))
    mean = float(height.mean() - c * u.mean() - s * v.mean())
    size = math.hypot(c, s)
    # Lowest slightly after a strike (Winter 1991): measured angles may move it by at most a sixteenth of a cycle.
    lag = min(max(math.atan2(-s, -c), -0.3), 1.1)
    return -min(max(size, _BOB[0] * h), _BOB[1] * h) * torch.cos(2 * wave - lag), mean


def _sideways(off: Tensor, strike: Tensor, s: Tensor) -> Tensor:
    return off + (strike - off) * s * s * (3 - 2 * s)


def _cleared(person: Person, ankle: Tensor, pitch: Tensor, lift: Tensor) -> Tensor:
    """Heights of the ankle in swing, raised smoothly to where heel and ball clear the floor."""
    up, back, front, _ = foot_lengths(person)
    under = up * torch.cos(pitch) - torch.minimum(-back * torch.sin(pitch), front * torch.sin(pitch))
    least = under + _CLEARANCE * person.build.stature * lift
    soft = 1e-4 + 0.01 * lift
    return least + soft * torch.nn.functional.softplus((ankle - least) / soft)


def _arm(out: dict[str, Tensor], motion: Motion, person: Person, side: str, sign: float, shift: int) -> None:
    build, h = person.build, person.build.stature
    swing, apart = _curve(motion, f"{side}_arm", shift), _curve(motion, f"{side}_out", shift).clamp_min(_APART)
    bend = _curve(motion, f"{side}_forearm", shift).clamp_min(_ELBOW)
    across = _curve(motion, f"{side}_forearm_out", shift)

    def along(forward: Tensor, outward: Tensor) -> Tensor:
        level = torch.cos(outward)
        return torch.stack((level * torch.sin(forward), sign * torch.sin(outward), -level * torch.cos(forward)), -1)

    out[f"{side}_elbow"] = out[f"{side}_shoulder"] + build.upper_arm * h * along(swing, apart)
    out[f"{side}_wrist"] = out[f"{side}_elbow"] + build.forearm * h * along(swing + bend, across)
    out[f"{side}_hand"] = out[f"{side}_wrist"] + build.hand * h * along(swing + bend + 0.12, across)


def _curve(motion: Motion, name: str, shift: int = 0) -> Tensor:
    """Angles (K,) over the body's phase, of a limb whose own phase starts ``shift`` samples later."""
    values = basis(_GRID, CURVES[name]) @ motion.curves[name]
    return torch.from_numpy(values).roll(shift)
