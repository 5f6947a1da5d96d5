"""Calibration: thresholds that keep strangers out as often as they say, and the file they go into."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gaitkeeper import models
from gaitkeeper.gallery.decision.calibration import load_calibrations, shipped_calibrations
from gaitkeeper.gallery.decision.units import units_of
from gaitkeeper.models.distance import part_distances
from gaitkeeper.pipelines.fingerprint import fingerprint_of
from gaitkeeper.service.cli import app
from gaitkeeper.training.calibrate import STRICTER, calibrate, calibrate_embedded
from gaitkeeper.training.datasets import Dataset, open_dataset
from gaitkeeper.training.errors import BadDataset
from gaitkeeper.training.evaluation.embedding import embed_dataset
from gaitkeeper.training.walkers.pack import render_set
from gaitkeeper.training.walkers.sets import Size


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people with four templates and five probes each, six strangers with ten."""
    path = tmp_path_factory.mktemp("pack") / "xl.npz"
    render_set("walkers-xl", Path("none"), path, size=Size(people=12, takes=0, frames=16))
    return path


@pytest.fixture(scope="module")
def net() -> models.GaitNetwork:
    return models.build("gaitpart", seed=0, channels=(4, 8, 16), embed_dim=8).eval()


def test_strangers_pass_as_often_as_the_threshold_says(pack: Path, net: models.GaitNetwork) -> None:
    walks = open_dataset("walkers", pack)
    found = calibrate(net, walks, "eyes/1", sizes=(1, 3, 6, 1000), rates=(0.2, 0.05))
    assert found.fingerprint == fingerprint_of(net, "eyes/1")
    assert [t.fpir for t in found.thresholds] == [0.2, 0.05]
    assert all(t.gallery_sizes == (4, 12, 24) for t in found.thresholds), "nobody fills a gallery of 1,000"
    embedded = embed_dataset(net, walks)
    takes = np.array([s.take for s in embedded.samples])
    enrolled = np.char.startswith(takes, "enrol")
    strangers = np.char.startswith(embedded.subjects, "stranger-")
    names, embeddings = embedded.subjects[enrolled], embedded.embeddings[enrolled]
    cohort = {str(name): embeddings[names == name] for name in np.unique(names)}
    probes = embedded.embeddings[strangers]
    apart = part_distances(probes, embeddings).numpy()
    nearest = apart.argmin(1)
    assert len(nearest) == 60
    prior = found.thresholds[0].distances[-1]
    assert (apart.min(1) <= prior).sum() <= 0.2 / STRICTER * 60, "the prior is ten times as strict"
    units = units_of(probes, list(embeddings[nearest]), list(names[nearest]), cohort)
    shares = apart.min(1) / [unit.length for unit in units if unit is not None]
    assert found.collection is not None and found.collection.thresholds[0].gallery_sizes == (3, 6)
    for table, most in zip(found.collection.thresholds, (12, 3), strict=True):
        assert most - 1 <= (shares <= table.distances[1]).sum() <= most
        assert table.distances[0] >= table.distances[1]
    confidence = found.collection.confidence.confidences
    assert confidence[0] > confidence[-1]
    verification = found.collection.verification
    assert verification is not None and verification.fmrs == (0.05, 0.2)
    assert verification.distances[1] >= found.collection.thresholds[0].distances[1], "one claim, not the nearest of six"
    apart = (probes[:, None] - embeddings).norm(dim=-1).flatten(0, 1)
    assert found.parts is not None and found.parts.pairs == len(apart)
    medians = [part[len(part) // 2] for part in found.parts.quantiles]
    assert medians == pytest.approx(apart.median(dim=0).values.tolist(), rel=0.01)


def test_passers_by_are_measured_where_views_are_azimuths(net: models.GaitNetwork) -> None:
    rng = np.random.default_rng(0)
    names, takes, views, embeddings = [], [], [], []
    for i in range(40):
        person, known = torch.randn(4, 8, generator=torch.Generator().manual_seed(i)), i % 2 == 0
        name = f"{'known' if known else 'stranger'}-{i:02}"
        for take in [f"enrol{k}" for k in range(4)] * known + [f"probe{k}" for k in range(8)]:
            names.append(name)
            takes.append(take)
            views.append(f"{90 * int(rng.integers(4)):03}")
            embeddings.append(person + 0.5 * torch.from_numpy(rng.normal(size=(4, 8))).float())
    data = [np.array(column) for column in (names, views, takes)]
    stacked, print_ = torch.stack(embeddings), "gei:none:1:eyes/1"
    found = calibrate_embedded(stacked, *data, print_, sizes=(1, 3, 20), rates=(0.1,))
    assert found.camera is not None and found.collection is not None
    assert found.camera.thresholds[0].gallery_sizes == (1, 3, 20), "passers-by do for one subject, too"
    strict = calibrate_embedded(stacked, *data, print_, sizes=(1, 3, 20), rates=(0.1,), strictness=0.8)
    assert strict.strictness == 0.8 and strict.camera is not None
    assert strict.camera.thresholds[0].distances == pytest.approx(
        [0.8 * d for d in found.camera.thresholds[0].distances]
    )
    assert strict.thresholds == found.thresholds, "the prior is strict by itself"
    looser = calibrate_embedded(
        stacked, *data, print_, sizes=(1, 3, 20), rates=(0.1,), strictness=0.8, camera_strictness=0.9
    )
    assert looser.camera is not None and looser.collection == strict.collection
    assert looser.camera.thresholds[0].distances == pytest.approx(
        [0.9 * d for d in found.camera.thresholds[0].distances]
    )
    assert looser.camera.verification == strict.camera.verification, "one-to-one comparison is as strict as before"
    data[1] = np.array(["door"] * len(names))
    assert calibrate_embedded(stacked, *data, print_, sizes=(3, 20), rates=(0.1,)).camera is None


def test_too_few_strangers_are_no_calibration(pack: Path, net: models.GaitNetwork) -> None:
    walks = open_dataset("walkers", pack)
    known = Dataset("known", tuple(s for s in walks if s.subject.startswith("known-")))
    for some, rates in ((walks, (0.01,)), (known, (0.2,))):
        with pytest.raises(BadDataset, match="of strangers"):
            calibrate(net, some, "eyes/1", rates=rates)


def test_the_command_adds_and_replaces_entries(
    pack: Path, net: models.GaitNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaitkeeper.training.calibrate.RATES", (0.2, 0.05))
    out, weights = tmp_path / "calibration.json", tmp_path / "net.safetensors"
    models.save(net, weights)
    runner = CliRunner()
    for perception in ("eyes/1", "eyes/2", "eyes/1"):
        result = runner.invoke(app, ["calibrate", str(weights), str(pack), str(out), "--perception", perception])
        assert result.exit_code == 0, result.output
    assert [f.perception for f in load_calibrations(out)] == ["eyes/1", "eyes/2"]
    assert len(json.loads(out.read_text())["calibrations"]) == 2
    assert all(found.collection is not None for found in load_calibrations(out).values())
    command = ["calibrate", str(weights), str(pack), str(out), "--perception", "eyes/2", "--prior-only"]
    assert runner.invoke(app, command).exit_code == 0
    assert [found.collection is None for found in load_calibrations(out).values()] == [False, True]


def test_a_network_whose_units_fail_on_real_people_ships_the_prior_alone() -> None:
    """In units JointsGait named nine in ten real strangers of KTH; the prior names none."""
    calibration = shipped_calibrations()[fingerprint_of(models.load("jointsgait"), "blazepose-full/1")]
    assert (calibration.collection, calibration.camera) == (None, None)
    assert calibration.thresholds


def test_the_shipped_calibration_is_of_the_shipped_weights() -> None:
    net = models.load("gaitpart")
    calibration = shipped_calibrations()[fingerprint_of(net, "blazepose-full/1")]
    assert [t.fpir for t in calibration.thresholds] == [0.01, 0.001]
    for units in (calibration.collection, calibration.camera):
        assert units is not None and units.verification is not None
        assert [t.fpir for t in units.thresholds] == [0.01, 0.001]
