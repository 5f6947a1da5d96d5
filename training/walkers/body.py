"""The dressed body of a skeleton: every part is a solid of lofts and ellipsoids, sized by the person's build.

Girths are those of an average adult of 1.74 m (half breadths and depths after ANSUR II, Gordon et al. 2014), scaled by
stature and bulk; clothes lie on top with the outfit's ease.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gaitkeeper.training.walkers.distance_fields import Ellipsoid, Loft, Primitive, Skirt, Solid
from gaitkeeper.training.walkers.gait import rest_joints
from gaitkeeper.training.walkers.mesh import Body, build_body
from gaitkeeper.training.walkers.noise import Noise
from gaitkeeper.training.walkers.person import Person
from gaitkeeper.training.walkers.skeleton import INDEX

Section = tuple[float, float, float, float]

_SIDES = (("left", 1.0), ("right", -1.0))


def build(person: Person, detail: float = 1.0) -> Body:
    """The person's body, dressed; ``detail`` above 1 makes a finer mesh, below 1 a coarser and faster one."""
    return build_body(solids(person, detail), rest_joints(person), Noise(person.seed % 2**31))


def solids(person: Person, detail: float = 1.0) -> list[Solid]:
    """The parts of a dressed person at rest."""
    tailor = _Tailor(person, detail)
    return [*tailor.head(), *tailor.hands(), *tailor.top(), *tailor.legs(), *tailor.shoes(), *tailor.bag()]


