"""A procedural 3D gait: from a person's parameters to joints in metres, with planted feet and knees that bend forward.

The feet are placed on the ground first, each stance rolling over heel, flat foot and ball (Perry's three rockers);
pelvis, trunk and arms follow periodic curves; the legs are then closed by two-bone inverse kinematics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gaitkeeper.training.walkers.person import Gait, Person
from gaitkeeper.training.walkers.skeleton import JOINTS, rotation

_TOE = 0.26  # share of the foot's length in front of the ball
_TOE_BEND = 0.5  # radians that the toes bend up before they leave the floor
_HEEL = 0.25  # share of it behind the ankle
_ABDUCTION = {"leg": 0.14, "arm": 0.75}  # of the limbs at rest, so that body shapes do not merge
UNDER = 0.38  # share of stance at which the ankle is under the pelvis
REACH = 0.998  # maximum stretch of a leg as a share of its length: a fully stretched knee would jump


@dataclass(frozen=True)
class Path:
    """A straight line on the floor, walked at the person's own speed.

    Attributes:
        start: (x, y) in metres at time 0.
        heading: direction in radians, 0 along +x.
        phase: where in the gait cycle the walk begins, in [0, 1).
    """

    start: tuple[float, float] = (0.0, 0.0)
    heading: float = 0.0
    phase: float = 0.0


def walk(person: Person, seconds: float, fps: float, path: Path | None = None) -> Tensor:
    """Joints (T, J, 3) in metres, float32, of a person walking, T = round(seconds · fps)."""
    times = torch.arange(round(seconds * fps), dtype=torch.float64) / fps
    return walk_at(person, times, path)


def walk_at(person: Person, times: Tensor, path: Path | None = None) -> Tensor:
    """Joints (T, J, 3) in metres, float32, at the given times (T,) in seconds."""
    path = path or Path()
    cycles = times.double() / person.gait.cycle_seconds + path.phase
    joints = _joints(person, cycles)
    joints[..., 0] -= path.phase * person.gait.stride * person.build.stature
    joints = joints @ rotation(2, torch.tensor(path.heading, dtype=torch.float64)).T
    joints[..., :2] += torch.tensor(path.start, dtype=torch.float64)
    return joints.float()


def rest_joints(person: Person) -> Tensor:
    """The skeleton at rest (J, 3), float32: upright over the origin, legs apart, arms held out, looking along +x."""
    build, h = person.build, person.build.stature
    zero, eye = torch.zeros(1, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[None]
    leg, arm = _ABDUCTION["leg"], _ABDUCTION["arm"]
    height = h * (build.foot_height + (build.thigh + build.shank) * math.cos(leg))
    out: dict[str, Tensor] = {"pelvis": vector(0.0, 0.0, height)[None]}
    place_trunk(out, person, eye, eye, eye)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        hip = out["pelvis"] + vector(0.0, sign * build.hips * h / 2)
        down = vector(0.0, sign * math.sin(leg), -math.cos(leg))
        out[f"{side}_hip"], out[f"{side}_knee"] = hip, hip + build.thigh * h * down
        ankle = out[f"{side}_knee"] + build.shank * h * down
        place_foot(out, side, person, ankle, zero, zero, eye)
        along = vector(0.0, sign * math.sin(arm), -math.cos(arm))
        shoulder = out[f"{side}_shoulder"]
        for name, end in (
            ("elbow", build.upper_arm),
            ("wrist", build.upper_arm + build.forearm),
            ("hand", build.upper_arm + build.forearm + build.hand),
        ):
            out[f"{side}_{name}"] = shoulder + end * h * along
    return torch.cat([out[name] for name in JOINTS]).float()


def _joints(person: Person, cycles: Tensor) -> Tensor:
    """Joints (T, J, 3) of a walk along +x through the origin; ``cycles`` (T,) counts gait cycles from a left strike."""
    gait, h = person.gait, person.build.stature
    out: dict[str, Tensor] = {}
    out["pelvis"], turn = _pelvis(person, cycles)
    out["pelvis"][:, 2] += _pelvis_height(person)
    for side, sign, offset in _legs(person):
        _plant(out, side, sign, offset, person, cycles)
        out[f"{side}_hip"] = out["pelvis"] + turn @ vector(0.0, sign * person.build.hips * h / 2)
        bend_knee(out, side, person, turn)

    wave = 2 * math.pi * cycles
    # The shoulders turn against the pelvis, the trunk leans over the standing leg; the head keeps looking ahead.
    shoulders = rotation(2, gait.trunk_yaw * torch.cos(wave - 0.3))
    lean = rotation(1, gait.lean + 0.015 * torch.cos(2 * wave - 0.6)) @ rotation(
        0, -gait.trunk_roll * torch.sin(wave - 0.2)
    )
    head = rotation(1, gait.head + 0.02 * torch.cos(2 * wave)) @ rotation(0, -0.3 * gait.trunk_roll * torch.sin(wave))
    place_trunk(out, person, lean @ turn, lean @ shoulders, head)
    for side, sign, offset in _legs(person):
        _arm(out, side, sign, person, cycles - offset, lean @ shoulders)
    return torch.stack([out[name] for name in JOINTS], 1)


def _plant(out: dict[str, Tensor], side: str, sign: float, offset: float, person: Person, cycles: Tensor) -> None:
    """The path of the foot: planted in stance, then on a smooth arc from toe-off to the next strike."""
    gait, h = person.gait, person.build.stature
    since = cycles - offset
    phase, count = since - since.floor(), since.floor()
    pitch = foot_pitch(gait, phase)
    heading = rotation(2, torch.tensor([sign * gait.toe_out], dtype=torch.float64))
    stride, leave = gait.stride * h, gait.stance
    # The heel's place on the ground: the ankle is under the pelvis a little before the middle of stance.
    x = (count + offset + UNDER * leave) * stride + sign * gait.uneven_step * h / 2 - foot_lengths(person)[1]
    plant = torch.stack((x, torch.full_like(x, sign * gait.width / 2 * h), torch.zeros_like(x)), -1)

    def rolled(at: Tensor) -> Tensor:
        """Ankle (.., 3) from the plant of a foot on the ground, at phases in stance."""
        return (heading @ rocker(person, foot_pitch(gait, at))[..., None])[..., 0]

    # In swing, a Hermite arc with the foot's own velocity at both ends, in units of the swing's length.
    step = 1e-4
    edge = torch.tensor([leave - step, leave, 0.0, step], dtype=torch.float64)
    before, off, strike, after = (rolled(at[None])[0] for at in edge)
    v0 = (off - before) / step * (1 - leave)
    v1 = (after - strike) / step * (1 - leave) + vector(0.06 * stride)
    s = ((phase - leave) / (1 - leave)).clamp(0, 1)
    arc = hermite(off, strike + vector(stride), v0, v1, s[:, None])
    lift = torch.sin(math.pi * s) ** 2
    arc = arc + lift[:, None] * vector(0.0, sign * gait.circumduction * h, gait.clearance * h)
    stance = phase < leave
    ankle = plant + torch.where(stance[:, None], rolled(phase), arc)
    # In swing the toes pass slightly above the floor.
    up, _, front, toe = foot_lengths(person)
    ball = ankle[:, 2] + front * torch.sin(pitch) - up * torch.cos(pitch)
    over = (0.01 * h * (s / 0.12)).clamp(max=0.01 * h)
    toes = torch.maximum(toe_pitch(pitch), -torch.asin(((ball - over) / toe).clamp(-0.6, 1)))
    place_foot(out, side, person, ankle, pitch, toes, heading)


def foot_pitch(gait: Gait, phase: Tensor) -> Tensor:
    """Pitch of the foot against the floor in radians, toes up positive, over the cycle."""
    off = gait.stance
    knots = (0.0, 0.07, 0.32, 0.50, off, off + 0.07, off + 0.21, 0.94)
    values = (gait.strike, 0.0, 0.0, -0.34 * gait.push_off, -0.85 * gait.push_off, -gait.push_off, -0.12, gait.strike)
    return periodic(knots, values, phase)


def rocker(person: Person, pitch: Tensor) -> Tensor:
    """Ankle (T, 3) from the heel's plant of a foot on the ground that points along +x.

    The foot turns on the heel, then on the ball, and last rolls off over the tip of the toes.
    """
    up, back, front, toe = foot_lengths(person)
    c, s, zero = torch.cos(pitch), torch.sin(pitch), torch.zeros_like(pitch)
    on_heel = torch.stack((back * c - up * s, zero, back * s + up * c), -1)
    toes = toe_pitch(pitch)
    ball = back + front + toe * (1 - torch.cos(toes)), -toe * torch.sin(toes)
    on_ball = torch.stack((ball[0] - front * c - up * s, zero, ball[1] - front * s + up * c), -1)
    return torch.where((pitch >= 0)[:, None], on_heel, on_ball)


def toe_pitch(pitch: Tensor) -> Tensor:
    """Pitch of the toes: in line with a foot whose toes are up, flat as the heel rises until they bend no further."""
    return torch.where(pitch >= 0, pitch, -(-pitch - _TOE_BEND).clamp_min(0))


def foot_lengths(person: Person) -> tuple[float, float, float, float]:
    """Height of the ankle, and from it back to the heel, forward to the ball, and from ball to toe; metres."""
    length = person.build.foot_length * person.build.stature
    up = person.build.foot_height * person.build.stature
    return up, _HEEL * length, (1 - _HEEL - _TOE) * length, _TOE * length


def place_foot(
    out: dict[str, Tensor], side: str, person: Person, ankle: Tensor, pitch: Tensor, toes: Tensor, heading: Tensor
) -> None:
    """Ankle, heel, ball and toe from the ankle's place, the pitch of foot and toes, and the foot's heading."""
    up, back, front, toe = foot_lengths(person)
    turn = heading @ rotation(1, -pitch)
    out[f"{side}_ankle"] = ankle
    out[f"{side}_heel"] = ankle + turn @ vector(-back, 0.0, -up)
    out[f"{side}_ball"] = ankle + turn @ vector(front, 0.0, -up)
    out[f"{side}_toe"] = out[f"{side}_ball"] + (heading @ rotation(1, -toes)) @ vector(toe)


def _pelvis(person: Person, cycles: Tensor) -> tuple[Tensor, Tensor]:
    """Pelvis centre (T, 3), its height about 0, and its rotation (T, 3, 3)."""
    gait, h = person.gait, person.build.stature
    wave = 2 * math.pi * cycles
    # At a left strike (phase 0) the left hip is in front; through left stance the right hip drops.
    turn = rotation(2, -gait.yaw * torch.cos(wave)) @ rotation(0, gait.list_ * torch.sin(wave + 0.35))
    x = gait.stride * h * cycles + 0.006 * h * torch.sin(2 * wave + 0.5)
    y = gait.sway * h * torch.sin(wave - 0.1)
    return torch.stack((x, y, -gait.bob * h * torch.cos(2 * wave - 0.5)), -1), turn


def _pelvis_height(person: Person) -> Tensor:
    """Mean height of the pelvis: the highest with both feet within reach, reduced for bent knees."""
    build, h = person.build, person.build.stature
    cycles = torch.arange(128, dtype=torch.float64) / 128
    centre, turn = _pelvis(person, cycles)
    length = REACH * (build.thigh + build.shank) * h
    room = []
    for side, sign, offset in _legs(person):
        out: dict[str, Tensor] = {}
        _plant(out, side, sign, offset, person, cycles)
        away = out[f"{side}_ankle"] - (centre + turn @ vector(0.0, sign * build.hips * h / 2))
        room.append(away[:, 2] + (length**2 - away[:, 0] ** 2 - away[:, 1] ** 2).clamp_min(0).sqrt())
    return torch.cat(room).min() - 0.004 * person.gait.knees * h


def _legs(person: Person) -> tuple[tuple[str, float, float], tuple[str, float, float]]:
    """Side, sign of its y, and phase of its strike."""
    return ("left", 1.0, 0.0), ("right", -1.0, 0.5 + person.gait.uneven_time)


def bend_knee(out: dict[str, Tensor], side: str, person: Person, turn: Tensor) -> None:
    """Place the knee between hip and ankle, in front of the line between them."""
    h = person.build.stature
    a, b = person.build.thigh * h, person.build.shank * h
    hip, ankle = out[f"{side}_hip"], out[f"{side}_ankle"]
    line = ankle - hip
    reach = line.norm(dim=-1, keepdim=True).clamp(max=(a + b) * 0.9999)
    along = line / line.norm(dim=-1, keepdim=True)
    foot = out[f"{side}_ball"] - out[f"{side}_heel"]
    foot = foot * vector(1.0, 1.0)
    forward = turn[:, :, 0] + 0.8 * torch.nn.functional.normalize(foot, dim=-1)
    forward = torch.nn.functional.normalize(forward - (forward * along).sum(-1, keepdim=True) * along, dim=-1)
    on_line = (a * a - b * b + reach**2) / (2 * reach)
    out[f"{side}_knee"] = hip + on_line * along + (a * a - on_line**2).clamp_min(0).sqrt() * forward


def place_trunk(out: dict[str, Tensor], person: Person, lower: Tensor, upper: Tensor, head: Tensor) -> None:
    """Spine, neck, shoulders and head above the pelvis; the rotations (T, 3, 3) are of loins, chest and head."""
    build, h = person.build, person.build.stature
    # The stature without the legs is divided into trunk, neck and head as in the average person.
    scale = (1 - build.thigh - build.shank - build.foot_height) / 0.470 * h
    stoop = rotation(1, torch.tensor(build.stoop, dtype=torch.float64))

    def rise(z: float, x: float = 0.0) -> Tensor:
        return vector(x * scale, 0.0, z * scale)

    out["spine"] = out["pelvis"] + lower @ rise(0.105)
    out["neck"] = out["spine"] + upper @ rise(0.197, -0.004)
    out["head"] = out["neck"] + (upper @ stoop) @ rise(0.062, 0.012)
    out["crown"] = out["head"] + head @ rise(0.106)
    out["nose"] = out["head"] + head @ rise(0.020, 0.066)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        across = vector(0.0, sign * build.shoulders * h / 2)
        out[f"{side}_shoulder"] = out["neck"] + upper @ (rise(-0.038) + across)


def _arm(out: dict[str, Tensor], side: str, sign: float, person: Person, since: Tensor, chest: Tensor) -> None:
    """Shoulder to hand, swinging against the leg of the same side; ``since`` (T,) counts cycles from its strike."""
    gait, build, h = person.gait, person.build, person.build.stature
    swing = gait.arm_swing * (1 + sign * gait.uneven_arms / 2)
    wave = 2 * math.pi * (since - 0.5 - gait.arm_lag)
    upper = gait.arm_mean + swing * torch.cos(wave) + 0.06 * swing * torch.cos(2 * wave)
    bend = (gait.elbow + gait.elbow_swing * torch.cos(wave - 0.35)).clamp_min(0.06)
    apart = torch.full_like(upper, sign * gait.carriage)
    turn = chest @ rotation(0, apart) @ rotation(1, -upper)
    down = vector(0.0, 0.0, -1.0)
    out[f"{side}_elbow"] = out[f"{side}_shoulder"] + build.upper_arm * h * (turn @ down)
    inwards = rotation(2, torch.full_like(upper, -sign * gait.forearm_in))
    turn = turn @ inwards @ rotation(1, -bend)
    out[f"{side}_wrist"] = out[f"{side}_elbow"] + build.forearm * h * (turn @ down)
    turn = turn @ rotation(1, torch.full_like(upper, -0.12))
    out[f"{side}_hand"] = out[f"{side}_wrist"] + build.hand * h * (turn @ down)


def periodic(knots: tuple[float, ...], values: tuple[float, ...], phase: Tensor) -> Tensor:
    """A smooth periodic curve through (knot, value) pairs in [0, 1) that never overshoots them.

    Monotone cubic Hermite interpolation (Fritsch and Carlson, SIAM J. Numer. Anal. 17, 1980).

    Args:
        knots: rising, the first at 0.
        values: one per knot.
        phase: any shape; only its fraction counts.
    """
    x = torch.tensor([*knots, 1.0], dtype=torch.float64)
    y = torch.tensor([*values, values[0]], dtype=torch.float64)
    width = x.diff()
    slope = y.diff() / width
    before, w0 = slope.roll(1), width.roll(1)
    harmonic = (w0 + width) * 3 / ((2 * width + w0) / before + (width + 2 * w0) / slope)
    tangent = torch.where(before * slope > 0, harmonic, torch.zeros_like(slope))
    tangent = torch.cat((tangent, tangent[:1]))
    at = phase - phase.floor()
    i = (torch.searchsorted(x, at.contiguous(), right=True) - 1).clamp(0, len(knots) - 1)
    t = (at - x[i]) / width[i]
    return hermite(y[i], y[i + 1], width[i] * tangent[i], width[i] * tangent[i + 1], t)


def hermite(start: Tensor, end: Tensor, v0: Tensor, v1: Tensor, t: Tensor) -> Tensor:
    """The cubic from start to end with velocities v0 and v1 there, at t in [0, 1]."""
    blend = t * t * (3 - 2 * t)
    return start + blend * (end - start) + t * (1 - t) ** 2 * v0 - t * t * (1 - t) * v1


def vector(x: float, y: float = 0.0, z: float = 0.0) -> Tensor:
    return torch.tensor([x, y, z], dtype=torch.float64)
