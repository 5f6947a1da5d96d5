"""The units of docs/scale.md are measured on a clip that somebody walks through; clips a second are not tested here."""

from __future__ import annotations

import math

import pytest

from gaitkeeper import models
from gaitkeeper.gallery.networks import DEFAULT_NETWORK
from gaitkeeper.service.operations.demo import CLIPS


def test_what_a_clip_and_a_walk_cost_is_measured() -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    from bench import hosts

    units = hosts.units((CLIPS / "person-1-gallery.mp4").read_bytes())
    assert min(units.values()) > 0
    assert 60 <= units["frames_per_walk"] <= 80
    assert units["embedding_bytes"] == 4 * math.prod(models.load(DEFAULT_NETWORK).out_shape)
