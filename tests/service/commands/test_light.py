"""Commands that only ask a service load neither torch nor what reads clips."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "cv2", "scipy", "av", "ai_edge_litert", "fastapi", "supervision"}
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
