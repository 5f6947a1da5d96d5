"""The units of docs/scale.md are measured on a clip that somebody walks through; clips a second are not tested here."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from gaitkeeper import models
from gaitkeeper.gallery.networks import DEFAULT_NETWORK
from gaitkeeper.training.walkers import clips
from gaitkeeper.training.walkers.person import draw_people


def test_what_a_clip_and_a_walk_cost_is_measured(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    from bench import hosts

    (person,) = draw_people(1, seed=0)
    clip = clips.write_clip(tmp_path / "clip.mp4", clips.crossing(person, seconds=2.0, size=(480, 360))).read_bytes()
    units = hosts.units(clip)
    assert min(units.values()) > 0
    assert 15 <= units["frames_per_walk"] <= 60
    assert units["embedding_bytes"] == 4 * math.prod(models.load(DEFAULT_NETWORK).out_shape)
