"""Rendered takes, processed by the project's own perception."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gaitkeeper.pipelines.silhouette import silhouette
from gaitkeeper.training.bodies import pack as bodies_pack
from gaitkeeper.training.bodies import perceived
from gaitkeeper.training.bodies.pack import render_set
from gaitkeeper.training.bodies.perceived import film, perceive_walk
from gaitkeeper.training.bodies.population import OUTFITS, Size
from gaitkeeper.training.bodies.recording import Recording
from gaitkeeper.training.datasets import open_dataset
from gaitkeeper.training.errors import BadDataset
from gaitkeeper.training.walkers.cli import app
from gaitkeeper.training.walkers.views import fixed_views

KINECT = Path("none")


def test_the_perception_follows_a_walker_and_makes_its_own_mistakes(walking, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clear, large picture: the sequence is near the truth, but is not the truth."""
    monkeypatch.setattr(perceived, "TALL", (200.0, 200.1))
    monkeypatch.setattr(perceived, "draw_recording", lambda rng, small, rate: Recording(rate=rate))
    monkeypatch.setattr(perceived, "cluttered", lambda scene, rng: scene)
    rng = np.random.default_rng(4)
    times = np.arange(24) / 15
    args = walking.model, walking.dressed, walking.paint, walking.joints, walking.rest
    filmed = film(*args, fixed_views((90.0,)), rng, 15)
    height, width = filmed.images[0].shape[:2]
    assert len(filmed.images) == 24 and height % 2 == width % 2 == 0
    tall = filmed.boxes[:, 3] - filmed.boxes[:, 1]
    assert tall.mean() == pytest.approx(200, abs=1)
    assert (filmed.boxes >= 0).all() and (filmed.boxes[:, 2:] <= (width, height)).all()

    found = perceive_walk(filmed, times, rng)
    assert len(found) >= 20 and found.perception == "blazepose-full/1"
    at = np.rint(found.timestamps * 15).astype(int)
    truth = np.stack([silhouette(filmed.cover[i]) for i in at]) > 0
    seen = found.silhouettes > 0
    both = (truth & seen).sum((1, 2)) / (truth | seen).sum((1, 2))
    assert 0.75 < np.median(both) < 0.995
    trunk = [0, 5, 6, 11, 12]
    away = np.linalg.norm(found.joints[:, trunk, :2] - filmed.joints[at][:, trunk], axis=2)
    assert np.median(away) < 0.06 * 200
    assert found.joints[..., 2].mean() < 1


def test_the_same_seed_makes_the_same_perceived_pack(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perceived, "TALL", (150.0, 160.0))
    size = Size(1, frames=15, rate=15)

    def made(name: str, **options: bool) -> str:
        return render_set("bodies-xl", KINECT, tmp_path / name, assets=assets, size=size, seed=7, **options)

    takes = bodies_pack.SETS["bodies-xl"].takes
    few = bodies_pack.SETS["bodies-xl"].__class__(
        bodies_pack.SETS["bodies-xl"].actors, lambda who, rng, size: iter(list(takes(who, rng, size))[:3]), 1
    )
    monkeypatch.setitem(bodies_pack.SETS, "bodies-xl", few)
    assert made("a.npz", perceived=True) == made("b.npz", perceived=True)
    walks = open_dataset("walkers", tmp_path / "a.npz")
    assert 2 <= len(walks) <= 3 and all(int(walk.outfit) < OUTFITS for walk in walks)
    loaded = walks[0].load()
    assert loaded.silhouettes.shape[1:] == (64, 64) and set(np.unique(loaded.silhouettes)) == {0, 255}
    assert np.isin(np.rint(loaded.timestamps * 15) / 15, np.arange(15) / 15).all()
    (tmp_path / "c.npz.parts").mkdir()
    (tmp_path / "c.npz.parts" / "set.json").write_text("{}")
    with pytest.raises(BadDataset, match="another set"):
        made("c.npz", perceived=True)


def test_the_command_has_the_option() -> None:
    shown = CliRunner().invoke(app, ["bodies", "--help"], env={"COLUMNS": "200"})
    assert "--perceived" in shown.output
