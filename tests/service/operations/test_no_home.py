"""As a user whom the machine does not know, without a home or with one that cannot be written: as in a container."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Clips

from gaitkeeper.models.cache import cache_folder

UID = 54321
PATIENCE = 600
ROOT = Path(__file__).resolve().parents[3]
# Sources and Python may lie where others cannot read, as in root's home: so much of root's power is kept, and no more.
READING = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
AS_NOBODY = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *READING]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the unknown user may write into; pytest's own are root's alone."""
    if os.geteuid() or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user, by setpriv")
    made = Path(tempfile.mkdtemp(prefix="no-home-"))
    made.chmod(0o755)
    os.chown(made, UID, UID)
    tried = subprocess.run(
        [*AS_NOBODY, sys.executable, "-c", "import gaitkeeper.service"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        check=False,
    )
    if tried.returncode:
        pytest.skip("another user may not read this Python or these sources")
    yield made
    shutil.rmtree(made)


def run(folder: Path, environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command as the unknown user, with nothing in its environment but what is given."""
    program = "import sys; from gaitkeeper.service.cli import main; sys.argv[0] = 'gaitkeeper'; main()"
    return subprocess.run(
        [*AS_NOBODY, sys.executable, "-c", program, *map(str, arguments)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def homes(folder: Path, kind: str) -> dict[str, str]:
    """Environments in which there is no home, or one that only root may write; weights were pulled for everybody."""
    pulled = {"GAITKEEPER_CACHE": str(cache_folder())}
    if kind == "none":
        return pulled
    home = folder.with_name(f"{folder.name}-home")
    home.mkdir(mode=0o555, exist_ok=True)
    return {"HOME": str(home), **pulled}


@pytest.mark.parametrize("kind", ["none", "read-only"])
def test_a_walker_is_enrolled_and_identified(folder: Path, clip: Clips, kind: str) -> None:
    environment = homes(folder, kind)
    try:
        for name in ("ann-1", "ann-2"):
            shutil.copy(clip(name), folder)
            (folder / f"{name}.mp4").chmod(0o644)
        store = f"sqlite:///{folder}/{kind}.db"
        enrolled = run(folder, environment, "enroll", "ann-1.mp4", "-s", "ann", "--store", store, "--json")
        assert enrolled.returncode == 0, enrolled.stderr
        identified = run(folder, environment, "identify", "ann-2.mp4", "--store", store, "--json")
        assert identified.returncode == 0, identified.stderr
        reply: dict[str, Any] = json.loads(identified.stdout)
        assert reply["people"][0]["candidates"][0]["subject"] == "ann"
        assert (folder / f"{kind}.db").stat().st_uid == UID
        if "HOME" in environment:
            assert list(Path(environment["HOME"]).iterdir()) == []
    finally:
        if "HOME" in environment:
            shutil.rmtree(environment["HOME"])


def test_what_cannot_be_written_is_told_by_a_sentence_and_a_code(folder: Path, clip: Clips) -> None:
    """Weights that are in no cache and cannot be pulled into one; a store in a folder of root."""
    shutil.copy(clip("ann-1"), folder)
    (folder / "ann-1.mp4").chmod(0o644)
    refused = run(folder, {}, "enroll", "ann-1.mp4", "-s", "ann", "--store", "sqlite:////proc/gallery.db")
    assert refused.returncode == 1 and "[store_unavailable]" in refused.stderr, refused.stderr
    for home in ({}, {"HOME": "/proc"}):
        missing = run(folder, home, "enroll", "ann-1.mp4", "-s", "ann", "--store", f"sqlite:///{folder}/none.db")
        assert missing.returncode == 1 and "[weights_missing]" in missing.stderr, missing.stderr
        assert "weights pull" in missing.stderr
    pulled = run(folder, {}, "weights", "pull", "vitpose-b")
    assert pulled.returncode == 1 and "[weights_missing]" in pulled.stderr, pulled.stderr
    assert "GAITKEEPER_CACHE" in pulled.stderr
    assert "Traceback" not in refused.stderr + missing.stderr + pulled.stderr
