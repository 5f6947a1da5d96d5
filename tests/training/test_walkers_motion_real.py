"""Motion of the walkers on the real Kinect walks, where they are at hand."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gaitkeeper.training.datasets import Dataset, open_dataset
from gaitkeeper.training.datasets.partition import load_partition
from gaitkeeper.training.errors import NoClearGait
from gaitkeeper.training.walkers.cli import app
from gaitkeeper.training.walkers.gait_cycle import CURVES, GaitCycle
from gaitkeeper.training.walkers.gait_model import GaitModel
from gaitkeeper.training.walkers.kinect_motion import Measured, cycle_of, kinect_build, measure, motion


@pytest.fixture(scope="module")
def tested(shared_data: Path) -> Dataset:
    dataset = open_dataset("kinect", shared_data / "kinect-gait")
    people = load_partition("kinect_75_15_50").of(dataset, "test")
    return people.of(people.subjects[:20])


@pytest.fixture(scope="module")
def measured(tested: Dataset) -> list[tuple[str, Measured]]:
    found = []
    for sample in tested:
        joints = sample.load().joints
        assert joints is not None
        with suppress(NoClearGait):
            found.append((sample.subject, measure(joints)))
    return found


def test_the_shipped_model_is_fitted_again(shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.npz"
    result = CliRunner().invoke(app, ["fit-model", str(shared_data / "kinect-gait"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "75 people" in result.output
    again, shipped = GaitModel.load(out), GaitModel.load()
    assert again.people == shipped.people
    for name in ("mean", "scale", "between"):
        np.testing.assert_allclose(getattr(again, name), getattr(shipped, name), rtol=1e-3, atol=1e-5)
    # Components may turn within near-equal spreads on another machine; what they span may not.
    overlap = np.linalg.svd(again.components @ shipped.components.T, compute_uv=False)
    np.testing.assert_allclose(overlap, 1, atol=1e-3)


def test_nearly_every_walk_of_twenty_people_has_a_cycle_that_a_body_can_walk(
    measured: list[tuple[str, Measured]], tested: Dataset
) -> None:
    assert len(measured) >= len(tested) - 1
    assert {name for name, _ in measured} == set(tested.subjects)
    for _, walk in measured:
        cycle: GaitCycle = cycle_of(walk)
        assert walk.cycles >= 3
        assert cycle.joints.isfinite().all()
        assert cycle.joints[..., 2].min() > -1e-3
        assert 0.55 < cycle.stride / cycle.build.stature < 0.93
        assert 0.9 < cycle.seconds < 1.7


def test_bones_of_one_person_agree_between_walks(measured: list[tuple[str, Measured]]) -> None:
    people = sorted({name for name, _ in measured})
    statures = [[kinect_build([w]).stature for n, w in measured if n == name] for name in people]
    within = np.sqrt(np.mean([np.var(s, ddof=1) for s in statures if len(s) > 1]))
    assert within < 0.5 * np.std([np.mean(s) for s in statures])


def test_motion_alone_tells_people_apart(measured: list[tuple[str, Measured]]) -> None:
    names = np.array([name for name, _ in measured])
    curves = [[*np.concatenate([motion(w).curves[c] for c in CURVES]), np.log(w.seconds)] for _, w in measured]
    vectors = np.array(curves)
    scale = GaitModel.load().scale[: vectors.shape[1]]  # of other people
    apart = np.linalg.norm((vectors[:, None] - vectors) / scale, axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (names[apart.argmin(1)] == names).mean() > 0.85  # chance: 0.05
