"""Random outfits and carried items: everyday outfits, half of them with a jacket or a coat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHOES = ("shoes01", "shoes02", "shoes03", "shoes04", "shoes05", "shoes06")
MENS = (
    *("male_casualsuit01", "male_casualsuit02", "male_casualsuit03", "male_casualsuit04", "male_casualsuit05"),
    *("male_casualsuit06", "male_elegantsuit01", "male_worksuit01"),
)
WOMENS = ("female_casualsuit01", "female_casualsuit02", "female_elegantsuit01", "female_sportsuit01")
SHORT_HAIR = ("short01", "short02", "short03", "short04")
LONG_HAIR = ("bob01", "bob02", "long01", "ponytail01", "braid01", "afro01")
HATS = ("fedora01",)


@dataclass(frozen=True)
class Outer:
    """A jacket or coat; lengths in metres, hem positions as shares of the leg: 0 at the hip joints, 1 at the ankles."""

    ease: float
    sleeve: float
    hem: float
    flare: float
    collar: float
    hood: float


@dataclass(frozen=True)
class Outfit:
    """One outfit; eases are distances from the body in metres.

    Attributes:
        seed: seed of its folds.
        suit: a garment that replaces shirt and trousers, or None for both from the helper layer.
        loose: ease of the suit.
        top, sleeve: ease of the shirt on trunk and arms.
        sleeve_end: end of the sleeve along the arm, 1 at the wrist.
        legs, cuffs: ease of trousers at the hip and at the ankle.
        leg_end: end of the trousers, 1 at the ankle.
        skirt: length as a share of the leg, 0 without one; worn over trousers or tights.
        skirt_flare: ease at its hem.
        outer: jacket or coat, or None.
        shoes: a garment.
        hat: a garment, "cap" or "hood" from the helper layer of the hair, or None.
        scarf: thickness around the neck, 0 without one.
    """

    seed: int
    suit: str | None
    loose: float
    top: float
    sleeve: float
    sleeve_end: float
    legs: float
    cuffs: float
    leg_end: float
    skirt: float
    skirt_flare: float
    outer: Outer | None
    shoes: str
    hat: str | None
    scarf: float


@dataclass(frozen=True)
class Carried:
    """A bag or an umbrella; half sizes in metres: depth, width, height, in the carried position.

    Attributes:
        kind: "backpack", "shoulder bag", "hand bag", "trolley" or "umbrella".
        side: 1 left, -1 right.
        size: half of the length in walking direction, the width and the height.
        low: metres below the usual position.
    """

    kind: str
    side: int
    size: tuple[float, float, float]
    low: float


def draw_hair(female: bool, rng: np.random.Generator) -> str | None:
    """A head of hair, or None for a bald one."""
    if female:
        return str(rng.choice(LONG_HAIR if rng.random() < 0.75 else SHORT_HAIR))
    if rng.random() < 0.15:
        return None
    return str(rng.choice(SHORT_HAIR if rng.random() < 0.85 else LONG_HAIR))


def draw_outfit(female: bool, rng: np.random.Generator, *, outer: bool | None = None) -> Outfit:
    """An outfit for a woman or a man; ``outer`` adds a jacket or coat, or leaves it out; None draws at random."""
    usual, other = (WOMENS, MENS) if female else (MENS, WOMENS)
    suit = None
    if rng.random() < 0.55:
        suit = str(rng.choice(usual if not female or rng.random() < 0.7 else other))
    wide = rng.random() < 0.15
    legs = float(rng.uniform(0.002, 0.010))
    hat = rng.choice(("none", "fedora01", "cap", "hood"), p=(0.86, 0.03, 0.06, 0.05))
    over = rng.random() < 0.5 if outer is None else outer
    return Outfit(
        seed=int(rng.integers(2**31)),
        suit=suit,
        loose=float(rng.uniform(0.0, 0.006)),
        top=float(rng.uniform(0.002, 0.014)),
        sleeve=float(rng.uniform(0.002, 0.010)),
        sleeve_end=float(rng.choice((0.25, 0.5, 1.0), p=(0.3, 0.1, 0.6))),
        legs=legs,
        cuffs=float(rng.uniform(0.01, 0.03)) if wide else float(rng.uniform(0.002, 0.012)),
        leg_end=float(rng.choice((0.45, 1.0), p=(0.12, 0.88))),
        skirt=float(rng.uniform(0.35, 0.95)) if female and rng.random() < 0.10 else 0.0,
        skirt_flare=float(rng.uniform(-0.01, 0.05)),
        outer=_draw_outer(rng) if over else None,
        shoes=str(rng.choice(SHOES)),
        hat=None if hat == "none" else str(hat),
        scarf=float(rng.uniform(0.015, 0.04)) if rng.random() < 0.12 else 0.0,
    )


def _draw_outer(rng: np.random.Generator) -> Outer:
    """A jacket, a padded jacket, or a coat."""
    kind = rng.choice(3, p=(0.65, 0.2, 0.15))
    low, high = ((0.008, 0.022), (0.02, 0.045), (0.012, 0.03))[kind]
    ease = float(rng.uniform(low, high))
    return Outer(
        ease=ease,
        sleeve=float(rng.uniform(0.45, 0.75)) * ease,
        hem=float(rng.uniform(*((0.0, 0.22), (0.0, 0.3), (0.3, 0.75))[kind])),
        flare=float(rng.uniform(-0.005, 0.03)),
        collar=float(rng.uniform(0.01, 0.04)) if rng.random() < 0.6 else 0.0,
        hood=float(rng.uniform(0.8, 1.3)) if rng.random() < 0.25 else 0.0,
    )


def draw_carried(rng: np.random.Generator) -> Carried:
    """A random item to carry."""
    kind = str(rng.choice(("backpack", "shoulder bag", "hand bag", "trolley"), p=(0.42, 0.3, 0.23, 0.05)))
    ranges = {
        "backpack": ((0.06, 0.12), (0.12, 0.17), (0.17, 0.26)),
        "shoulder bag": ((0.11, 0.20), (0.03, 0.07), (0.09, 0.17)),
        "hand bag": ((0.10, 0.20), (0.03, 0.07), (0.10, 0.19)),
        "trolley": ((0.10, 0.14), (0.16, 0.22), (0.26, 0.34)),
    }[kind]
    x, y, z = (float(rng.uniform(*between)) for between in ranges)
    return Carried(kind, int(rng.choice((1, -1))), (x, y, z), float(rng.uniform(-0.06, 0.10)))
