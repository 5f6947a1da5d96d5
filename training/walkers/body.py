"""Flesh and clothes on a skeleton: every part a solid of lofts and ellipsoids, sized by the person's build.

Girths are those of an average adult of 1.74 m (half breadths and depths after ANSUR II, Gordon et al. 2014), scaled by
stature and bulk; clothes lie on top with the outfit's ease.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.walkers.gait import rest_joints
from training.walkers.mesh import Body, build_body
from training.walkers.noise import Noise
from training.walkers.person import Person
from training.walkers.skeleton import INDEX
from training.walkers.solid import Ellipsoid, Loft, Primitive, Skirt, Solid

_SIDES = (("left", 1.0), ("right", -1.0))


def build(person: Person, detail: float = 1.0) -> Body:
    """The person's body, dressed; ``detail`` above 1 makes a finer mesh, below 1 a coarser and faster one."""
    return build_body(solids(person, detail), rest_joints(person), Noise(person.seed % 2**31))


def solids(person: Person, detail: float = 1.0) -> list[Solid]:
    """The parts that make up a dressed person at rest."""
    tailor = _Tailor(person, detail)
    parts = [*tailor.head(), *tailor.hands(), *tailor.top(), *tailor.legs(), *tailor.shoes(), *tailor.bag()]
    return parts


