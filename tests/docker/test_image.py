"""The CPU image, built from its Dockerfile's lines in a clean Debian tree and run as it says: `make image`.

The quick part, without `make image`: every line is one that the builder understands, and what is sent to the engine is
enough to make the wheel.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import image_tree as tree
import pytest

from gaitkeeper.service.operations.demo import CLIPS

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
LENT = {"PIP_PROGRESS_BAR": "off"} | {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
SERVER = ("--server", "http://127.0.0.1:8321")


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_every_line_is_one_that_the_builder_carries_out(name: str) -> None:
    for instruction, _ in tree.instructions(ROOT / "docker" / name):
        assert hasattr(tree.Builder, f"_{instruction.lower()}"), instruction


def test_what_the_engine_is_sent_is_enough_for_the_wheel(tmp_path: Path) -> None:
    sent = tree.context(ROOT, tmp_path / "sent")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(sent)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    data = ("service/page/index.html", "service/templates/report.html.j2", "weights/gaitpart.safetensors")
    data += ("service/operations/demo_clips/person-1-probe.mp4",)
    assert {f"gaitkeeper/{name}" for name in data} <= names
    tops = {name.partition("/")[0] for name in names}
    assert "gaitkeeper" in tops and all(top.endswith(".dist-info") for top in tops - {"gaitkeeper"})
    lua = (ROOT / "gallery/stores/redis/lua").rglob("*.lua")
    scripts = {f"gaitkeeper/{path.relative_to(ROOT)}" for path in lua}
    assert scripts and scripts <= names


@pytest.fixture(scope="module")
def image() -> tree.Image:
    """The image's tree, thrown away at the end; Debian's own is kept under ``build/``."""
    if not os.environ.get("GAITKEEPER_IMAGE"):
        pytest.skip("takes minutes and root: make image")
    folder = ROOT / "build" / "image"
    base = tree.debian(folder / "debian", "bookworm")
    stages = folder / "stages"
    shutil.rmtree(stages, ignore_errors=True)
    stages.mkdir(parents=True)
    args = {"TORCH_INDEX": os.environ.get("TORCH_INDEX", "")}
    builder = tree.Builder(tree.context(ROOT, stages / "sent"), stages, base, LENT, args)
    yield builder.build(tree.instructions(DOCKERFILE))
    shutil.rmtree(stages)


def test_it_serves_as_its_user_on_a_read_only_tree_without_a_network(image: tree.Image, tmp_path: Path) -> None:
    began = time.monotonic()
    with tree.running(image, tmp_path, {"GAITKEEPER_HOST": "0.0.0.0", "GAITKEEPER_PUBLISHED_ON_LOOPBACK": "1"}) as here:
        while here.run(*image.check).returncode:
            assert here.process.poll() is None and time.monotonic() < began + 300, here.log.read_text()
            time.sleep(0.5)
        print(f"healthy after {time.monotonic() - began:.1f} s")
        assert here.run("id", "-u").stdout.strip() == "10001"
        assert "Read-only file system" in here.run("touch", "/opt/gaitkeeper/x").stderr
        assert here.run("grep", "^CapBnd:\t0000000000000000$", "/proc/self/status").returncode == 0
        look = "import httpx; print(httpx.get('http://127.0.0.1:8321/{}').status_code)"
        for path in ("livez", "readyz"):
            assert here.run("python", "-c", look.format(path)).stdout.strip() == "200"

        for name, clip in (("ann-1", "person-1-gallery"), ("bob-1", "person-2-gallery"), ("ann-2", "person-1-probe")):
            shutil.copy(CLIPS / f"{clip}.mp4", tmp_path / "data" / f"{name}.mp4")
        for name in ("ann", "bob"):
            done = here.run("gaitkeeper", "enroll", f"/data/{name}-1.mp4", "--subject", name, *SERVER, "--json")
            assert done.returncode == 0, done.stderr
        found = json.loads(here.run("gaitkeeper", "identify", "/data/ann-2.mp4", *SERVER, "--json").stdout)
        (walker,) = found["people"]
        assert [candidate["subject"] for candidate in walker["candidates"]] == ["ann", "bob"]
        assert not [file for file in (tmp_path / "scratch").rglob("*") if file.suffix == ".mp4"]

        os.kill(here.pid, 15)
        assert here.process.wait(60) == 0, here.log.read_text()
    assert (tmp_path / "data" / "gallery.db").is_file()
