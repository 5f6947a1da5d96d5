"""What the tests of several files train on."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitkeeper.training.datasets import Dataset, open_dataset
from gaitkeeper.training.walkers.pack import render_set
from gaitkeeper.training.walkers.sets import Size


@pytest.fixture(scope="session")
def rendered_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of eight drawn people, half of them enrolled ones of Walkers-XL and half its strangers; 16 frames each."""
    path = tmp_path_factory.mktemp("pack") / "xl.npz"
    render_set("walkers-xl", Path("none"), path, size=Size(people=8, takes=0, frames=16))
    return path


@pytest.fixture(scope="session")
def rendered_walks(rendered_pack: Path) -> Dataset:
    """Silhouettes and joints of the pack."""
    return open_dataset("walkers", rendered_pack)
