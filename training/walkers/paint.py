"""Colours of points on a dressed body: cloth, skin, hair, and facial features."""

from __future__ import annotations

import torch
from torch import Tensor

from gaitkeeper.training.walkers.mesh import Body
from gaitkeeper.training.walkers.noise import Noise
from gaitkeeper.training.walkers.person import Colour, Person
from gaitkeeper.training.walkers.skeleton import INDEX


def palette(person: Person) -> dict[str, Colour]:
    """Linear RGB of every material that a body can have."""
    outfit = person.outfit

    def darker(colour: Colour, by: float) -> Colour:
        return (colour[0] * by, colour[1] * by, colour[2] * by)

    return {
        "skin": outfit.skin,
        "hair": outfit.hair_colour,
        "top": outfit.top_colour,
        "collar": darker(outfit.top_colour, 0.8),
        "trim": outfit.trim_colour,
        "legs": outfit.leg_colour,
        "tights": darker(outfit.skin, 0.45),
        "shoes": outfit.shoe_colour,
        "soles": (0.30, 0.29, 0.27) if sum(outfit.shoe_colour) < 0.6 else (0.5, 0.5, 0.48),
        "bag": darker(outfit.trim_colour, 0.5),
    }


class Paint:
    """Colours of one person's body, evaluated at points of the body at rest."""

    def __init__(self, person: Person, body: Body) -> None:
        self.person = person
        device = body.rest.device
        colours = palette(person)
        self._base = torch.tensor([colours[name] for name in body.names], device=device)
        self._material = {name: i for i, name in enumerate(body.names)}
        self._rest = body.rest
        self._size = person.build.stature / 1.74
        self._noise = Noise(person.seed % 2**31 + 1, device)

    def __call__(self, points: Tensor, materials: Tensor, weave: Tensor) -> Tensor:
        """Linear RGB (N, 3) of points (N, 3) at rest, of materials (N,), with the unevenness (N,) of :meth:`weave`."""
        skin = materials == self._material["skin"]
        colour = self._base[materials] * (1 + torch.where(skin, 0.4 * weave, weave))[:, None]
        colour = self._top(colour, points, materials)
        colour[skin] = self._face(colour[skin], points[skin])
        return colour

    def weave(self, points: Tensor) -> Tensor:
        """Relative brightness (N,) of the cloth at points (N, 3) at rest."""
        return 0.05 * self._noise(points * 40.0) + 0.07 * self._noise(points * 11.0)

    def _top(self, colour: Tensor, points: Tensor, materials: Tensor) -> Tensor:
        """Front fastening, pockets, and stripes if the outfit has them."""
        top = materials == self._material["top"]
        pelvis, neck = self._rest[INDEX["pelvis"]], self._rest[INDEX["neck"]]
        trim = torch.tensor(self.person.outfit.trim_colour, device=points.device)
        if self.person.outfit.stripes:
            band = top & ((points[:, 2] / 0.09).floor() % 2 == 0)
            colour = torch.where(band[:, None], 0.35 * colour + 0.65 * trim, colour)
        if self.person.outfit.top != "hoodie":
            zip_ = top & (points[:, 1].abs() < 0.005) & (points[:, 0] > 0) & (points[:, 2] < neck[2])
            colour = torch.where(zip_[:, None], 0.5 * colour + 0.5 * trim, colour)
        across, up = points[:, 1].abs() / self._size, (points[:, 2] - pelvis[2]) / self._size
        slit = (up - 0.02 + (across - 0.10) * 1.2).abs() < 0.005
        pocket = top & slit & (across > 0.07) & (across < 0.13) & (points[:, 0] > 0)
        return torch.where(pocket[:, None], 0.4 * colour, colour)

    def _face(self, colour: Tensor, points: Tensor) -> Tensor:
        """Eyes, brows, lips and nostrils, on the front of the head."""
        p = (points - self._rest[INDEX["head"]]) / self._size
        front, y, z = p[:, 0] > 0.05, p[:, 1], p[:, 2]
        mirrored = y.abs()

        def spot(cy: float, cz: float, ry: float, rz: float) -> Tensor:
            return front & (((mirrored - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 < 1)

        white, dark = colour.new_tensor([0.55, 0.52, 0.50]), colour.new_tensor(self.person.outfit.hair_colour)
        lips = colour * colour.new_tensor([0.80, 0.48, 0.48])
        colour = torch.where(spot(0.031, 0.060, 0.022, 0.014)[:, None], 0.72 * colour, colour)
        colour = torch.where(spot(0.031, 0.059, 0.0145, 0.0065)[:, None], white, colour)
        colour = torch.where(spot(0.031, 0.059, 0.0065, 0.0065)[:, None], 0.6 * dark, colour)
        colour = torch.where(spot(0.032, 0.079, 0.021, 0.0045)[:, None], 0.3 * colour + 0.7 * dark, colour)
        colour = torch.where(spot(0.0, -0.006, 0.024, 0.0075)[:, None], lips, colour)
        return torch.where(spot(0.008, 0.016, 0.006, 0.004)[:, None], 0.4 * colour, colour)
