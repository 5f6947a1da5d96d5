"""The Dockerfiles say what they must; they are built in ``test_image.py``."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "docker" / "Dockerfile", ROOT / "docker" / "Dockerfile.gpu"]
each = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def lint(file: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "hadolint"
    return subprocess.run([str(program), "--no-color", str(file)], capture_output=True, text=True, check=False)


@each
def test_the_linter_has_nothing_to_say(file: Path) -> None:
    done = lint(file)
    assert done.returncode == 0, done.stdout


def test_the_linter_would_say_something(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM python:latest\nRUN cd /tmp && sudo pip install torch\n")
    assert lint(file).returncode != 0


@each
def test_copied_files_exist_and_are_sent_to_the_engine(file: Path) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", file.read_text(), re.M)
    for name in (name for line in copied for name in line.split()):
        assert (ROOT / name).exists()
        assert name in allowed


@each
def test_every_package_of_the_wheel_is_copied(file: Path) -> None:
    links = {path.name for path in (ROOT / "gaitkeeper").iterdir() if path.is_symlink()}
    assert "service" in links
    for package in ("gaitkeeper", *links):
        assert f"COPY {package} {package}" in file.read_text()


@each
def test_it_is_pinned_checked_and_does_not_run_as_root(file: Path) -> None:
    text = file.read_text()
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}$", text, re.M)
    bases = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", text, re.M)
    assert len(bases) > 1
    assert all(base == "${PYTHON_IMAGE}" or base in {name for _, name in bases} for base, _ in bases)
    last = text.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.+)$", text, re.M) == ["10001:10001"]
    assert re.search(r"^HEALTHCHECK .*\n.*/readyz", last, re.M)


@each
def test_torch_is_the_one_of_the_set_up(file: Path) -> None:
    pin = re.search(r"torch==[\d.]+", file.read_text())
    assert pin is not None
    assert pin[0] in (ROOT / "scripts" / "setup.sh").read_text()
    assert pin[0] in (ROOT / "constraints.txt").read_text()


def test_both_images_rest_on_the_same_one() -> None:
    pins = {re.search(r"^ARG PYTHON_IMAGE=.+$", file.read_text(), re.M)[0] for file in FILES}
    assert len(pins) == 1


def test_the_gpu_image_pins_every_package_that_it_asks_for() -> None:
    def pinned(name: str) -> dict[str, str]:
        pins = (line.partition("==") for line in (ROOT / name).read_text().splitlines() if "==" in line)
        return {canonicalize_name(package): version for package, _, version in pins}

    own, common = pinned("docker/constraints-gpu.txt"), pinned("constraints.txt")
    assert not own.keys() & common.keys()
    elsewhere = own | common
    assert all(elsewhere.get(name, version) == version for name, version in pinned("docker/export.txt").items())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["gpu"], *extras["redis"]]
    assert {canonicalize_name(Requirement(text).name) for text in asked} <= elsewhere.keys()
