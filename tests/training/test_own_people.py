"""Calibration on an operator's own people: what few people can show, and the way from their clips to verdicts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gaitkeeper import models
from gaitkeeper.gallery.decision.calibration import load_calibrations
from gaitkeeper.service.cli import app
from gaitkeeper.training.errors import BadDataset
from gaitkeeper.training.own_people import LEAST_PEOPLE, fit

PRINT = "own:0123456789abcdef:1:eyes/1"


def people(count: int, walks: int, spread: float, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Walks of people whose embeddings lie apart from each other by more the smaller ``spread`` is."""
    made = torch.Generator().manual_seed(seed)
    centres = torch.randn(count, 1, 4, 8, generator=made)
    around = spread * torch.randn(count, walks, 4, 8, generator=made)
    return (centres + around).flatten(0, 1), np.repeat([f"p{i}" for i in range(count)], walks)


def test_18_the_thresholds_lie_between_own_and_other_walks() -> None:
    embeddings, subjects = people(10, 4, spread=0.2)
    found, shown = fit(embeddings, subjects, PRINT)
    assert found.collection is not None and found.camera is None
    sizes = found.collection.thresholds[0].gallery_sizes
    assert sizes[-1] == 8 and found.thresholds[0].gallery_sizes[-1] == 32, "two of ten are strangers in a draw"
    limit = found.collection.thresholds[0].distances[-1]
    assert 0.3 < limit < 1.0
    assert found.collection.verification is not None and found.verification is not None
    assert [one.people_named for one in shown] == [0, 0]
    # No stranger of ten was named: that only shows that at most a quarter are.
    assert shown[0].people == 10 and shown[0].walks == 40
    assert shown[0].at_most == pytest.approx(1 - 0.05**0.1, abs=1e-6)


def test_18_people_who_cannot_be_told_apart_are_told_of() -> None:
    embeddings, subjects = people(8, 3, spread=5.0)
    _, shown = fit(embeddings, subjects, PRINT, rates=(0.2,))
    assert shown[0].people_named >= 1 and shown[0].at_most > 0.4


def test_18_too_few_people_are_refused_with_their_number() -> None:
    for count, walks in ((LEAST_PEOPLE - 1, 4), (LEAST_PEOPLE, 1)):
        embeddings, subjects = people(count, walks, spread=0.2)
        with pytest.raises(BadDataset, match=f"{count} people with usable clips"):
            fit(embeddings, subjects, PRINT)


def test_18_an_own_network_gets_a_verdict_from_the_operators_clips(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, folder, file = tmp_path / "own.safetensors", tmp_path / "people", tmp_path / "own.json"
    models.save(models.build("gaitpart", seed=0, channels=(4, 8, 16), embed_dim=8).eval(), weights)
    for i in range(LEAST_PEOPLE):
        (folder / f"p{i}").mkdir(parents=True)
        for walk in (1, 2):
            shutil.copy(clips / f"person-{i + 1}-walk-{walk}.mp4", folder / f"p{i}" / f"{walk}.mp4")
    (folder / "p0" / "3.mp4").write_bytes(b"no clip")

    def run(*args: object) -> str:
        result = CliRunner().invoke(app, list(map(str, args)))
        assert result.exit_code == 0, result.output
        return result.output

    told = run("calibrate", weights, "--clips", folder, "--out", file)
    assert "p0/3.mp4 is not used" in told and f"of {LEAST_PEOPLE} people" in told and "(95 %)" in told
    [found] = load_calibrations(file).values()
    assert found.fingerprint.network == "gaitpart" and found.fingerprint.perception == "blazepose-full/1"

    store = ("--store", f"sqlite:///{tmp_path}/gallery.db")
    monkeypatch.delenv("GAITKEEPER_CALIBRATION", raising=False)

    def verdict() -> tuple[str, str | None, str | None]:
        answer = json.loads(run("identify", folder / "p1/1.mp4", "--network", weights, *store, "--json"))
        person = answer["people"][0]
        return person["verdict"], person["reason"], person["threshold"]["source"]

    for i in range(4):
        run("enroll", folder / f"p{i}/1.mp4", "-s", f"p{i}", "--network", weights, *store)
    assert verdict() == ("inconclusive", "uncalibrated", None)
    monkeypatch.setenv("GAITKEEPER_CALIBRATION", str(file))
    assert verdict() == ("match", None, "calibration")
