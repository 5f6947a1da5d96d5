"""Calibration: thresholds that keep strangers out as often as they say, and the file they go into."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import models
from gallery.calibration import load_calibrations, shipped_calibrations
from models.distance import part_distances
from pipelines.fingerprint import fingerprint_of
from service.cli import app
from training.calibrate import calibrate
from training.datasets import Dataset, open_dataset
from training.datasets.errors import BadDataset
from training.evaluation.embedding import embed_dataset
from training.walkers.pack import render_set
from training.walkers.sets import Size


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
    found = calibrate(net, walks, "eyes/1", sizes=(4, 24, 1000), rates=(0.2, 0.05))
    assert found.fingerprint == fingerprint_of(net, "eyes/1")
    assert [t.fpir for t in found.thresholds] == [0.2, 0.05]
    assert all(t.gallery_sizes == (4, 24) for t in found.thresholds), "nobody fills a gallery of 1,000"
    embedded = embed_dataset(net, walks)
    takes = np.array([s.take for s in embedded.samples])
    enrolled = np.char.startswith(takes, "enrol")
    strangers = np.char.startswith(embedded.subjects, "stranger-")
    apart = part_distances(embedded.embeddings[strangers], embedded.embeddings[enrolled]).numpy()
    nearest = apart.min(1)
    assert len(nearest) == 60
    for table, most in zip(found.thresholds, (12, 3), strict=True):
        passed = int((nearest <= table.distances[1]).sum())
        assert most - 1 <= passed <= most
        assert table.distances[0] >= table.distances[1]
    assert found.thresholds[0].distances[0] > found.thresholds[1].distances[0]
    assert [t.fpir for t in found.centred] == [0.2, 0.05] and found.centred[0].gallery_sizes == (4, 24)
    centred, plain = found.centred[0].distances, found.thresholds[0].distances
    assert centred[0] > centred[1] and all(0.5 < a / b < 1.5 and a != b for a, b in zip(centred, plain, strict=True))
    named = Dataset("named", tuple(replace(sample, view=f"camera {sample.view}") for sample in walks))
    assert calibrate(net, named, "eyes/1", sizes=(4,), rates=(0.2,)).centred == (), "no azimuths, no views"
    people = np.unique(embedded.subjects[enrolled])
    by_person = np.sort([apart[:, embedded.subjects[enrolled] == one].min(1) for one in people], axis=0)
    for table, alone, most in zip(found.relative, found.thresholds, (12, 3), strict=True):
        assert (table.fpir, table.gallery_sizes) == (alone.fpir, (24,)), "one person has no rivals"
        assert table.distances[0] > alone.distances[1], "who is not beside others need not be so near"
        within = (nearest <= table.distances[0]) & (nearest <= table.ratios[0] * by_person[1:5].mean(0))
        assert most - 1 <= within.sum() <= most
    assert [t.fpir for t in found.relative_centred] == [0.2, 0.05]
    assert found.confidence.confidences[0] > found.confidence.confidences[-1]
    apart = (embedded.embeddings[strangers][:, None] - embedded.embeddings[enrolled]).norm(dim=-1).flatten(0, 1)
    assert found.parts is not None and found.parts.pairs == len(apart)
    medians = [part[len(part) // 2] for part in found.parts.quantiles]
    assert medians == pytest.approx(apart.median(dim=0).values.tolist(), rel=0.01)


def test_too_few_strangers_are_no_calibration(pack: Path, net: models.GaitNetwork) -> None:
    walks = open_dataset("walkers", pack)
    known = Dataset("known", tuple(s for s in walks if s.subject.startswith("known-")))
    for some, rates in ((walks, (0.01,)), (known, (0.2,))):
        with pytest.raises(BadDataset, match="of strangers"):
            calibrate(net, some, "eyes/1", rates=rates)


def test_the_command_adds_and_replaces_entries(
    pack: Path, net: models.GaitNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.calibrate.RATES", (0.2, 0.05))
    out, weights = tmp_path / "calibration.json", tmp_path / "net.safetensors"
    models.save(net, weights)
    runner = CliRunner()
    for perception in ("eyes/1", "eyes/2", "eyes/1"):
        result = runner.invoke(app, ["calibrate", str(weights), str(pack), str(out), "--perception", perception])
        assert result.exit_code == 0, result.output
    assert [f.perception for f in load_calibrations(out)] == ["eyes/1", "eyes/2"]
    assert len(json.loads(out.read_text())["calibrations"]) == 2


def test_the_shipped_calibration_is_of_the_shipped_weights() -> None:
    net = models.load("gaitpart")
    calibration = shipped_calibrations()[fingerprint_of(net, "blazepose-full/1")]
    assert [t.fpir for t in calibration.thresholds] == [0.01, 0.001]
    assert calibration.thresholds[0].gallery_sizes == (10, 100, 1000)
    assert calibration.relative[0].gallery_sizes == (100, 1000)