class _Tailor:
    """Builds the parts of one person."""

    def __init__(self, person: Person, detail: float) -> None:
        self.person, self.outfit, self.detail = person, person.outfit, detail
        self.rest = rest_joints(person)
        build = person.build
        self.size = build.stature / 1.74
        self.girth = self.size * build.bulk
        self.chest, self.pelvis = self.girth * build.chest, self.girth * build.pelvis

    def at(self, joint: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Tensor:
        """A point at a joint, moved by metres of the average person."""
        return self.rest[INDEX[joint]] + self.size * torch.tensor([x, y, z])

    def loft(
        self, start: Tensor, end: Tensor, sections: list[Section], bones: str, *,
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

    def solid(
        self, name: str, primitives: list[Primitive], cell: float, *, melt: float = 0.012,
        cuts: tuple[Primitive, ...] = (), crumple: float = 0.0,
    ) -> Solid:  # fmt: skip
        """A solid whose grid step follows the wanted detail."""
        return Solid(name, tuple(primitives), cell / self.detail, melt, cuts, crumple)

    def head(self) -> list[Solid]:
        """Head and neck, with hair or headwear."""
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
        return [self.solid("skin", face, 0.0085, melt=0.007), *self.hair(skull)]

    def hair(self, skull: tuple[float, float, float]) -> list[Solid]:
        """Hair, cap or hood over a skull of these radii."""

        def shell(over: float, up: float) -> Ellipsoid:
            x, y, z = skull
            return self.ball(self.at("head", 0.002, 0, up), (x + over, y + over, z + over), "head")

        style = self.outfit.hair
        if style == "hood":
            hood: list[Primitive] = [
                self.ball(self.at("head", -0.008, 0, 0.075), (0.125, 0.105, 0.132), "head"),
                self.ball(self.at("head", -0.02, 0, -0.03), (0.105, 0.110, 0.105), "neck"),
            ]
            opening = self.ball(self.at("head", 0.135, 0, 0.030), (0.115, 0.078, 0.105), "head")
            return [self.solid("top", hood, 0.011, melt=0.02, cuts=(opening,), crumple=0.003)]
        brow = self.ball(self.at("head", 0.118, 0, 0.030), (0.066, 0.090, 0.088), "head")
        nape = self.ball(self.at("head", 0.05, 0, -0.045), (0.16, 0.20, 0.095), "head")
        hair: list[Primitive] = [shell(0.010, 0.090)]
        if style in ("bob", "bun"):
            hair.append(self.ball(self.at("head", -0.035, 0, 0.02), (0.068, 0.074, 0.085), "head"))
        if style == "bob":
            hair.append(self.ball(self.at("head", -0.022, 0, -0.005), (0.085, 0.098, 0.105), "head"))
        if style == "bun":
            hair.append(self.ball(self.at("head", -0.115, 0, 0.115), (0.036, 0.042, 0.040), "head"))
        cuts = (brow,) if style == "bob" else (brow, nape)
        parts = [self.solid("hair", hair, 0.0095, melt=0.008, cuts=cuts, crumple=0.003)]
        if style == "cap":
            peak = self.ball(self.at("head", 0.105, 0, 0.115), (0.075, 0.070, 0.008), "head", 0.12)
            band = self.ball(self.at("head", 0.05, 0, -0.03), (0.2, 0.2, 0.118), "head")
            parts.append(self.solid("trim", [shell(0.018, 0.094)], 0.010, cuts=(band,)))
            parts.append(self.solid("trim", [peak], 0.006))
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
        ease = self.outfit.ease + {"shirt": 0.006, "hoodie": 0.010, "jacket": 0.012, "coat": 0.016}[kind]
        belly = 0.05 * self.person.build.belly
        drop = {"shirt": -0.09, "hoodie": -0.08, "jacket": -0.11, "coat": -0.50}[kind]
        hips, waist, chest = self.pelvis, (self.pelvis + self.chest) / 2, self.chest
        trunk = self.loft(
            self.at("pelvis", -0.005, z=-0.01), self.at("neck", -0.012, z=-0.035),
            [(0.0, 0.140 * hips, 0.095 * hips, -0.010), (0.35, 0.148 * waist, 0.106 * waist + belly, 0.7 * belly),
             (0.65, 0.158 * chest, 0.118 * chest + 0.4 * belly, 0.3 * belly),
             (0.84, 0.142 * chest, 0.102 * chest, -0.010), (1.0, 0.080 * chest, 0.072 * chest, -0.005)],
            "pelvis>chest", girth=1.0, ease=ease, cap=0.02, ramp=(0.16, 0.60),
        )  # fmt: skip
        long = kind == "coat"
        hem = [(0.0, 0.125, 0.085), (0.35, 0.180, 0.138), (1.0, *((0.218, 0.205) if long else (0.185, 0.152)))]
        skirt = self.hanging(0.09, drop, hem, ease, ramp=(0.1, 0.8) if long else (0.2, 1.0))
        pieces: list[Primitive] = [trunk, skirt]
        for side, s in _SIDES:
            shoulder, elbow, wrist = (self.rest[INDEX[f"{side}_{j}"]] for j in ("shoulder", "elbow", "wrist"))
            slope = self.loft(
                self.at("neck", -0.014, s * 0.02, -0.025), shoulder + torch.tensor([-0.004, 0, 0.006]),
                [(0, 0.058, 0.058, 0), (0.6, 0.040, 0.055, 0), (1, 0.034, 0.048, 0)], "chest",
                girth=chest, ease=0.5 * ease,
            )  # fmt: skip
            sleeve = self.limb(
                shoulder, elbow, elbow + 1.04 * (wrist - elbow),
                [(0, 0.038, 0.048, 0), (0.2, 0.047, 0.055, 0), (0.5, 0.045, 0.050, 0.002), (1, 0.040, 0.043, 0)],
                [(0.3, 0.040, 0.043, 0), (1, 0.030, 0.034, 0)],
                (f"{side}_upper_arm", f"{side}_forearm"), girth=(chest, self.girth), ease=ease, cap=0.030,
            )  # fmt: skip
            pieces += [slope, sleeve]
        parts = [self.solid("top", pieces, 0.016, melt=0.014, crumple=0.004)]
        if kind == "hoodie" and self.outfit.hair != "hood":
            cowl = self.ball(self.at("neck", -0.070, 0, -0.005), (0.072, 0.110, 0.052), "chest", -0.5)
            parts.append(self.solid("top", [cowl], 0.012, crumple=0.003))
        height = {"shirt": 0.030, "hoodie": 0.035, "jacket": 0.050, "coat": 0.055}[kind]
        collar = self.loft(
            self.at("neck", -0.012, z=-0.055), self.at("neck", 0.0, z=height - 0.01),
            [(0, 0.105, 0.090, 0), (0.5, 0.080, 0.082, 0), (1, 0.073, 0.080, 0)], "chest>neck", girth=self.girth,
            ease=0.3 * ease, cap=0.006, ramp=(0.4, 1.5),
        )  # fmt: skip
        return [*parts, self.solid("collar", [collar], 0.011, crumple=0.001)]

    def legs(self) -> list[Solid]:
        """Trousers, or a skirt over bare legs."""
        ease, bare = self.outfit.ease, self.outfit.legwear == "skirt"
        wide = 0.022 if self.outfit.legwear == "wide trousers" else 0.0
        over, below = (0.0, 0.0) if bare else (ease, ease + 0.006 + wide)
        seat = self.loft(
            self.at("pelvis", -0.005, z=0.07), self.at("pelvis", -0.010, z=-0.09),
            [(0, 0.128, 0.092, 0), (0.5, 0.160, 0.114, -0.010), (1, 0.140, 0.104, -0.012)], "pelvis",
            girth=self.pelvis, ease=over, cap=0.03,
        )  # fmt: skip
        # Under a skirt or a long coat the legs begin above the knees, so that hidden parts cannot poke through.
        hidden = bare or self.outfit.top == "coat"
        pieces: list[Primitive] = [] if hidden else [seat]
        thigh: list[Section] = [(0, 0.080, 0.088, -0.008), (0.3, 0.079, 0.087, 0.0), (0.7, 0.063, 0.068, 0.004)]
        knees: list[Section] = [(0.9, 0.056, 0.061, 0.004), (1, 0.054, 0.058, 0.004)]
        calf: list[Section] = [
            *((0.12, 0.052, 0.057, -0.002), (0.32, 0.053, 0.060, -0.013)),
            *((0.62, 0.045, 0.049, -0.009), (1, 0.036, 0.041, -0.002)),
        ]
        for side, s in _SIDES:
            hip, knee, ankle = (self.rest[INDEX[f"{side}_{j}"]] for j in ("hip", "knee", "ankle"))
            leg = self.limb(
                hip + (0.78 if hidden else 0.0) * (knee - hip), knee, ankle + (0.0 if bare else 0.03) * (ankle - knee),
                knees if hidden else [*thigh, *knees], calf, (f"{side}_thigh", f"{side}_shank"),
                girth=(self.pelvis, self.girth), ease=over, ease_end=below, cap=0.010,
            )  # fmt: skip
            pieces.append(leg)
            if not hidden:
                seat_half = (0.085, 0.078, 0.095)
                pieces.append(self.ball(self.at(f"{side}_hip", -0.045, s * -0.005, -0.03), seat_half, f"{side}_thigh"))
        parts = [self.solid("tights" if bare else "legs", pieces, 0.016, melt=0.012, crumple=0.0 if bare else 0.003)]
        if bare and self.outfit.top != "coat":
            skirt = self.hanging(
                0.07, -0.47, [(0, 0.132, 0.096), (0.22, 0.172, 0.128), (1, 0.222, 0.215)], ease, (0.1, 0.6)
            )
            parts.append(self.solid("legs", [skirt], 0.016, crumple=0.004))
        return parts

    def limb(
        self, top: Tensor, joint: Tensor, end: Tensor, upper: list[Section], lower: list[Section],
        bones: tuple[str, str], *, girth: tuple[float, float], ease: float, cap: float, ease_end: float | None = None,
    ) -> Loft:  # fmt: skip
        """A loft for a limb that is straight at rest and bends where its two bones meet.

        Sections are (position on the bone, half breadth, half depth, shift forward).
        """
        at = float((joint - top).norm() / (end - top).norm())
        last = ease if ease_end is None else ease_end
        sections = [(s * at, girth[0] * a + ease, girth[0] * b + ease, x) for s, a, b, x in upper]
        for s, a, b, x in lower:
            loose = ease + s * (last - ease)
            sections.append((at + s * (1 - at), girth[1] * a + loose, girth[1] * b + loose, x))
        return self.loft(top, end, sections, ">".join(bones), girth=1.0, cap=cap, ramp=(at - 0.07, at + 0.07))

    def hanging(
        self, top: float, hem: float, sections: list[tuple[float, float, float]], ease: float, ramp: tuple[float, float]
    ) -> Skirt:
        """Cloth around both legs between two heights relative to the pelvis, pushed by the thighs."""
        return Skirt(
            self.loft(
                self.at("pelvis", -0.005, z=top), self.at("pelvis", -0.005, z=hem),
                [(s, a, b, -0.008) for s, a, b in sections], "pelvis>left_thigh",
                girth=self.pelvis, ease=ease, cap=0.007, ramp=ramp,
            )
        )  # fmt: skip

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
                    [(0, 0.032, 0.032, 0), (0.3, 0.034, 0.036, 0.004), (0.7, 0.045, 0.028, -0.004),
                     (1, 0.034, 0.020, -0.006)],
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
            parts.append(self.solid("shoes", upper, 0.0105, melt=0.008))
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
