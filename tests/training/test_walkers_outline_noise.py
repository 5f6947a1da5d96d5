"""A person model's mistakes, and the sheets that hold rendered silhouettes against real ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gaitkeeper.training.walkers.cli import app
from gaitkeeper.training.walkers.perception_noise import perceive, roughen
from gaitkeeper.training.walkers.sheet import Comparison

TORSO = 100.0


@pytest.fixture(scope="module")
def truth() -> torch.Tensor:
    joints = torch.rand(1, 1, 17, 3, generator=torch.Generator().manual_seed(0)).repeat(200, 30, 1, 1) * 50
    joints[:, :, 5:7, :2] = torch.tensor([0.0, 0.0])
    joints[:, :, 11:13, :2] = torch.tensor([0.0, TORSO])
    return joints


def test_errors_are_as_large_and_as_steady_as_measured(truth: torch.Tensor) -> None:
    seen = perceive(truth, torch.zeros(200, 30), np.random.default_rng(0))
    error = (seen - truth)[..., :2] / TORSO
    for joint, across, along, likeness in ((0, 0.044, 0.039, 0.92), (5, 0.062, 0.034, 0.66), (9, 0.105, 0.080, 0.60)):
        assert error[:, :, joint].std((0, 1)).tolist() == pytest.approx([across, along], rel=0.15)
        x = error[:, :, joint, 0]
        assert float((x[:, 1:] * x[:, :-1]).mean() / x.square().mean()) == pytest.approx(likeness, abs=0.06)
    assert float(error[:, :, 11:13, 1].mean()) == pytest.approx(0.136, abs=0.01)


def test_legs_are_crossed_now_and_then_and_for_a_while(truth: torch.Tensor) -> None:
    joints = truth.clone()
    joints[:, :, 13, 0], joints[:, :, 14, 0] = -200.0, 200.0
    seen = perceive(joints, torch.zeros(200, 30), np.random.default_rng(1))
    crossed = seen[:, :, 13, 0] > 0
    assert float(crossed.float().mean()) == pytest.approx(0.033, abs=0.015)
    assert torch.equal(crossed, seen[:, :, 14, 0] < 0)
    spells = (crossed[:, 1:] & ~crossed[:, :-1]).sum() + crossed[:, 0].sum()
    assert float(crossed.sum() / spells) > 1.4


def test_the_far_arm_is_scored_lower(truth: torch.Tensor) -> None:
    seen = perceive(truth, torch.ones(200, 30), np.random.default_rng(2))
    left, right = seen[:, :, 7, 2], seen[:, :, 8, 2]
    assert float(left.median()) == pytest.approx(0.18, abs=0.08)
    assert float(right.median()) == pytest.approx(0.987, abs=0.02)
    assert float(seen[..., 2].min()) >= 0 and float(seen[..., 2].max()) <= 1


def test_outlines_wobble_but_islands_and_holes_never_come() -> None:
    share = torch.zeros(24, 64, 80)
    share[:, 8:56, 20:60] = 1.0
    share[:, 8:56, 20] = share[:, 8:56, 59] = 0.5
    rough = roughen(share, np.random.default_rng(0)) > 0.5
    assert rough[:, 9:55, 21:59].all()
    assert not rough[:, :8].any() and not rough[:, :, :20].any()
    edge = rough[:, 8:56, 20].float()
    assert 0.2 < float(edge.mean()) < 0.8
    assert float((edge[:, 1:] == edge[:, :-1]).float().mean()) > 0.75


def test_a_comparison_has_the_figures_of_both() -> None:
    real = np.zeros((3, 64, 64), np.uint8)
    made = real.copy()
    real[:, :, 24:40], made[:, :, 26:38] = 255, 255
    found = Comparison("nm", "90-0", real, made).figures()
    assert found["real"]["area"] == [0.25, 0.0] and found["made"]["area"] == [0.1875, 0.0]
    assert found["width_difference"] == 4.0 and found["made"]["width"] == [12.0] * 64


def test_without_real_people_there_is_no_sheet(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["sheet", "--real", str(tmp_path), str(tmp_path / "out")])
    assert getattr(result.exception, "code", None) == "bad_dataset"
    assert not (tmp_path / "out").exists()


def test_rendered_people_are_like_real_ones(shared_data: Path, tmp_path: Path) -> None:
    archive = shared_data / "psymo" / "psymo-ids-0-4.tar.xz"
    result = CliRunner().invoke(app, ["sheet", "--real", str(archive), str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {"nm.png", "bg.png", "cl.png", "figures.json"}
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert len(figures) == 18
    for view in ("45-0", "45-1", "90-0", "90-1"):
        for condition in ("nm", "bg", "cl"):
            pair = figures[f"{condition} {view}"]
            assert pair["made"]["area"][0] == pytest.approx(pair["real"]["area"][0], rel=0.08)
            assert pair["width_difference"] < 2.2
