"""Real bodies, rendered: with the extra ``bodies`` and MakeHuman's clothes (GAITKEEPER_ASSETS or ../shared/assets)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("numba", reason="the extra 'bodies' is not installed")
pytest.importorskip("anny", reason="the extra 'bodies' is not installed")

from gaitkeeper.training.bodies import pack as bodies_pack
from gaitkeeper.training.bodies.assets import VARIABLE
from gaitkeeper.training.bodies.garment import read_garment
from gaitkeeper.training.bodies.mesh import Mesh
from gaitkeeper.training.bodies.model import BodyModel, body_model
from gaitkeeper.training.bodies.pack import render_set, see
from gaitkeeper.training.bodies.physique import draw_physique, mass, tall
from gaitkeeper.training.bodies.population import OUTFITS, SETS, Size, Someone
from gaitkeeper.training.bodies.render import Dressed, render
from gaitkeeper.training.bodies.wardrobe import CELL, Wardrobe
from gaitkeeper.training.datasets import open_dataset
from gaitkeeper.training.errors import BadAsset, BadDataset
from gaitkeeper.training.walkers.gait import rest_joints
from gaitkeeper.training.walkers.gait_cycle import walk_cycle
from gaitkeeper.training.walkers.gait_model import GaitModel
from gaitkeeper.training.walkers.person import Person
from gaitkeeper.training.walkers.silhouettes import Seen
from gaitkeeper.training.walkers.skeleton import COCO17
from gaitkeeper.training.walkers.views import fixed_views

ASSETS = Path(os.environ.get(VARIABLE, Path(__file__).parents[3] / "shared" / "assets"))
pytestmark = pytest.mark.skipif(not ASSETS.is_dir(), reason=f"no clothes in {ASSETS}")
KINECT = Path("none")


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return body_model()


@pytest.fixture(scope="module")
def wardrobe(model: BodyModel) -> Wardrobe:
    return Wardrobe(model, ASSETS)


@pytest.fixture(scope="module")
def someone(model: BodyModel) -> Someone:
    actor = SETS["bodies-xl"].actors(KINECT, 5, Size(2))[1]
    return Someone.of(model, actor, 5)


def test_people_have_the_stature_of_their_gait_and_weigh_what_people_weigh(model: BodyModel) -> None:
    rng = np.random.default_rng(0)
    found = [draw_physique(model, stature, rng) for stature in np.linspace(1.55, 1.90, 12)]
    for (physique, body), stature in zip(found, np.linspace(1.55, 1.90, 12), strict=True):
        assert physique.stature == pytest.approx(stature, abs=0.02)
        assert tall(body.points) == pytest.approx(physique.stature)
        assert 17 < physique.bmi < 42
        assert 18 <= physique.years <= 75
    assert 22 < np.median([p.bmi for p, _ in found]) < 29
    assert np.ptp([mass(model, body.points) for _, body in found]) > 20
    vectors = np.stack([p.vector() for p, _ in found])
    assert vectors.dtype == np.float32 and np.abs(vectors).max() < 8


def test_a_garment_follows_the_body(model: BodyModel) -> None:
    path = ASSETS / "makehuman/base/clothes/shoes01/shoes01.mhclo"
    shoes = read_garment(path, model, CELL)
    small, large = (draw_physique(model, h, np.random.default_rng(1))[1] for h in (1.55, 1.9))
    for body in (small, large):
        sole, foot = shoes.on(body)[:, 2].min(), body.points[:13_380, 2].min()
        assert -0.06 < sole - foot < 0.02  # soles lie a little below the feet
    assert np.ptp(shoes.on(large)[:, 0]) > 1.08 * np.ptp(shoes.on(small)[:, 0])


def test_a_file_that_ties_nothing_is_refused(model: BodyModel, tmp_path: Path) -> None:
    (tmp_path / "rag.mhclo").write_text("name rag\nverts 0\n")
    with pytest.raises(BadAsset, match="fits no vertices"):
        read_garment(tmp_path / "rag.mhclo", model, CELL)


def _seen(model: BodyModel, who: Someone, mesh: Mesh, azimuth: float) -> Seen:
    rng = np.random.default_rng(2)
    cycle = who.actor.walk(GaitModel.load(), rng)
    joints = walk_cycle(cycle, torch.arange(16, dtype=torch.float64) / 15).numpy()
    rest = rest_joints(replace(Person(), build=cycle.build)).numpy()
    return render(model, Dressed.of(model, who.body, mesh), joints, rest, fixed_views((azimuth,)))


def test_fewer_triangles_make_the_same_picture(model: BodyModel, wardrobe: Wardrobe, someone: Someone) -> None:
    every = Wardrobe(model, ASSETS, cell=1e-6)
    for outfit, azimuth in zip(someone.outfits, (0.0, 90.0, 150.0, 210.0), strict=True):
        meshes = [own.dress(someone.body, outfit, someone.hair) for own in (wardrobe, every)]
        assert len(meshes[0].triangles) < 0.6 * len(meshes[1].triangles)
        meshes[1] = replace(meshes[1], closed=0)  # both sides of every triangle
        a, b = (_seen(model, someone, mesh, azimuth).silhouettes.numpy() > 0 for mesh in meshes)
        assert (a & b).sum() / (a | b).sum() > 0.985


def test_joints_lie_in_the_silhouette(model: BodyModel, wardrobe: Wardrobe, someone: Someone) -> None:
    mesh = wardrobe.dress(someone.body, someone.outfits[0], someone.hair)
    for azimuth in (0.0, 90.0):
        seen = _seen(model, someone, mesh, azimuth)
        joints, boxes = seen.joints[0].numpy(), seen.boxes[0].numpy()
        unit = (boxes[:, 3] - boxes[:, 1]) / 64
        rows = ((joints[..., 1] - boxes[:, None, 1]) / unit[:, None] - 0.5).round().astype(int)
        assert (rows >= 0).all() and (rows < 64).all()
        names = list(COCO17)
        order = [names.index(f"left_{part}") for part in ("eye", "shoulder", "hip", "knee", "ankle")]
        assert (np.diff(rows[:, order], axis=1) > 0).all()
        solid = seen.silhouettes[0].numpy() > 0
        for name in ("left_shoulder", "right_hip", "left_knee", "right_ankle"):
            filled = solid[np.arange(16), rows[:, names.index(name)]].any(1)
            assert filled.all()
        assert 0.08 < solid.mean() < 0.4


def test_what_is_worn_and_carried_is_seen(model: BodyModel, wardrobe: Wardrobe, someone: Someone) -> None:
    from gaitkeeper.training.bodies.outfit import Carried, Outer

    plain = replace(someone.outfits[0], suit=None, outer=None, skirt=0.0, hat=None, scarf=0.0)
    coat = replace(plain, outer=Outer(ease=0.05, sleeve=0.03, hem=0.6, flare=0.02, collar=0.03, hood=1.0))
    backpack = Carried("backpack", 1, (0.1, 0.15, 0.2), 0.0)

    def area(mesh: Mesh) -> float:
        return float((_seen(model, someone, mesh, 90.0).silhouettes > 0).float().mean())

    bare = area(wardrobe.dress(someone.body, plain, someone.hair))
    assert area(wardrobe.dress(someone.body, coat, someone.hair)) > 1.08 * bare
    assert area(wardrobe.dress(someone.body, plain, someone.hair, backpack)) > 1.06 * bare


def test_the_usual_outfit_is_worn_as_often_as_asked(model: BodyModel, someone: Someone) -> None:
    size = Size(1, takes=20, frames=16, outfit_share=0.7)
    takes = list(SETS["train"].takes(someone, np.random.default_rng(0), size))
    assert sum(take.outfit == 0 for take in takes) == 14
    assert {take.outfit for take in takes} == set(range(OUTFITS))
    assert all(take.worn == someone.outfits[take.outfit] for take in takes)
    assert {take.condition for take in takes} == {"nm", "bg", "cl"}
    assert all((take.carried is not None) == (take.condition == "bg") for take in takes)


def test_the_same_seed_makes_the_same_pack_and_a_stopped_one_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bodies_pack, "PART", 1)
    size = Size(2, frames=15, rate=15)

    def made(name: str, seed: int = 7) -> str:
        return render_set("bodies-xl", KINECT, tmp_path / name, assets=ASSETS, size=size, seed=seed)

    first = made("a.npz")
    assert not (tmp_path / "a.npz.parts").exists()

    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        render_set("bodies-xl", KINECT, tmp_path / "b.npz", assets=ASSETS, size=size, seed=7, on_progress=stop)
    assert [p.name for p in (tmp_path / "b.npz.parts").glob("*.npz")] == ["00000.npz"]
    with pytest.raises(BadDataset, match="another set"):
        made("b.npz", seed=8)
    assert made("b.npz") == first
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()

    dataset = open_dataset("walkers", tmp_path / "a.npz")
    outfit = [int(sample.outfit) for sample in dataset]
    build = np.array([sample.build for sample in dataset])
    assert len(outfit) == len(build) == len(dataset)
    assert (build == build[0]).all(1).sum() == sum(s.subject == dataset[0].subject for s in dataset)
    assert all((number >= OUTFITS) == (s.condition == "cl") for number, s in zip(outfit, dataset, strict=True))
    assert dataset[0].load().timestamps[1] == pytest.approx(2 / 30)


def test_without_noise_the_truth_is_seen(model: BodyModel, wardrobe: Wardrobe, someone: Someone) -> None:
    take = next(SETS["train"].takes(someone, np.random.default_rng(1), Size(1, takes=2)))
    a, b = (see(model, wardrobe, someone, take, 8) for _ in range(2))
    assert torch.equal(a.silhouettes, b.silhouettes)
    assert (a.joints[..., 2] == 1).all()
    noisy = see(model, wardrobe, someone, take, 8, 1, np.random.default_rng(0))
    assert not torch.equal(a.silhouettes, noisy.silhouettes)
