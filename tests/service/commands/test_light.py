"""Commands that only ask a service load neither torch nor what reads clips, and a service only what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "numpy", "cv2", "scipy", "av", "ai_edge_litert", "fastapi", "supervision"}
RUN = """
import sys
from gaitkeeper.service.cli import main
sys.argv = ["gaitkeeper", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
print(*{name.partition(".")[0] for name in sys.modules})
"""


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["subjects", "list", "--server", "http://127.0.0.1:1"],
        ["collections", "list", "--server", "http://127.0.0.1:1"],
        ["identify", __file__, "--server", "http://127.0.0.1:1"],
    ],
    ids=lambda words: words[0],
)
def test_no_heavy_package_is_loaded(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, timeout=120)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "gaitkeeper" in loaded
    assert not loaded & HEAVY
    assert words == ["--help"] or "server_unreachable" in done.stderr


def test_tables_are_printed_without_numpy() -> None:
    run = "import sys; import gaitkeeper.service.commands.console.tables; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, timeout=120, check=True)
    assert not HEAVY & set(done.stdout.split())


SERVED = """
import sys
from fastapi.testclient import TestClient
from gaitkeeper.service.app import create_app
from gaitkeeper.service.settings import Settings

with TestClient(create_app(Settings(store="sqlite:///gallery.db"))) as client:
    assert client.get("/readyz").status_code == 200
print(*sys.modules)
"""


def test_a_service_gets_ready_without_packages_that_take_a_second_to_load(tmp_path: Path) -> None:
    """PyTorch's compiler and SymPy came with networks built without memory, SciPy's signals with one spectrum."""
    done = subprocess.run(
        [sys.executable, "-c", SERVED], capture_output=True, text=True, timeout=300, cwd=tmp_path, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"torch", "gaitkeeper.service.app"} <= loaded
    assert not loaded & {"torch._dynamo", "sympy", "scipy.signal", "scipy.stats", "matplotlib", "ray"}
