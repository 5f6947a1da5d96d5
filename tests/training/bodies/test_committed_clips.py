"""The clips of tests and benches: small, and those that their script makes."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaitkeeper.pipelines.decode import frames
from gaitkeeper.training.bodies.clips import Stage


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "test_clips.py"))


def test_every_clip_is_made_by_the_script_and_small(clips: Path, script: dict[str, Any], walking) -> None:
    known = script["recipes"](Stage(walking.model, walking.wardrobe))
    expected = {f"{name}.mp4" for name in known} | {f"{name}.npz" for name, one in known.items() if one.truth}
    sizes = {path.name: path.stat().st_size for path in clips.iterdir()}
    assert sizes.keys() == expected
    assert max(sizes.values()) < 100_000 and sum(sizes.values()) < 1_500_000


@pytest.mark.parametrize("name", ["short", "person-2-walk-1"])
def test_the_script_makes_them_again(clips: Path, script: dict[str, Any], walking, tmp_path: Path, name: str) -> None:
    recipe = script["recipes"](Stage(walking.model, walking.wardrobe))[name]
    [path] = script["make"](name, recipe, tmp_path)
    pairs = zip(frames(path), frames(clips / path.name), strict=True)
    for new, kept in pairs:
        difference = np.abs(new.image.astype(int) - kept.image.astype(int))
        assert difference.mean() < 1 and (difference.max(-1) > 60).mean() < 1e-3
