"""Pose the bones of a real body with the project's motion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gaitkeeper.training.bodies.model import Body, BodyModel
from gaitkeeper.training.walkers.gait import Path, rest_joints
from gaitkeeper.training.walkers.gait_cycle import GaitCycle, walk_cycle
from gaitkeeper.training.walkers.person import Person
from gaitkeeper.training.walkers.skeleton import BONE, INDEX, bone_frames

Array = npt.NDArray[Any]

_NECK_FOLLOWS = 0.5  # weight of the motion's neck direction; the rest follows the body's chest
_LIMBS = (
    ("upper_arm", "chest", "upperarm01", "lowerarm01", "shoulder", "elbow"),
    ("forearm", "upper_arm", "lowerarm01", "wrist", "elbow", "wrist"),
    ("hand", "forearm", "wrist", "finger3-1", "wrist", "hand"),
    ("thigh", "pelvis", "upperleg01", "lowerleg01", "hip", "knee"),
    ("shank", "thigh", "lowerleg01", "foot", "knee", "ankle"),
)
_PARTS = {"upperarm": "upper_arm", "lowerarm": "forearm", "upperleg": "thigh", "lowerleg": "shank", "foot": "foot"}
_PARTS |= {"wrist": "hand", "finger": "hand", "metacarpal": "hand", "toe": "toes"}
_TRUNK = {"neck": "neck", "head": "head", "eye": "head", "clavicle": "chest", "shoulder": "chest", "spine01": "chest"}
_TRUNK |= {"spine02": "chest", "spine03": "upper", "spine04": "lower"}


def part_of(bone: str) -> str:
    """The part of the project's skeleton that a bone follows: "chest", "left_thigh", "right_toes" ...

    "lower" and "upper" are between pelvis and chest.
    """
    name, _, side = bone.partition(".")
    for start, part in _PARTS.items():
        if name.startswith(start):
            return f"{'left' if side == 'L' else 'right'}_{part}"
    return next((part for start, part in _TRUNK.items() if name.startswith(start)), "pelvis")


def motion(cycle: GaitCycle, times: Array, way: Path) -> tuple[Array, Array]:
    """Joints (T, J, 3) of a walk along a path at times (T,) in seconds, and (J, 3) of the same skeleton at rest."""
    joints = walk_cycle(cycle, torch.from_numpy(times), way).numpy()
    return joints, rest_joints(replace(Person(), build=cycle.build)).numpy()


def pose(model: BodyModel, body: Body, joints: Array, rest: Array) -> tuple[Array, Array]:
    """Turn and shift of every bone in T frames; the root bone keeps its position in the body.

    Limbs are turned with the least twist, as in :func:`gaitkeeper.training.walkers.skeleton.bone_frames`.

    Args:
        model: model with the bones.
        body: body with the limbs.
        joints: (T, J, 3) metres, J as in ``skeleton.JOINTS``.
        rest: (J, 3), the same skeleton at rest.

    Returns:
        float32 turns (T, B, 3, 3) and shifts (T, B, 3): bone b moves p to ``turn @ p + shift``.
    """
    found, _ = bone_frames(torch.from_numpy(joints).double(), torch.from_numpy(rest).double())
    frames = found.numpy()
    turn: dict[str, Array] = {name: frames[:, BONE[name]] for name in ("pelvis", "chest", "head")}

    def bone(name: str) -> Array:
        return np.asarray(body.heads[model.bones.index(name)])

    def span(a: str, b: str) -> Array:
        return joints[:, INDEX[b]] - joints[:, INDEX[a]]

    still = turn["chest"] @ _unit(bone("head") - bone("neck01"))
    ahead = _NECK_FOLLOWS * _unit(span("neck", "head")) + (1 - _NECK_FOLLOWS) * still
    turn["neck"] = _least_turn(still, ahead) @ turn["chest"]
    for side in ("left", "right"):
        letter = side[0].upper()
        for part, parent, start, end, a, b in _LIMBS:
            above = turn[parent if parent in turn else f"{side}_{parent}"]
            along = above @ (bone(f"{end}.{letter}") - bone(f"{start}.{letter}"))
            turn[f"{side}_{part}"] = _least_turn(along, span(f"{side}_{a}", f"{side}_{b}")) @ above
        for part in ("foot", "toes"):
            turn[f"{side}_{part}"] = frames[:, BONE[f"{side}_{part}"]]
    for name, share in (("lower", 0.33), ("upper", 0.67)):
        u, _, v = np.linalg.svd((1 - share) * turn["pelvis"] + share * turn["chest"])
        turn[name] = u @ v
    turns = np.stack([turn[part_of(name)] for name in model.bones], 1)
    heads = body.heads
    place = np.zeros((*turns.shape[:2], 3))
    for child, above in enumerate(model.parents):
        if above >= 0:
            place[:, child] = place[:, above] + turns[:, above] @ (heads[child] - heads[above])
    shifts = place - (turns @ heads[None, :, :, None])[..., 0]
    return turns.astype(np.float32), shifts.astype(np.float32)


def _unit(vectors: Array) -> Array:
    out: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return out


def _least_turn(still: Array, posed: Array) -> Array:
    """The smallest rotations (T, 3, 3) that turn directions (T, 3) into others (Rodrigues)."""
    a, b = _unit(still), _unit(posed)
    v, c = np.cross(a, b), (a * b).sum(-1)[..., None, None]
    skew = np.zeros((*v.shape[:-1], 3, 3))
    skew[..., 0, 1], skew[..., 0, 2], skew[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    skew -= np.swapaxes(skew, -1, -2)
    out: Array = np.eye(3) + skew + skew @ skew / np.maximum(1 + c, 1e-3)
    return out
