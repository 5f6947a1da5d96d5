"""Random outfits by condition: "nm" everyday clothes, "bg" the same with a bag, "cl" outer wear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gaitkeeper.training.walkers.anthropometry import Rows
from gaitkeeper.training.walkers.skeleton import INDEX

Condition = Literal["nm", "bg", "cl"]
Draw = Callable[[float, float], Tensor]
NONE, LEFT, RIGHT = 0.0, 1.0, -1.0


@dataclass(eq=False)
class Dress(Rows):
    """B outfits; float32 (B,) each, metres unless said otherwise. Sides are 1 left, -1 right, 0 neither.

    Attributes:
        top_ease, sleeve_ease: distance of the cloth from trunk and arms.
        top_length: position of the hem: 0 at the hip joints, 1 at the knees, 2 at the ankles.
        top_flare: extra width of the hem, relative to the hips.
        leg_ease, cuff_ease: ease of trousers at the thigh and at the ankle.
        skirt_length, skirt_flare: as for the top; length 0 without a skirt.
        collar: radius of the collar beyond the neck.
        hair: thickness on the skull.
        long_hair: length down the back.
        bun: radius.
        cap: length of the peak.
        hood: distance of a worn hood from the head; 0 without a hood.
        shoe: thickness of the shoe around the foot.
        backpack: depth; 0 without a backpack.
        backpack_width, backpack_height: half of each.
        shoulder_bag, hand_bag: the side.
        bag_length, bag_height, bag_width: half of each, of shoulder and hand bags.
        phone: side of the hand that holds a phone.
    """

    top_ease: Tensor
    sleeve_ease: Tensor
    top_length: Tensor
    top_flare: Tensor
    leg_ease: Tensor
    cuff_ease: Tensor
    skirt_length: Tensor
    skirt_flare: Tensor
    collar: Tensor
    hair: Tensor
    long_hair: Tensor
    bun: Tensor
    cap: Tensor
    hood: Tensor
    shoe: Tensor
    backpack: Tensor
    backpack_width: Tensor
    backpack_height: Tensor
    shoulder_bag: Tensor
    hand_bag: Tensor
    bag_length: Tensor
    bag_height: Tensor
    bag_width: Tensor
    phone: Tensor


def draw_dress(condition: Condition, n: int, rng: np.random.Generator, base: Dress | None = None) -> Dress:
    """Outfits for n people.

    Args:
        condition: "nm", "bg" or "cl".
        n: number of outfits.
        rng: random generator.
        base: everyday outfits (n rows), to which a bag or outer wear is added; hair is kept. None draws them first.
    """
    dress = base if base is not None else _everyday(n, rng)
    if condition == "bg":
        return _with_bag(dress, rng)
    if condition == "cl":
        return _outer_wear(dress, rng)
    return dress


def hold_phone(joints: Tensor, dress: Dress) -> Tensor:
    """Joints (B, T, J, 3) with the hand that holds a phone raised in front of the chest; bone lengths are kept."""
    out = joints.clone()
    left = joints[..., INDEX["left_shoulder"], :] - joints[..., INDEX["right_shoulder"], :]
    up = joints[..., INDEX["neck"], :] - joints[..., INDEX["spine"], :]
    left, up = (torch.nn.functional.normalize(v, dim=-1) for v in (left, up))
    forward = torch.linalg.cross(left, up)
    for side, sign in (("left", LEFT), ("right", RIGHT)):
        at = [INDEX[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist", "hand")]
        ways = (
            0.18 * forward + 0.12 * sign * left - up,
            0.80 * forward - 0.30 * sign * left + 0.55 * up,
            0.60 * forward - 0.30 * sign * left + 0.75 * up,
        )
        place = joints[..., at[0], :]
        for i, way in enumerate(ways):
            length = (joints[..., at[i + 1], :] - joints[..., at[i], :]).norm(dim=-1, keepdim=True)
            place = place + length * torch.nn.functional.normalize(way, dim=-1)
            holds = (dress.phone == sign)[:, None, None]
            out[..., at[i + 1], :] = torch.where(holds, place, joints[..., at[i + 1], :])
    return out


def _everyday(n: int, rng: np.random.Generator) -> Dress:
    """Shirt, jumper or jacket; trousers of all widths, sometimes a knee-length skirt."""

    def between(low: float, high: float) -> Tensor:
        return torch.tensor(rng.uniform(low, high, n), dtype=torch.float32)

    def some(share: float, values: Tensor) -> Tensor:
        return torch.where(torch.tensor(rng.random(n) < share), values, torch.zeros(n))

    zero = torch.zeros(n)
    jacket = torch.tensor(rng.random(n) < 0.6)
    skirt = some(0.06, between(0.7, 1.3))
    long_hair = some(0.35, between(0.08, 0.34))
    hood = some(0.08, between(0.02, 0.035))
    return Dress(
        top_ease=torch.where(jacket, between(0.015, 0.045), between(0.006, 0.022)),
        sleeve_ease=torch.where(jacket, between(0.012, 0.030), between(0.004, 0.015)),
        top_length=torch.where(jacket, between(0.05, 0.45), between(0.0, 0.3)),
        top_flare=torch.where(jacket, between(-0.01, 0.03), between(-0.005, 0.015)),
        leg_ease=between(0.004, 0.020),
        cuff_ease=torch.maximum(between(0.006, 0.026), some(0.3, between(0.02, 0.045))),
        skirt_length=skirt,
        skirt_flare=between(0.0, 0.07),
        collar=some(0.85, between(0.01, 0.055)),
        hair=torch.maximum(between(0.006, 0.028), some(0.3, between(0.02, 0.05))),
        long_hair=long_hair,
        bun=torch.where(long_hair > 0, zero, some(0.12, between(0.025, 0.045))),
        cap=some(0.08, between(0.05, 0.08)),
        hood=hood,
        shoe=between(0.006, 0.02),
        backpack=zero,
        backpack_width=zero,
        backpack_height=zero,
        shoulder_bag=zero,
        hand_bag=zero,
        bag_length=zero,
        bag_height=zero,
        bag_width=zero,
        phone=zero,
    )


def _with_bag(dress: Dress, rng: np.random.Generator) -> Dress:
    n = len(dress)
    kind = torch.tensor(rng.choice(3, n, p=(0.42, 0.33, 0.25)))
    side = torch.tensor(rng.choice((LEFT, RIGHT), n), dtype=torch.float32)

    def between(low: float, high: float, of: int) -> Tensor:
        return torch.where(kind == of, torch.tensor(rng.uniform(low, high, n), dtype=torch.float32), torch.zeros(n))

    return replace(
        dress,
        backpack=between(0.07, 0.14, 0),
        backpack_width=between(0.12, 0.17, 0),
        backpack_height=between(0.17, 0.25, 0),
        shoulder_bag=torch.where(kind == 1, side, torch.zeros(n)),
        hand_bag=torch.where(kind == 2, side, torch.zeros(n)),
        bag_length=between(0.11, 0.20, 1) + between(0.10, 0.20, 2),
        bag_height=between(0.09, 0.17, 1) + between(0.10, 0.19, 2),
        bag_width=between(0.03, 0.07, 1) + between(0.03, 0.07, 2),
    )


def _outer_wear(dress: Dress, rng: np.random.Generator) -> Dress:
    """A coat, a down jacket, a long skirt or wide trousers, with or without a coat over them."""
    n = len(dress)
    kind = torch.tensor(rng.choice(4, n, p=(0.38, 0.34, 0.14, 0.14)))

    def pick(now: Tensor, *ranges: tuple[float, float] | None) -> Tensor:
        for number, bounds in enumerate(ranges):
            if bounds is not None:
                drawn = torch.tensor(rng.uniform(*bounds, n), dtype=torch.float32)
                now = torch.where(kind == number, drawn, now)
        return now

    hooded = torch.tensor(rng.random(n) < 0.15) & (kind < 2)
    changed = replace(
        dress,
        top_ease=pick(dress.top_ease, (0.025, 0.055), (0.04, 0.08), (0.012, 0.04), (0.012, 0.05)),
        sleeve_ease=pick(dress.sleeve_ease, (0.016, 0.032), (0.028, 0.05), (0.008, 0.025), (0.008, 0.03)),
        top_length=pick(dress.top_length, (0.7, 1.25), (0.1, 0.75), None, None),
        top_flare=pick(dress.top_flare, (0.01, 0.07), (0.0, 0.05), None, None),
        leg_ease=pick(dress.leg_ease, None, None, None, (0.02, 0.035)),
        cuff_ease=pick(dress.cuff_ease, None, None, None, (0.05, 0.085)),
        skirt_length=pick(dress.skirt_length, None, None, (1.35, 1.85), (0.0, 0.0)),
        skirt_flare=pick(dress.skirt_flare, None, None, (0.02, 0.10), None),
        collar=pick(dress.collar, (0.012, 0.045), (0.02, 0.055), None, None),
    )
    changed.hood = torch.where(hooded, torch.tensor(rng.uniform(0.02, 0.045, n), dtype=torch.float32), changed.hood)
    return changed
