"""One import package: its links are whole, and nothing is loaded under a second name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINKS = {path.name: path.readlink() for path in (ROOT / "gaitkeeper").iterdir() if path.is_symlink()}
PROGRAM = """
import importlib, pkgutil, sys
import gaitkeeper
for module in pkgutil.walk_packages(gaitkeeper.__path__, "gaitkeeper."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if error.name not in ("ray", "numba"):  # of extras that may be missing
            raise
assert "gaitkeeper.service.cli" in sys.modules
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_the_package_holds_a_link_to_every_folder_of_it() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"gaitkeeper", "bench"}
    expected = {name: Path("..") / name for name in packages | {"weights"}}
    assert expected == LINKS


def test_no_module_is_loaded_under_two_names() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert not LINKS.keys() & set(done.stdout.split())
