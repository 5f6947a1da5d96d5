"""The small rendered clips of the tests, which benches read, too; ``scripts/test_clips.py`` describes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt

from gaitkeeper.pipelines.decode import frames

CLIPS = Path(__file__).resolve().parents[1] / "tests" / "clips"


def pictures(name: str) -> Iterator[npt.NDArray[Any]]:
    """The frames of a clip by its name, RGB uint8 (H, W, 3)."""
    yield from (frame.image for frame in frames(CLIPS / f"{name}.mp4"))
