"""Parts of real bodies that need no body model: meshes, filling, garments' files, mistakes of masks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gaitkeeper.training.bodies import assets, packages
from gaitkeeper.training.bodies.mesh import join, normals, thin
from gaitkeeper.training.bodies.mistakes import Mistakes, draw_mistakes, spoil
from gaitkeeper.training.bodies.outfit import draw_carried, draw_outfit
from gaitkeeper.training.bodies.solids import blob, tube
from gaitkeeper.training.errors import BadAsset, BodiesMissing
from gaitkeeper.training.walkers.cli import app


def test_thinning_keeps_a_sphere_closed_and_its_size() -> None:
    ball = blob(np.full(3, 0.1), np.ones(3), 0, power=2.0)
    kept, triangles = thin(ball.points, ball.triangles, 0.5)
    assert len(kept) < len(ball.points) / 2
    assert triangles.max() == len(kept) - 1
    sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1)
    _, count = np.unique(sides, axis=0, return_counts=True)
    assert (count >= 2).all()  # no open edge
    assert np.ptp(ball.points[kept], axis=0) == pytest.approx([2, 2, 2], abs=0.25)


def test_solids_look_outward_and_join_in_order() -> None:
    box, rod = blob(np.ones(3), np.array([0.1, 0.2, 0.3]), 3), tube(np.zeros(3), np.ones(3), 0.05, 4)
    out = normals(box.points, box.triangles)
    inner = (np.abs(box.points - 1) < 0.28).all(1)  # the poles are many vertices in one place
    assert ((out * (box.points - 1)).sum(1)[inner] > 0).all()
    both = join([box, rod])
    assert both.closed == len(both.triangles) == len(box.triangles) + len(rod.triangles)
    assert set(both.bones[:, 0]) == {3, 4}
    assert both.triangles.max() == len(both.points) - 1


def test_filling_sets_the_pixels_whose_centres_are_inside() -> None:
    pytest.importorskip("numba")
    from gaitkeeper.training.bodies.kernels import fill_frames

    rng = np.random.default_rng(0)
    seen = rng.uniform(-2, 18, (3, 6, 2)).astype(np.float32)
    triangles = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    pictures = np.zeros((3, 16, 20), np.uint8)
    fill_frames(seen, triangles, 0, np.zeros((3, 2), np.float32), np.ones(3, np.float32), pictures)
    y, x = np.mgrid[0:16, 0:20] + 0.5
    for points, picture in zip(seen, pictures, strict=True):
        inside = np.zeros((16, 20), bool)
        for a, b, c in points[triangles]:
            turns = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
            inside |= (np.min(turns, 0) >= 0) | (np.max(turns, 0) <= 0)
        assert np.array_equal(picture > 0, inside)


def test_a_mask_is_made_fatter_and_thinner_about_its_middle() -> None:
    fine = torch.zeros(2, 128, 160, dtype=torch.uint8)
    fine[:, :, 60:100] = 1
    rng = np.random.default_rng(0)
    wide, narrow = (spoil(fine, Mistakes(fatter=by), rng) for by in (3, -3))
    assert int(narrow[0, 64].sum()) < 40 < int(wide[0, 64].sum())
    for changed in (wide, narrow):  # it fills its picture from head to foot all the same
        assert changed[:, 0].any() and changed[:, -1].any()
        assert float((changed[0].sum(0) * (torch.arange(160) + 0.5)).sum() / changed[0].sum()) == pytest.approx(
            80, abs=1
        )


def test_each_mistake_is_seen_where_it_should_be() -> None:
    fine = torch.zeros(30, 128, 160, dtype=torch.uint8)
    fine[:, :, 60:100] = 1
    combed = spoil(fine, Mistakes(comb=3, field=2), np.random.default_rng(1))
    assert (combed.sum(2) == 40).all()
    left = combed[0].argmax(1)
    assert set(left.tolist()) in ({60, 63}, {57, 60})
    holed = spoil(fine, Mistakes(holes=0.5), np.random.default_rng(1))
    missing = (holed != fine).flatten(1).any(1)
    assert 0 < int(missing.sum()) < 30
    passed = [spoil(fine, Mistakes(post=10), np.random.default_rng(seed)) for seed in range(8)]
    assert all(bool((hidden.flatten(1).sum(1) >= fine.flatten(1).sum(1) / 4).all()) for hidden in passed)
    assert sum(bool((hidden != fine).any()) for hidden in passed) >= 3  # the others passed beside the post
    extent = np.tile(np.array([0, 0, 1, 2], np.float32), (50, 1))
    cut = Mistakes(feet=0.1, cuts=0.5).cut(extent, np.random.default_rng(3))
    assert np.unique(cut[:, 3]).tolist() == pytest.approx([1.8, 2.0])
    assert np.array_equal(spoil(fine, Mistakes(), np.random.default_rng(0)), fine)


def test_draws_are_the_seeds_own() -> None:
    def drawn(seed: int) -> list[object]:
        rng = np.random.default_rng(seed)
        return [draw_outfit(True, rng), draw_carried(rng), draw_mistakes(rng)]

    assert drawn(1) == drawn(1) != drawn(2)
    rng = np.random.default_rng(0)
    outer = [draw_outfit(bool(i % 2), rng).outer is not None for i in range(600)]
    assert 0.43 < np.mean(outer) < 0.57  # half of the everyday outfits have a jacket or coat


def test_the_manifest_names_a_mesh_for_every_garment() -> None:
    files = assets.manifest()["files"]
    folders = {path.rsplit("/", 1)[0] for path in files}
    for folder in folders:
        assert sorted(path.rsplit(".", 1)[1] for path in files if path.startswith(folder + "/")) == ["mhclo", "obj"]
    assert all(len(digest) == 64 for digest in files.values())


def test_assets_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"clothes/sock/sock.mhclo": hashlib.sha256(b"a").hexdigest()}
    monkeypatch.setattr(assets, "manifest", lambda: {"files": files, "source": "http://127.0.0.1:9/none"})
    place = tmp_path / "base" / "clothes" / "sock" / "sock.mhclo"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"a")
    assert assets.garment_path("sock", tmp_path) == place
    monkeypatch.setenv(assets.VARIABLE, str(tmp_path))
    assert assets.garment_path("sock") == place
    place.write_bytes(b"b")
    with pytest.raises(BadAsset, match="sha256"):
        assets.garment_path("sock", tmp_path)
    with pytest.raises(BadAsset, match="no garment"):
        assets.garment_path("hat", tmp_path)
    with pytest.raises(BadAsset, match="clothes"):
        assets.garment_path("sock", tmp_path / "base" / "clothes")
    monkeypatch.delenv(assets.VARIABLE)
    monkeypatch.setenv("GAITKEEPER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BadAsset, match="cannot be fetched"):
        assets.garment_path("sock")


@pytest.mark.parametrize("command", [("bodies", "train", "kinect", "x.npz"), ("clips", "made")])
def test_without_the_extra_the_commands_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, list(command))
    assert isinstance(result.exception, BodiesMissing)
    assert "gaitkeeper-id[bodies]" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_without_clothes_the_command_says_where_they_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("numba")
    pytest.importorskip("anny")
    result = CliRunner().invoke(app, ["clips", str(tmp_path / "made"), "--people=1", f"--assets={tmp_path}"])
    assert isinstance(result.exception, BadAsset)
    assert "has no clothes" in str(result.exception)


def test_a_set_that_is_none_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    pytest.importorskip("anny")
    result = CliRunner().invoke(app, ["bodies", "crowd", str(tmp_path), str(tmp_path / "x.npz")])
    assert result.exit_code == 2
    assert "bodies-xl" in result.output
