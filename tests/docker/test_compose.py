"""The container files say what they must; no engine is needed to read them."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def test_ports_are_published_on_loopback_alone():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(str(port).startswith("127.0.0.1:") for port in ports)


def test_build_files_and_copied_files_exist():
    build = COMPOSE["services"]["api"]["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
    for name in (name for line in copied for name in line.split()):
        assert (ROOT / name).exists()
        assert name in allowed


def test_every_package_of_the_wheel_is_copied():
    packages = re.search(r"packages = \[(.+)\]", (ROOT / "pyproject.toml").read_text())
    assert packages is not None
    for package in re.findall(r'"(\w+)"', packages[1]):
        assert f"COPY {package} {package}" in DOCKERFILE


def test_the_image_does_not_run_as_root_and_pins_torch_as_the_set_up_does():
    assert re.search(r"^USER (?!root)\w+$", DOCKERFILE, re.M)
    pin = re.search(r"torch==[\d.]+", DOCKERFILE)
    assert pin is not None
    assert pin[0] in (ROOT / "scripts" / "setup.sh").read_text()
    assert pin[0] in (ROOT / "constraints.txt").read_text()
