"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real clips and data sets that are not part of the project; tests that need it skip without it."""
    folder = Path(os.environ.get("GAITKEEPER_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip("no real data here: GAITKEEPER_TEST_DATA names no folder")
    return folder