class _Tailor:
    """Cuts the parts of one person."""

    def __init__(self, person: Person, detail: float) -> None:
        self.person, self.outfit, self.detail = person, person.outfit, detail
        self.rest = rest_joints(person)
        build = person.build
        self.size = build.stature / 1.74
        self.girth = self.size * build.bulk
        self.chest, self.pelvis = self.girth * build.chest, self.girth * build.pelvis
        self.long = person.outfit.top == "coat"

    def at(self, joint: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Tensor:
        """A point at a joint, moved by metres of the average person."""
        return self.rest[INDEX[joint]] + self.size * torch.tensor([x, y, z])

    def loft(
        self, start: Tensor, end: Tensor, sections: list[tuple[float, float, float, float]], bones: str, *,
        girth: float, ease: float = 0.0, cap: float = 0.02, ramp: tuple[float, float] = (0.3, 0.7),
    ) -> Loft:  # fmt: skip
        """A loft of (position, half breadth, half depth, shift forward) sections on "bone" or "bone>bone"."""
        knots, across, along, shift = zip(*sections, strict=True)
        first, _, second = bones.partition(">")
        return Loft(
            start, end, knots, tuple(girth * a + ease for a in across), tuple(girth * a + ease for a in along),
            (first, second or first), tuple(girth * s for s in shift), cap, ramp,
        )  # fmt: skip

    def ball(self, centre: Tensor, radii: tuple[float, float, float], bone: str, pitch: float = 0.0) -> Ellipsoid:
        """An ellipsoid with radii in metres of the average person."""
        return Ellipsoid(centre, (self.size * radii[0], self.size * radii[1], self.size * radii[2]), bone, pitch)

    def solid(self, name: str, primitives: list[Primitive], cell: float, **more: object) -> Solid:
        """A solid whose grid step follows the wanted detail."""
        return Solid(name, tuple(primitives), cell=cell / self.detail, **more)  # type: ignore[arg-type]

    def head(self) -> list[Solid]:
        """Head, neck and hair."""
        neck = self.loft(
            self.at("neck", z=-0.03), self.at("head", x=-0.005, z=0.03),
            [(0.0, 0.072, 0.070, 0.0), (0.45, 0.060, 0.062, 0.0), (1.0, 0.056, 0.062, 0.0)],
            "neck>head", girth=self.girth, ramp=(0.4, 1.0),
        )  # fmt: skip
        skull = (0.098, 0.077, 0.102)
        face: list[Primitive] = [
            neck,
            self.ball(self.at("head", 0.008, 0, 0.084), skull, "head"),
            self.ball(self.at("head", 0.038, 0, 0.028), (0.066, 0.062, 0.078), "head"),
            self.ball(self.at("head", 0.066, 0, -0.024), (0.030, 0.032, 0.026), "head"),
            self.ball(self.at("head", 0.108, 0, 0.034), (0.017, 0.013, 0.022), "head", 0.3),
        ]
        face += [self.ball(self.at("head", 0.0, s * 0.076, 0.038), (0.017, 0.010, 0.030), "head") for _, s in _SIDES]
        parts = [self.solid("skin", face, 0.0085, melt=0.007)]
        style = self.outfit.hair
        brow = self.ball(self.at("head", 0.118, 0, 0.030), (0.066, 0.090, 0.088), "head")
        nape = self.ball(self.at("head", 0.05, 0, -0.045), (0.16, 0.20, 0.095), "head")
        scalp = self.ball(self.at("head", 0.002, 0, 0.090), tuple(r + 0.010 for r in skull), "head")  # type: ignore[arg-type]
        if style == "cap":
            peak = self.ball(self.at("head", 0.105, 0, 0.115), (0.075, 0.070, 0.008), "head", 0.12)
            band = self.ball(self.at("head", 0.05, 0, -0.03), (0.2, 0.2, 0.118), "head")
            parts.append(self.solid("trim", [scalp], 0.010, cuts=(band,), crumple=0.001))
            parts.append(self.solid("trim", [peak], 0.006))
        if style == "hood":
            hood: list[Primitive] = [
                self.ball(self.at("head", -0.008, 0, 0.075), (0.125, 0.105, 0.132), "head"),
                self.ball(self.at("head", -0.02, 0, -0.03), (0.105, 0.110, 0.105), "neck"),
            ]
            opening = self.ball(self.at("head", 0.135, 0, 0.030), (0.115, 0.078, 0.105), "head")
            parts.append(self.solid("top", hood, 0.011, melt=0.02, cuts=(opening,), crumple=0.003))
        else:
            back = [self.ball(self.at("head", -0.035, 0, 0.02), (0.068, 0.074, 0.085), "head")]
            hair: list[Primitive] = [scalp, *(back if style in ("bob", "bun") else [])]
            if style == "bob":
                hair.append(self.ball(self.at("head", -0.022, 0, -0.005), (0.085, 0.098, 0.105), "head"))
            if style == "bun":
                hair.append(self.ball(self.at("head", -0.115, 0, 0.115), (0.036, 0.042, 0.040), "head"))
            parts.append(
                self.solid(
                    "hair", hair, 0.0095, melt=0.008, cuts=(brow,) if style == "bob" else (brow, nape), crumple=0.003
                )
            )
        return parts

    def hands(self) -> list[Solid]:
        """Palms, half-closed fingers and thumbs."""
        parts = []
        for side, _ in _SIDES:
            wrist, knuckles = self.rest[INDEX[f"{side}_wrist"]], self.rest[INDEX[f"{side}_hand"]]
            along = knuckles - wrist
            palm = self.loft(
                wrist - 0.2 * along, wrist + 1.25 * along,
                [(0, 0.020, 0.027, 0), (0.2, 0.019, 0.029, 0), (0.5, 0.018, 0.042, 0.002), (0.8, 0.016, 0.036, 0),
                 (1, 0.010, 0.022, 0)],
                f"{side}_forearm>{side}_hand", girth=self.size, cap=0.012, ramp=(0.0, 0.25),
            )  # fmt: skip
            thumb = self.loft(
                wrist + 0.2 * along + torch.tensor([0.018, 0, 0]), wrist + 0.85 * along + torch.tensor([0.046, 0, 0]),
                [(0, 0.013, 0.016, 0), (1, 0.009, 0.010, 0)], f"{side}_hand", girth=self.size, cap=0.01,
            )  # fmt: skip
            parts.append(self.solid("skin", [palm, thumb], 0.009, melt=0.006))
        return parts

    def top(self) -> list[Solid]:
        """Jacket, coat, hoodie or shirt: trunk, shoulders, sleeves and collar."""
        kind = self.outfit.top
        ease = self.outfit.ease + {"shirt": 0.002, "hoodie": 0.010, "jacket": 0.012, "coat": 0.016}[kind]
        belly = 0.045 * self.person.build.belly
        drop = {"shirt": -0.06, "hoodie": -0.07, "jacket": -0.10, "coat": -0.12}[kind]
        trunk = self.loft(
            self.at("pelvis", -0.005, z=drop), self.at("neck", -0.012, z=-0.02),
            [(0.0, 0.165, 0.112, -0.008), (0.16, 0.165, 0.118, -0.008), (0.42, 0.142, 0.104 + belly, 0.7 * belly),
             (0.68, 0.158, 0.120 + 0.4 * belly, 0.3 * belly), (0.86, 0.150, 0.108, -0.008), (1.0, 0.085, 0.080, 0.0)],
            "pelvis>chest", girth=self.chest, ease=ease, cap=0.012, ramp=(0.28, 0.62),
        )  # fmt: skip
        pieces: list[Primitive] = [trunk]
        for side, s in _SIDES:
            shoulder, elbow, wrist = (self.rest[INDEX[f"{side}_{j}"]] for j in ("shoulder", "elbow", "wrist"))
            pieces += [
                self.loft(
                    self.at("neck", -0.012, s * 0.03, 0.0), shoulder + torch.tensor([0, 0, 0.004]),
                    [(0, 0.062, 0.062, 0), (0.6, 0.056, 0.068, 0), (1, 0.052, 0.064, 0)], "chest", girth=self.chest,
                    ease=0.6 * ease,
                ),
                self.loft(
                    shoulder, elbow, [(0, 0.056, 0.062, 0), (0.35, 0.050, 0.056, 0.002), (1, 0.042, 0.046, 0)],
                    f"{side}_upper_arm", girth=self.chest, ease=ease,
                ),
                self.loft(
                    elbow, elbow + 1.03 * (wrist - elbow),
                    [(0, 0.042, 0.046, 0), (0.3, 0.043, 0.045, 0), (1, 0.031, 0.034, 0)],
                    f"{side}_forearm", girth=self.girth, ease=ease, cap=0.006,
                ),
            ]  # fmt: skip
        if self.long:
            hem = self.loft(
                self.at("pelvis", z=0.02), self.at("pelvis", -0.005, z=-0.50),
                [(0, 0.162, 0.120, -0.008), (0.3, 0.175, 0.140, -0.005), (1, 0.20, 0.185, -0.005)],
                "pelvis>left_thigh", girth=self.pelvis, ease=ease, cap=0.008, ramp=(0.1, 1.1),
            )  # fmt: skip
            pieces.append(Skirt(hem))
        parts = [self.solid("top", pieces, 0.016, melt=0.016, crumple=0.0035)]
        if kind != "hoodie" or self.outfit.hair != "hood":
            height = {"shirt": 0.030, "hoodie": 0.045, "jacket": 0.050, "coat": 0.055}[kind]
            collar = self.loft(
                self.at("neck", -0.012, z=-0.045), self.at("neck", -0.004, z=height - 0.01),
                [(0, 0.098, 0.098, 0), (0.5, 0.080, 0.084, 0), (1, 0.076, 0.082, 0)], "chest>neck", girth=self.girth,
                ease=0.3 * ease, cap=0.006, ramp=(0.3, 1.4),
            )  # fmt: skip
            parts.append(self.solid("collar", [collar], 0.011, crumple=0.001))
        if kind == "hoodie" and self.outfit.hair != "hood":
            cowl = self.ball(self.at("neck", -0.075, 0, 0.0), (0.075, 0.115, 0.055), "chest", -0.5)
            parts.append(self.solid("top", [cowl], 0.012, crumple=0.003))
        return parts

    def legs(self) -> list[Solid]:
        """Trousers, or a skirt over bare legs."""
        ease, wide = self.outfit.ease, 0.022 if self.outfit.legwear == "wide trousers" else 0.0
        bare = self.outfit.legwear == "skirt"
        over = 0.0 if bare else ease
        seat = self.loft(
            self.at("pelvis", -0.005, z=0.10), self.at("pelvis", -0.008, z=-0.085),
            [(0, 0.142, 0.108, 0), (0.5, 0.162, 0.118, -0.008), (1, 0.150, 0.105, -0.010)], "pelvis",
            girth=self.pelvis, ease=over, cap=0.03,
        )  # fmt: skip
        pieces: list[Primitive] = [seat]
        for side, _ in _SIDES:
            hip, knee, ankle = (self.rest[INDEX[f"{side}_{j}"]] for j in ("hip", "knee", "ankle"))
            pieces += [
                self.loft(
                    hip, knee,
                    [(0, 0.086, 0.098, -0.004), (0.3, 0.080, 0.090, 0), (0.7, 0.064, 0.070, 0.004), (1, 0.054, 0.060, 0.004)],
                    f"{side}_thigh", girth=self.pelvis, ease=over + 0.3 * wide,
                ),
                self.loft(
                    knee, ankle + (0.0 if bare else 0.02) * (ankle - knee),
                    [(0, 0.054, 0.058, 0.004), (0.3, 0.053, 0.060, -0.012), (0.6, 0.046, 0.050, -0.008), (1, 0.036, 0.042, 0)],
                    f"{side}_shank", girth=self.girth, ease=(0.0 if bare else ease + 0.008 + wide), cap=0.008,
                ),
            ]  # fmt: skip
        parts = [self.solid("tights" if bare else "legs", pieces, 0.016, melt=0.012, crumple=0.0 if bare else 0.003)]
        if bare:
            hem = self.loft(
                self.at("pelvis", z=0.10), self.at("pelvis", -0.005, z=-0.46),
                [(0, 0.140, 0.106, 0), (0.25, 0.165, 0.125, -0.008), (1, 0.205, 0.190, 0)], "pelvis>left_thigh",
                girth=self.pelvis, ease=ease, cap=0.006, ramp=(0.2, 1.1),
            )  # fmt: skip
            parts.append(self.solid("legs", [Skirt(hem)], 0.016, crumple=0.004))
        return parts

    def shoes(self) -> list[Solid]:
        """Shoes with a sole; the toes bend at the ball."""
        parts = []
        for side, _ in _SIDES:
            heel, ball, toe, ankle = (self.rest[INDEX[f"{side}_{j}"]] for j in ("heel", "ball", "toe", "ankle"))
            up = torch.tensor([0.0, 0.0, 1.0]) * self.size
            back = torch.tensor([-0.005, 0.0, 0.0])
            upper: list[Primitive] = [
                self.loft(
                    heel + 0.034 * up + back, toe + 0.026 * up,
                    [(0, 0.032, 0.032, 0), (0.3, 0.034, 0.036, 0.004), (0.7, 0.045, 0.028, -0.004), (1, 0.034, 0.020, -0.006)],
                    f"{side}_foot>{side}_toes", girth=self.size, cap=0.03, ramp=(0.68, 0.82),
                ),
                self.loft(
                    heel * 0.35 + ball * 0.65 + 0.05 * up, ankle + 0.035 * up,
                    [(0, 0.030, 0.028, 0), (1, 0.036, 0.042, 0)], f"{side}_foot", girth=self.size,
                ),
            ]  # fmt: skip
            sole = self.loft(
                heel + 0.011 * up + back, toe + 0.011 * up,
                [(0, 0.032, 0.013, 0), (0.3, 0.033, 0.013, 0), (0.72, 0.047, 0.013, 0), (1, 0.036, 0.012, 0.002)],
                f"{side}_foot>{side}_toes", girth=self.size, cap=0.032, ramp=(0.68, 0.82),
            )  # fmt: skip
            parts.append(self.solid("shoes", [*upper], 0.0105, melt=0.008))
            parts.append(self.solid("soles", [sole], 0.0105))
        return parts

    def bag(self) -> list[Solid]:
        """A backpack, or a bag on a strap at the right hip."""
        if self.outfit.bag == "backpack":
            pack = self.loft(
                self.at("spine", -0.20, z=-0.06), self.at("neck", -0.19, z=-0.03),
                [(0, 0.13, 0.075, 0), (0.3, 0.15, 0.095, 0), (0.8, 0.14, 0.075, 0), (1, 0.10, 0.05, 0)], "chest",
                girth=self.size, cap=0.03,
            )  # fmt: skip
            return [self.solid("bag", [pack], 0.014, crumple=0.003)]
        if self.outfit.bag == "shoulder bag":
            side = 0.165 * self.pelvis / self.size + 0.07
            pouch = self.loft(
                self.at("pelvis", 0.0, -side, -0.14), self.at("pelvis", 0.0, -side + 0.01, 0.09),
                [(0, 0.050, 0.145, 0), (0.6, 0.045, 0.14, 0), (1, 0.025, 0.13, 0)], "pelvis", girth=self.size,
            )  # fmt: skip
            return [self.solid("bag", [pouch], 0.014, crumple=0.003)]
        return []
