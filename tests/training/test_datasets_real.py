"""Readers on real data, where it is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gaitkeeper.training.datasets import Dataset, open_dataset


@pytest.fixture(scope="module")
def psymo(shared_data: Path) -> Dataset:
    return open_dataset("psymo", next((shared_data / "psymo").glob("*.tar.xz")))


def test_psymo_has_five_people_six_directions_and_eight_walks_each(psymo: Dataset) -> None:
    assert len(psymo) == 5 * 6 * 8
    assert len(psymo.subjects) == 5
    assert psymo.views == ("00-0", "00-1", "45-0", "45-1", "90-0", "90-1")


def test_joints_of_psymo_belong_to_their_silhouettes(psymo: Dataset) -> None:
    """From the side, ankles are apart where the silhouette's legs are, also where there are fewer silhouettes."""
    fewer = 0
    for sample in psymo.where(lambda s: s.view.startswith("90") and s.condition == "nm"):
        walk = sample.load()
        assert walk.silhouettes is not None and walk.joints is not None
        fewer += len(walk) < 60
        seen = (walk.joints[:, [0, 15, 16], 2] > 0.3).all(axis=1)
        assert seen.sum() > 25
        legs = (walk.silhouettes[seen, 48:] > 0).any(axis=1).sum(axis=1)
        joints = walk.joints[seen]
        spread = np.abs(joints[:, 15, 0] - joints[:, 16, 0]) / (joints[:, 15:17, 1].max(axis=1) - joints[:, 0, 1])
        assert np.corrcoef(legs, spread)[0, 1] > 0.6, sample.key
    assert fewer > 5


def test_kinect_text_equals_its_packed_form(shared_data: Path) -> None:
    packed = open_dataset("kinect", shared_data / "kinect-gait")
    assert (len(packed), len(packed.subjects)) == (703, 140)
    for text in open_dataset("kinect", shared_data / "kinect-gait" / "original"):
        twin = packed.where(lambda s, key=text.key: s.key == key)[0].load()
        np.testing.assert_allclose(twin.joints, text.load().joints, atol=1.3e-4)
