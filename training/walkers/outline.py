"""The dressed body as convex pieces: hulls of ellipsoids that are attached to joints.

A node is an ellipsoid. Its centre is a weighted sum of joints plus an offset in a bone's frame, so that cloth between
two joints bends with them; its axes follow that frame. A piece is the convex hull of up to three nodes in the camera's
view: a limb, a section of the trunk, a skirt, a bag.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gaitkeeper.training.walkers.anthropometry import Shape
from gaitkeeper.training.walkers.clothing import LEFT, RIGHT, Dress
from gaitkeeper.training.walkers.skeleton import INDEX, JOINTS

FRAMES = ("world", "pelvis", "chest", "head", "left_foot", "right_foot")
Weights = dict[str, float | Tensor]


@dataclass(eq=False)
class Outline:
    """B dressed bodies as N nodes and P pieces.

    Attributes:
        weights: float32 (B, N, J), weight of each joint in each node's centre.
        frame: int64 (N,), index in ``FRAMES``.
        offset: float32 (B, N, 3), metres forward, left, up.
        radii: float32 (B, N, 3), half axes in the same order.
        pieces: int64 (P, 3), nodes of each piece; a node may be repeated.
        worn: bool (B, P), False if the body lacks the piece.
    """

    weights: Tensor
    frame: Tensor
    offset: Tensor
    radii: Tensor
    pieces: Tensor
    worn: Tensor


def frames(joints: Tensor) -> Tensor:
    """Bone frames (..., F, 3, 3) of joints (..., J, 3); rows forward, left, up, as in ``FRAMES``."""

    def at(name: str) -> Tensor:
        return joints[..., INDEX[name], :]

    def upright(up: Tensor, left: Tensor) -> Tensor:
        up = normalize(up, dim=-1)
        forward = normalize(torch.linalg.cross(left, up), dim=-1)
        return torch.stack((forward, torch.linalg.cross(up, forward), up), -2)

    def ahead(up: Tensor, forward: Tensor) -> Tensor:
        return upright(up, torch.linalg.cross(up, forward))

    made = [torch.eye(3, device=joints.device).expand(*joints.shape[:-2], 3, 3)]
    made.append(upright(at("spine") - at("pelvis"), at("left_hip") - at("right_hip")))
    made.append(upright(at("neck") - at("spine"), at("left_shoulder") - at("right_shoulder")))
    made.append(ahead(at("crown") - at("head"), at("nose") - at("head")))
    for side in ("left", "right"):
        forward = normalize(at(f"{side}_ball") - at(f"{side}_heel"), dim=-1)
        left = torch.linalg.cross(at(f"{side}_ankle") - at(f"{side}_heel"), forward)
        up = torch.linalg.cross(forward, normalize(left, dim=-1))
        made.append(torch.stack((forward, torch.linalg.cross(up, forward), up), -2))
    return torch.stack(made, -3)


def outline(shape: Shape, dress: Dress) -> Outline:
    """Build the pieces of B dressed bodies."""
    cutter = _Cutter(shape, dress)
    cutter.head()
    cutter.trunk()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        cutter.arm(side)
        cutter.leg(side)
        cutter.foot(side)
        cutter.bags(side, sign)
    cutter.hanging("coat", dress.top_length, dress.top_flare, dress.top_ease)
    cutter.hanging("skirt", dress.skirt_length, dress.skirt_flare, dress.leg_ease)
    return cutter.done()


class _Cutter:
    """Collects nodes and pieces by name."""

    def __init__(self, shape: Shape, dress: Dress) -> None:
        self.shape, self.dress = shape, dress
        self.size = shape.stature / 1.74
        self._one = torch.ones_like(self.size)
        self._index: dict[str, int] = {}
        self._weights: list[Tensor] = []
        self._frames: list[int] = []
        self._offsets: list[Tensor] = []
        self._radii: list[Tensor] = []
        self._pieces: list[tuple[int, ...]] = []
        self._worn: list[Tensor] = []

    def node(
        self,
        name: str,
        at: Weights,
        radii: Tensor | tuple[Tensor | float, ...],
        frame: str = "world",
        move: tuple[Tensor | float, ...] = (0.0, 0.0, 0.0),
    ) -> None:
        """An ellipsoid; a single radius makes a sphere."""
        weights = torch.zeros(len(self.size), len(JOINTS), device=self.size.device)
        for joint, weight in at.items():
            weights[:, INDEX[joint]] = weights[:, INDEX[joint]] + weight
        three = (radii,) * 3 if isinstance(radii, Tensor) else radii
        self._index[name] = len(self._index)
        self._weights.append(weights)
        self._frames.append(FRAMES.index(frame))
        self._offsets.append(torch.stack([v * self._one for v in move], -1))
        self._radii.append(torch.stack([v * self._one for v in three], -1).clamp_min(0.002))

    def piece(self, *names: str, worn: Tensor | None = None) -> None:
        """The hull of one to three nodes, for the bodies that wear it."""
        nodes = [self._index[name] for name in names]
        self._pieces.append((*nodes, *nodes[-1:] * (3 - len(nodes))))
        self._worn.append(self._one > 0 if worn is None else worn)

    def done(self) -> Outline:
        """All collected nodes and pieces."""
        device = self.size.device
        return Outline(
            torch.stack(self._weights, 1),
            torch.tensor(self._frames, device=device),
            torch.stack(self._offsets, 1),
            torch.stack(self._radii, 1),
            torch.tensor(self._pieces, device=device),
            torch.stack(self._worn, 1),
        )

    def head(self) -> None:
        s, d, k = self.shape, self.dress, self.size
        self.node(
            "skull", {"head": 0.52, "crown": 0.48}, (s.head_depth, s.head_width, 0.100 * k), "head", (0.006, 0, 0)
        )
        self.node(
            "face", {"head": 0.9, "crown": 0.1}, (0.062 * k, 0.8 * s.head_width, 0.076 * k), "head", (0.036 * k, 0, 0)
        )
        self.node("jaw", {"head": 1.13, "crown": -0.13}, (0.032 * k, 0.042 * k, 0.028 * k), "head", (0.062 * k, 0, 0))
        self.node("nape", {"head": 0.8, "neck": 0.2}, s.neck)
        self.node("throat", {"neck": 0.95, "spine": 0.05}, s.neck * 1.2)
        for piece in (("skull", "face"), ("face", "jaw"), ("jaw", "nape", "throat"), ("skull", "nape")):
            self.piece(*piece)
        self.node(
            "scalp",
            {"head": 0.48, "crown": 0.52},
            (s.head_depth + d.hair, s.head_width + d.hair, 0.097 * k + d.hair),
            "head",
            (-0.008, 0, 0),
        )
        self.piece("scalp")
        self.node("bun", {"head": 0.3, "crown": 0.7}, d.bun, "head", (-0.10 * k, 0, 0))
        self.piece("bun", worn=d.bun > 0)
        thick = 0.35 * d.hair + 0.03
        self.node("locks", {"head": 1.0}, (thick, 0.95 * s.head_width + d.hair, 0.05 * k), "head", (-0.055 * k, 0, 0))
        self.node(
            "tips",
            {"head": 1.0},
            (0.6 * thick, 0.8 * s.head_width + d.hair, 0.03 * k),
            "chest",
            (-0.085 * k, 0, -d.long_hair),
        )
        self.piece("scalp", "locks", worn=d.long_hair > 0)
        self.piece("locks", "tips", worn=d.long_hair > 0)
        self.node("peak", {"head": 0.45, "crown": 0.55}, (d.cap, 0.07 * k, 0.012 * k), "head", (0.09 * k, 0, 0))
        self.piece("peak", worn=d.cap > 0)
        off = d.hood
        self.node(
            "hood",
            {"head": 0.52, "crown": 0.48},
            (s.head_depth + off, s.head_width + off, 0.098 * k + off),
            "head",
            (-0.02, 0, 0),
        )
        self.node("cowl", {"neck": 1.0}, (s.neck + 0.035, s.neck + 0.045, 0.05 * k), "chest", (-0.03, 0, 0.03))
        self.piece("hood", "cowl", worn=off > 0)
        self.node("collar", {"neck": 0.5, "head": 0.5}, s.neck + 0.5 * d.collar + 0.01)
        self.node(
            "yoke", {"neck": 1.0}, (s.neck * 1.3 + 1.3 * d.collar, s.neck * 1.25 + 1.6 * d.collar, 0.045 * k), "chest"
        )
        self.piece("collar", "yoke", worn=d.collar > 0)

    def trunk(self) -> None:
        s, d, k = self.shape, self.dress, self.size
        ease = d.top_ease
        slope = (s.neck * 1.1, s.neck * 1.3 + d.collar, 0.03 * k)
        self.node("neck", {"neck": 0.5, "head": 0.5}, slope, "chest", (-0.01, 0, 0))
        for side in ("left", "right"):
            self.node(f"{side}_deltoid", {f"{side}_shoulder": 0.9, f"{side}_elbow": 0.1}, s.deltoid + d.sleeve_ease)
            self.node(
                f"{side}_acromion",
                {f"{side}_shoulder": 0.84, "neck": 0.16},
                0.75 * s.deltoid + 0.5 * ease,
                "chest",
                (-0.006, 0, 0.010 + 0.4 * ease),
            )
        # Cloth lies close in front and behind and stands off at the sides.
        aside = 1.6 * ease
        chest = (s.chest_depth + ease, s.chest_width + aside)
        self.node("chest", {"spine": 0.42, "neck": 0.58}, (*chest, 0.12 * k), "chest", (0.004, 0, 0))
        self.node(
            "bust",
            {"spine": 0.50, "neck": 0.50},
            (0.5 * s.chest_depth + ease, 0.72 * s.chest_width, 0.07 * k),
            "chest",
            (0.5 * s.chest_depth + s.bust, 0, 0),
        )
        self.node(
            "blades",
            {"spine": 0.28, "neck": 0.72},
            (0.75 * s.chest_depth + ease, 0.9 * s.chest_width + ease, 0.08 * k),
            "chest",
            (-0.018, 0, 0),
        )
        # A top hangs from chest and belly, so loose cloth has no waist.
        loose = (ease / 0.03).clamp(0, 1)
        waist = s.waist_width + loose * 0.35 * (s.chest_width - s.waist_width).clamp_min(0) + aside
        self.node(
            "waist", {"pelvis": 0.45, "spine": 0.55}, (s.waist_depth + ease, waist, 0.09 * k), "pelvis", (s.belly, 0, 0)
        )
        below = torch.maximum(torch.minimum(ease, d.top_length * 0.1), d.leg_ease)
        self.node(
            "hips",
            {"pelvis": 1.0},
            (0.92 * s.hips_depth + below, s.hips_width + below, 0.07 * k),
            "pelvis",
            (0.0, 0, -0.045 * k),
        )
        self.node(
            "seat",
            {"pelvis": 1.0},
            (0.62 * s.hips_depth + below, 0.84 * s.hips_width + below, 0.075 * k),
            "pelvis",
            (-0.42 * s.hips_depth, 0, -0.065 * k),
        )
        self.node(
            "crotch", {"pelvis": 1.0}, (0.6 * s.hips_depth, 0.45 * s.hips_width, 0.04 * k), "pelvis", (0, 0, -0.115 * k)
        )
        self.piece("neck", "left_acromion", "right_acromion")
        self.piece("left_acromion", "right_acromion", "chest")
        self.piece("blades", "chest", "bust")
        self.piece("chest", "waist")
        self.piece("bust", "waist")
        self.piece("waist", "hips", "seat")
        self.piece("hips", "crotch", "seat")

    def arm(self, side: str) -> None:
        s, ease = self.shape, self.dress.sleeve_ease
        elbow, wrist = f"{side}_elbow", f"{side}_wrist"
        self.node(f"{side}_biceps", {f"{side}_shoulder": 0.55, elbow: 0.45}, s.upper_arm + ease)
        self.node(elbow, {elbow: 1.0}, s.elbow + ease)
        self.node(f"{side}_forearm", {elbow: 0.75, wrist: 0.25}, s.forearm + ease)
        self.node(wrist, {wrist: 1.0}, s.wrist + ease)
        self.node(f"{side}_palm", {wrist: 0.35, f"{side}_hand": 0.65}, 0.80 * s.hand)
        self.node(f"{side}_fingers", {wrist: -0.2, f"{side}_hand": 1.2}, 0.55 * s.hand)
        chain = ("deltoid", "biceps", "elbow", "forearm", "wrist")
        for a, b in itertools.pairwise(chain):
            self.piece(f"{side}_{a}", f"{side}_{b}")
        self.piece(wrist, f"{side}_palm", f"{side}_fingers")

    def leg(self, side: str) -> None:
        s, d = self.shape, self.dress
        hip, knee, ankle = (f"{side}_{name}" for name in ("hip", "knee", "ankle"))
        bare = d.skirt_length > 0

        def cloth(share: float) -> Tensor:
            return torch.where(bare, torch.zeros_like(d.leg_ease), d.leg_ease + share * (d.cuff_ease - d.leg_ease))

        self.node(f"{side}_groin", {hip: 0.93, knee: 0.07}, 0.86 * s.thigh + cloth(0), "pelvis", (-0.01, 0, 0))
        self.node(f"{side}_thigh", {hip: 0.72, knee: 0.28}, 0.90 * s.thigh + cloth(0))
        self.node(knee, {knee: 1.0}, 0.93 * s.knee + cloth(0.4))
        self.node(f"{side}_calf", {knee: 0.68, ankle: 0.32}, 0.95 * s.calf + cloth(0.6))
        self.node(ankle, {knee: 0.08, ankle: 0.92}, s.ankle + cloth(1))
        for a, b in (("groin", "thigh"), ("thigh", "knee"), ("knee", "calf"), ("calf", "ankle")):
            self.piece(f"{side}_{a}", f"{side}_{b}")

    def foot(self, side: str) -> None:
        s, shoe, k = self.shape, self.dress.shoe, self.size
        frame, ball, toe = f"{side}_foot", f"{side}_ball", f"{side}_toe"
        self.node(
            f"{side}_heel",
            {f"{side}_heel": 1.0},
            (0.026 * k + shoe, 0.6 * s.foot + shoe, 0.034 * k),
            frame,
            (0.016, 0, 0.030 * k),
        )
        self.node(
            ball, {ball: 1.0}, (0.035 * k, 0.92 * s.foot + 0.5 * shoe, 0.024 * k + 0.6 * shoe), frame, (0, 0, 0.026 * k)
        )
        self.node(
            toe,
            {toe: 1.0},
            (0.022 * k + 0.5 * shoe, 0.6 * s.foot, 0.018 * k + 0.5 * shoe),
            frame,
            (-0.015, 0, 0.018 * k),
        )
        self.piece(f"{side}_heel", ball, f"{side}_ankle")
        self.piece(ball, toe)

    def hanging(self, name: str, length: Tensor, flare: Tensor, ease: Tensor) -> None:
        """Cloth that hangs from the hips around both legs and is stretched by them."""
        s = self.shape
        above, below = length.clamp(0, 1), (length - 1).clamp(0, 1)
        for side, sign in (("left", 1.0), ("right", -1.0)):
            # Hanging cloth follows the shank only by half.
            at: Weights = {
                f"{side}_hip": 1 - above,
                f"{side}_knee": above - 0.55 * below,
                f"{side}_ankle": 0.55 * below,
            }
            half = 0.70 * s.hips_depth * (1 - 0.25 * above) + ease + flare
            self.node(
                f"{side}_{name}",
                at,
                (half, 0.42 * s.hips_width + ease + flare, 0.008 * self._one),
                "pelvis",
                (-0.01, 0.012 * sign, -0.45 * 0.42 * below),
            )
        self.piece("hips", f"left_{name}", f"right_{name}", worn=length > 0)
        self.piece("seat", f"left_{name}", f"right_{name}", worn=length > 0)

    def bags(self, side: str, sign: float) -> None:
        s, d, k = self.shape, self.dress, self.size
        carried = LEFT if sign > 0 else RIGHT
        if sign > 0:
            half, back = d.backpack / 2, -(s.chest_depth + d.top_ease + d.backpack / 2) + 0.02
            self.node(
                "pack_top",
                {"spine": 0.1, "neck": 0.9},
                (half * 0.8, d.backpack_width * 0.85, 0.05 * k),
                "chest",
                (back + 0.01, 0, -0.03),
            )
            self.node(
                "pack_low",
                {"spine": 0.1, "neck": 0.9},
                (half * 1.15, d.backpack_width, 0.06 * k),
                "chest",
                (back - 0.01, 0, 0.03 - 2 * d.backpack_height),
            )
            self.piece("pack_top", "pack_low", worn=d.backpack > 0)
        size = (d.bag_length, d.bag_width, 0.35 * d.bag_height)
        out = s.hips_width + d.top_ease + d.bag_width
        for part, z in (("top", 0.5), ("low", -0.6)):
            self.node(
                f"{side}_pouch_{part}", {"pelvis": 1.0}, size, "pelvis", (-0.03, sign * out, z * d.bag_height - 0.03)
            )
            self.node(
                f"{side}_bag_{part}", {f"{side}_hand": 1.0}, size, "pelvis", (0, 0, (z - 1.2) * d.bag_height - 0.03)
            )
        self.piece(f"{side}_pouch_top", f"{side}_pouch_low", worn=d.shoulder_bag == carried)
        self.piece(f"{side}_bag_top", f"{side}_bag_low", worn=d.hand_bag == carried)
