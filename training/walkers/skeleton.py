"""The walker's skeleton: joints, bones, and the rotation of every bone from joint positions alone.

The world is right-handed in metres with z up and the floor at z = 0; a body at rest looks along +x with +y to its left.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SIDE_JOINTS = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "heel", "ball", "toe")
JOINTS: tuple[str, ...] = (
    *("pelvis", "spine", "neck", "head", "crown", "nose"),
    *(f"left_{name}" for name in _SIDE_JOINTS),
    *(f"right_{name}" for name in _SIDE_JOINTS),
)
INDEX: dict[str, int] = {name: i for i, name in enumerate(JOINTS)}

_SIDE_BONES = ("upper_arm", "forearm", "hand", "thigh", "shank", "foot", "toes")
BONES: tuple[str, ...] = (
    *("pelvis", "chest", "neck", "head"),
    *(f"left_{name}" for name in _SIDE_BONES),
    *(f"right_{name}" for name in _SIDE_BONES),
)
BONE: dict[str, int] = {name: i for i, name in enumerate(BONES)}

# Limb bones that follow their parent with the smallest rotation: bone, parent, start joint, end joint.
_CHAIN = (
    ("upper_arm", "chest", "shoulder", "elbow"),
    ("forearm", "upper_arm", "elbow", "wrist"),
    ("hand", "forearm", "wrist", "hand"),
    ("thigh", "pelvis", "hip", "knee"),
    ("shank", "thigh", "knee", "ankle"),
    ("toes", "foot", "ball", "toe"),
)

COCO17: tuple[str, ...] = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    "right_ankle",
)
# Eyes and ears in the head's frame (forward, left, up), in units of the distance from skull base to crown.
_FACE = {"eye": (0.55, 0.20, 0.36), "ear": (0.02, 0.47, 0.24)}


def bone_frames(joints: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Position of every bone, and its rotation from the rest pose.

    Pelvis, chest, head and feet are full frames from three points each. Limbs are rotated as little as possible
    relative to their parent. This needs no twist, so it works for measured joints, too.

    Args:
        joints: (T, J, 3) in metres, J as in ``JOINTS``.
        rest: (J, 3), the same skeleton at rest.

    Returns:
        rotations (T, B, 3, 3) from rest to pose, and translations (T, B, 3) such that a point p attached to bone b at
        rest is at ``rotations[:, b] @ p + translations[:, b]``.
    """
    still = rest[None]
    turn: dict[str, Tensor] = {}
    origin: dict[str, str] = {}

    def place(bone: str, joint: str, rotation: Tensor) -> None:
        turn[bone], origin[bone] = rotation, joint

    def span(points: Tensor, a: str, b: str) -> Tensor:
        return points[:, INDEX[b]] - points[:, INDEX[a]]

    def frame(up: tuple[str, str], side: tuple[str, str]) -> Tensor:
        posed = _axes(span(joints, *up), span(joints, *side))
        return posed @ _axes(span(still, *up), span(still, *side)).transpose(-1, -2)

    place("pelvis", "pelvis", frame(("pelvis", "spine"), ("right_hip", "left_hip")))
    place("chest", "spine", frame(("spine", "neck"), ("right_shoulder", "left_shoulder")))
    place("head", "head", frame(("head", "crown"), ("head", "nose")))
    place("neck", "neck", _least_turn(turn["chest"], span(still, "neck", "head"), span(joints, "neck", "head")))
    for side in ("left", "right"):
        place(
            f"{side}_foot", f"{side}_ankle", frame((f"{side}_heel", f"{side}_ball"), (f"{side}_heel", f"{side}_ankle"))
        )
        for bone, parent, start, end in _CHAIN:
            ends = (f"{side}_{start}", f"{side}_{end}")
            above = turn[parent if parent in turn else f"{side}_{parent}"]
            place(f"{side}_{bone}", ends[0], _least_turn(above, span(still, *ends), span(joints, *ends)))
    rotations = torch.stack([turn[bone] for bone in BONES], 1)
    anchors = [INDEX[origin[bone]] for bone in BONES]
    translations = joints[:, anchors] - (rotations @ rest[anchors][None, :, :, None])[..., 0]
    return rotations, translations


def coco_joints(joints: Tensor) -> Tensor:
    """COCO-17 joints (T, 17, 3) in metres from the walker's (T, J, 3); eyes and ears are fixed in the head's frame."""
    head, crown, nose = (joints[:, INDEX[name]] for name in ("head", "crown", "nose"))
    size = (crown - head).norm(dim=-1, keepdim=True)
    up = (crown - head) / size
    forward = nose - head
    forward = torch.nn.functional.normalize(forward - (forward * up).sum(-1, keepdim=True) * up, dim=-1)
    left = torch.linalg.cross(up, forward)
    found = []
    for name in COCO17:
        side, _, part = name.rpartition("_")
        if part in _FACE:
            f, s, u = _FACE[part]
            found.append(head + size * (f * forward + (s if side == "left" else -s) * left + u * up))
        else:
            found.append(joints[:, INDEX[name]])
    return torch.stack(found, 1)


def rotation(axis: int, angle: Tensor) -> Tensor:
    """Rotations (..., 3, 3) by angle (...,) in radians about coordinate axis 0, 1 or 2, right-handed."""
    c, s = torch.cos(angle), torch.sin(angle)
    one, zero = torch.ones_like(c), torch.zeros_like(c)
    rows = {
        0: (one, zero, zero, zero, c, -s, zero, s, c),
        1: (c, zero, s, zero, one, zero, -s, zero, c),
        2: (c, -s, zero, s, c, zero, zero, zero, one),
    }[axis]
    return torch.stack(rows, -1).reshape(*angle.shape, 3, 3)


def _axes(first: Tensor, second: Tensor) -> Tensor:
    """Orthonormal frame (T, 3, 3), columns: along ``first``, across towards ``second``, and their cross product."""
    a = torch.nn.functional.normalize(first, dim=-1)
    b = torch.nn.functional.normalize(second - (second * a).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack((a, b, torch.linalg.cross(a, b)), -1)


def _least_turn(above: Tensor, still: Tensor, posed: Tensor) -> Tensor:
    """The parent's rotation, then the smallest one that brings the bone into its posed direction (Rodrigues)."""
    a = torch.nn.functional.normalize((above @ still.expand_as(posed)[..., None])[..., 0], dim=-1)
    b = torch.nn.functional.normalize(posed, dim=-1)
    v, c = torch.linalg.cross(a, b), (a * b).sum(-1)[..., None, None]
    zero = torch.zeros_like(v[..., 0])
    skew = torch.stack((zero, -v[..., 2], v[..., 1], v[..., 2], zero, -v[..., 0], -v[..., 1], v[..., 0], zero), -1)
    skew = skew.reshape(*v.shape[:-1], 3, 3)
    turn = torch.eye(3, dtype=a.dtype, device=a.device) + skew + skew @ skew / (1 + c).clamp_min(1e-6)
    return turn @ above
