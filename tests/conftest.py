"""What every test may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import memory
import pytest

if TYPE_CHECKING:
    from gaitkeeper.pipelines import ClipResult, Pipeline

ROOT = Path(__file__).resolve().parent.parent

# What a terminal says of itself decides how wide and in which colours a command prints. Tests choose that themselves.
for _variable in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(_variable, None)


@pytest.fixture(autouse=True)
def _small(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that takes more than 1.6 GB fails, and says so. What the tests before it left behind is not its fault."""
    memory.forget_peak()
    before = memory.peak()
    yield
    if (most := memory.peak()) - before > memory.MOST:
        pytest.fail(f"{request.node.nodeid} took its process from {before / 1e9:.2f} to {most / 1e9:.2f} GB.")


@pytest.fixture(scope="module", autouse=True)
def _released() -> Iterator[None]:
    """What a file of tests took is given back after it."""
    yield
    memory.release()


@pytest.fixture(scope="session")
def clips() -> Path:
    """Folder of small rendered clips, some with their truth beside them; ``scripts/test_clips.py`` describes them."""
    return ROOT / "tests" / "clips"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real clips and data sets that are not part of the project; tests that need it skip without it."""
    folder = Path(os.environ.get("GAITKEEPER_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip("no real data here: GAITKEEPER_TEST_DATA names no folder")
    return folder


@pytest.fixture(scope="session")
def shared_weights(shared_data: Path) -> Path:
    """Folder of small quantised networks that are not part of the project."""
    folder = shared_data.parent / "weights"
    if not folder.is_dir():
        pytest.skip("no quantised networks beside the real data")
    return folder


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    """The pipeline with its default settings, its models loaded once a run."""
    from gaitkeeper.pipelines import Pipeline

    return Pipeline()


@pytest.fixture(scope="session")
def real_clip(shared_data: Path, pipeline: Pipeline) -> Callable[[str], ClipResult]:
    """What the pipeline makes of a clip of the real data, by name; each is processed once a run."""
    return cache(lambda name: pipeline.process(shared_data / "videos" / f"{name}.mp4"))
