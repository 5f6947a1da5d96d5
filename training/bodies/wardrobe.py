"""Dress bodies: helper layers become shirts, trousers and coats, and garments are bound to the body."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.bodies.assets import garment_path
from gaitkeeper.training.bodies.carried import carry
from gaitkeeper.training.bodies.garment import Garment, read_garment
from gaitkeeper.training.bodies.mesh import Mesh, join, normals, thin
from gaitkeeper.training.bodies.model import Body, BodyModel
from gaitkeeper.training.bodies.outfit import Carried, Outer, Outfit
from gaitkeeper.training.bodies.paint import Material
from gaitkeeper.training.bodies.pose import part_of
from gaitkeeper.training.bodies.solids import Measures, blob

Array = npt.NDArray[Any]

CELL = 0.014
"""Cell size of the mesh simplification in metres. A pixel of a silhouette is 27 mm on a person."""
_LEGS = ("thigh", "shank", "foot", "toes")
_ARMS = ("upper_arm", "forearm", "hand")
_PARTING = 0.06
_WAIST = -0.04  # position along the leg


class Wardrobe:
    """Clothes for every body of a model.

    Args:
        model: the body model.
        assets: folder of MakeHuman's clothes; None uses the cache.
        cell: cell size of the mesh simplification in metres.

    Raises:
        BadAsset: a requested garment does not exist.
    """

    def __init__(self, model: BodyModel, assets: Path | None = None, cell: float = CELL) -> None:
        self.model = model
        self.assets = assets
        self.cell = cell
        self._garments: dict[str, Garment] = {}
        parts = [part_of(bone) for bone in model.bones]

        def share(names: tuple[str, ...]) -> Array:
            return np.asarray(model.dense[:, [any(name in part for name in names) for part in parts]].sum(1))

        self._leg, self._arm = share(_LEGS), share(_ARMS)
        self._skins: dict[str | None, tuple[Array, Array]] = {}
        bare = share(("hand", "foot", "toes", "head", "neck"))
        self._trunk_and_limbs = bare < 0.05

    def garment(self, name: str) -> Garment:
        """A garment by name, cached."""
        if name not in self._garments:
            self._garments[name] = read_garment(garment_path(name, self.assets), self.model, self.cell)
        return self._garments[name]

    def dress(self, body: Body, outfit: Outfit, hair: str | None, carried: Carried | None = None) -> Mesh:
        """A body in an outfit, ready to be posed."""
        at = Measures.of(self.model, body)
        fold = _Folds(outfit.seed)
        under = outfit.loose if outfit.suit else outfit.top
        if outfit.suit is not None:
            worn = self.garment(outfit.suit)
            points = worn.on(body)
            out = outfit.loose * (1 + 0.4 * fold(points))
            points = points + normals(points, worn.triangles) * out[:, None].astype(np.float32)
            suit = Mesh(points, worn.bones, worn.weights, worn.triangles).of(self._halves(worn, at.down_leg(points)))
            pieces = [self._skin(body, outfit.suit), suit]
        else:
            pieces = [self._skin(body, None), self._shirt_and_trousers(body, outfit, at, fold)]
        if outfit.skirt:
            skirt = self._skirt(body, outfit.skirt, 0.006, outfit.skirt_flare, at, fold)
            pieces += [piece.of(Material.SKIRT) for piece in skirt]
        if outfit.outer is not None:
            pieces += [piece.of(Material.OUTER) for piece in self._outer(body, outfit.outer, at, fold)]
            under = outfit.outer.ease
        if outfit.scarf:
            pieces.append(self._about_neck(at, outfit.scarf).of(Material.SCARF))
        pieces += self._head(body, outfit, hair)
        pieces.append(self._bound(body, outfit.shoes).of(Material.SHOES))
        if carried is not None:
            bag = carry(self.model, body, carried, at, under, self._strap)
            pieces += [piece.of(Material.BAG) for piece in bag]
        return join(pieces)

    def _bound(self, body: Body, name: str) -> Mesh:
        worn = self.garment(name)
        return Mesh(worn.on(body), worn.bones, worn.weights, worn.triangles)

    def _skin(self, body: Body, suit: str | None) -> Mesh:
        """Skin that is not covered by a suit or, without one, by the layer of tights."""
        if suit not in self._skins:
            kept, triangles = thin(self.model.mean.points, self.model.outside, self.cell)
            hidden = self._trunk_and_limbs if suit is None else self.garment(suit).hidden
            triangles = triangles[~hidden[kept][triangles].all(1)]
            used, places = np.unique(triangles, return_inverse=True)
            self._skins[suit] = (kept[used], places.reshape(-1, 3).astype(np.int32))
        kept, triangles = self._skins[suit]
        bones, weights = self.model.carriers
        return Mesh(body.points[kept], bones[kept], weights[kept], triangles, len(triangles))

    def _layer(self, body: Body, name: str, wanted: Array, ease: Array, materials: Array | None = None) -> list[Mesh]:
        """A helper layer moved outwards along its normals.

        Args:
            body: the body.
            name: "tights", "skirt" or "hair".
            wanted: bool (K,) over the layer's vertices: triangles that touch one of them are kept.
            ease: (K,) distance in metres.
            materials: (K,), skin if None.
        """
        kept, triangles = self._layers[name]
        cut = triangles[wanted[triangles].any(1)]
        if not len(cut):
            return []
        used, places = np.unique(cut, return_inverse=True)
        points = body.points[kept]
        points = (points + normals(points, triangles) * ease[:, None])[used].astype(np.float32)
        bones, weights = (array[kept[used]] for array in self.model.carriers)
        mesh = Mesh(points, bones, weights, places.reshape(-1, 3).astype(np.int32))
        return [mesh if materials is None else mesh.of(materials[used])]

    @cached_property
    def _layers(self) -> dict[str, tuple[Array, Array]]:
        mean = self.model.mean.points
        return {name: thin(mean, self.model.groups[name], self.cell) for name in ("tights", "skirt", "hair")}

    def _shirt_and_trousers(self, body: Body, outfit: Outfit, at: Measures, fold: _Folds) -> Mesh:
        kept = self._layers["tights"][0]
        points, arm = body.points[kept], self._arm[kept] > 0.5
        down = at.down_leg(points)
        legs = outfit.legs + (outfit.cuffs - outfit.legs) * np.clip(down, 0, 1)
        ease = np.where(self._leg[kept] > 0.5, legs, np.where(arm, outfit.sleeve, outfit.top * at.below_neck(points)))
        bare = (arm & (at.down_arm(points) > outfit.sleeve_end)) | (down > outfit.leg_end)
        ease = np.where(bare, 0.001, ease * (1 + 0.3 * fold(points)))
        cloth = np.where(down > _WAIST, np.where(arm, Material.TOP, Material.LEGS), Material.TOP)
        materials = np.where(bare, Material.SKIN, cloth)
        return self._layer(body, "tights", np.ones(len(kept), bool), ease, materials)[0]

    def _halves(self, worn: Garment, down: Array) -> Array:
        """Materials of a suit's vertices: trousers below the waist, except arms."""
        arms = np.array([any(name in part_of(bone) for name in _ARMS) for bone in self.model.bones])
        return np.where((down > _WAIST) & ~arms[worn.bones[:, 0]], Material.LEGS, Material.TOP)

    def _skirt(self, body: Body, length: float, ease: float, flare: float, at: Measures, fold: _Folds) -> list[Mesh]:
        points = body.points[self._layers["skirt"][0]]
        down = at.down_leg(points)
        out = ease + flare * np.clip(down / max(length, 0.1), 0, 1) + 0.006 * fold(points)
        return self._layer(body, "skirt", down < length, out)

    def _outer(self, body: Body, outer: Outer, at: Measures, fold: _Folds) -> list[Mesh]:
        kept = self._layers["tights"][0]
        points, arm = body.points[kept], self._arm[kept] > 0.5
        ease = np.where(arm, outer.sleeve, outer.ease * at.below_neck(points)) * (1 + 0.25 * fold(points))
        # The tights divide into legs a little below the hips: from there a skirt forms the coat.
        pieces = self._layer(body, "tights", arm | (at.down_leg(points) < min(outer.hem, _PARTING)), ease)
        if outer.hem > _PARTING:
            pieces += self._skirt(body, outer.hem, outer.ease - 0.008, outer.flare, at, fold)
        if outer.collar:
            pieces.append(self._about_neck(at, outer.collar))
        if outer.hood:
            size = np.array([0.07, 0.12, 0.08]) * outer.hood
            pieces.append(blob(at.nape + np.array([-0.05, 0.0, 0.0]), size, self.model.bones.index("spine01")))
        return pieces

    def _about_neck(self, at: Measures, thickness: float) -> Mesh:
        size = np.array([at.neck_radius + thickness, at.neck_radius + thickness, 0.05])
        return blob(at.throat, size, self.model.bones.index("neck01"), power=3.0)

    def _head(self, body: Body, outfit: Outfit, hair: str | None) -> list[Mesh]:
        pieces = [self._bound(body, hair).of(Material.HAIR)] if hair is not None else []
        if outfit.hat in ("cap", "hood"):
            high = body.points[self._layers["hair"][0], 2]
            low = float(high.max()) - (0.13 if outfit.hat == "cap" else 0.5)
            ease = np.full(len(high), 0.006 if outfit.hat == "cap" else 0.022)
            pieces += [piece.of(Material.HAT) for piece in self._layer(body, "hair", high > low, ease)]
        elif outfit.hat is not None:
            pieces.append(self._bound(body, outfit.hat).of(Material.HAT))
        return pieces

    def _strap(self, body: Body, across: Callable[[Array], Array], ease: float) -> list[Mesh]:
        """A band of the trunk's surface, outside the clothes."""
        kept = self._layers["tights"][0]
        trunk = (self._arm[kept] < 0.5) & (self._leg[kept] < 0.5)
        return self._layer(body, "tights", across(body.points[kept]) & trunk, np.full(len(kept), ease))


class _Folds:
    """A smooth random function of space with values about [-1, 1]: six waves of 0.25 to 1 m."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._phase = rng.uniform(0, 2 * np.pi, 6)
        self._waves = rng.uniform(6, 25, (6, 3)) * rng.choice((-1, 1), (6, 3))

    def __call__(self, points: Array) -> Array:
        return np.asarray(np.sin(points @ self._waves.T + self._phase).sum(-1) * (1.7 / 6))
