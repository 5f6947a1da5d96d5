"""No version of a dependency with a known hole is taken: not by a floor, not by a pin, not by what runs these tests.

The advisories are those published by November 2026 for what the project asks for, and for what that asks for.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = ("constraints.txt", "docker/constraints-gpu.txt", "docker/export.txt")

CLEAN = {
    "aiohttp": ("3.14.3", "CVE-2026-69244, CVE-2026-69243: requests smuggled, a read out of bounds"),
    "av": ("17.1", "CVE-2026-40962: of FFmpeg before 8.1, which its wheels bring"),
    "certifi": ("2024.7.4", "CVE-2024-39689: roots that are trusted no more"),
    "click": ("8.3.3", "CVE-2026-7246: commands by click.edit()"),
    "cryptography": ("50.0.0", "CVE-2026-69247: an oracle of PKCS #7; before, OpenSSL's of the wheels"),
    "filelock": ("3.20.3", "CVE-2026-22701: a symbolic link in place of a lock"),
    "flask": ("3.1.3", "CVE-2026-27205: sessions kept in caches"),
    "flask-cors": ("6.0.0", "CVE-2024-6839: origins matched too widely"),
    "fonttools": ("4.61.0", "CVE-2025-66034: files written anywhere"),
    "h11": ("0.16.0", "CVE-2025-43859: requests smuggled by chunks"),
    "idna": ("3.15", "CVE-2026-45409: long names take long"),
    "jinja2": ("3.1.6", "CVE-2025-27516: out of the sandbox"),
    "markdown": ("3.8.1", "CVE-2025-69534: input that ends the process"),
    "onnx": ("1.21.0", "CVE-2026-27489, CVE-2026-34445: models that read files"),
    "opencv-python": ("4.12", "CVE-2025-53644: JPEGs that write to memory"),
    "pillow": ("12.3.0", "CVE-2026-55379, CVE-2026-55380: pictures that write to memory"),
    "protobuf": ("6.33.5", "CVE-2026-0994: nested JSON without end"),
    "pyarrow": ("23.0.1", "CVE-2026-25087: memory used after it was freed"),
    "pyasn1": ("0.6.4", "CVE-2026-30922: nested input without end"),
    "pydantic-settings": ("2.14.2", "GHSA-4xgf-cpjx-pc3j"),
    "pygments": ("2.20.0", "CVE-2026-4539: a pattern that takes long"),
    "pytest": ("9.0.3", "CVE-2025-71176: a folder that others may write to"),
    "python-dotenv": ("1.2.2", "CVE-2026-28684: files written through links"),
    "python-multipart": ("0.0.32", "CVE-2026-42561, GHSA-v9pg-7xvm-68hf, GHSA-5rvq-cxj2-64vf: bodies that take all"),
    "ray": ("2.55.0", "CVE-2026-41486: Parquet files that run what they say"),
    "requests": ("2.33.0", "CVE-2026-25645: a temporary file that others can put there"),
    "setuptools": ("78.1.1", "CVE-2025-47273: files written anywhere"),
    "starlette": ("1.3.1", "CVE-2026-48710, CVE-2026-54282, CVE-2026-54283: paths, hosts and forms believed"),
    "torch": ("2.10.0", "CVE-2026-24747: checkpoints that write to memory, read by weights_only too"),
    "tqdm": ("4.66.3", "CVE-2024-34062: commands by its options"),
    "ultralytics": ("8.4.190", "opens checkpoints by weights_only"),
    "urllib3": ("2.7.0", "CVE-2026-44431, CVE-2026-44432"),
    "virtualenv": ("20.36.1", "CVE-2026-22702: a symbolic link in place of a folder"),
    "werkzeug": ("3.1.6", "CVE-2026-27199: names of devices on Windows"),
}
"""First version without a hole that is known, and the advisory that was mended last or weighs most."""


def asked() -> Iterator[Requirement]:
    """What the project asks for, by itself and by each extra."""
    for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        yield from map(Requirement, texts)


def floor(given: SpecifierSet) -> Version:
    """The lowest version that a requirement lets in; 0 where it sets no floor."""
    return max((Version(part.version) for part in given if part.operator in (">=", "==", "~=")), default=Version("0"))


def pins(name: str) -> dict[str, str]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return {canonicalize_name(package): at for package, sign, at in (line.partition("==") for line in lines) if sign}


def test_no_floor_lets_a_version_with_a_known_hole_in() -> None:
    known = [one for one in asked() if canonicalize_name(one.name) in CLEAN]
    assert len(known) > 20
    assert not [str(one) for one in known if floor(one.specifier) < Version(CLEAN[canonicalize_name(one.name)][0])]


def test_what_a_service_installs_has_floors() -> None:
    """A package that others ask for without a floor is asked for with one, or an upgrade would leave an old one."""
    extras = PROJECT["optional-dependencies"]
    service = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert {"av", "click", "cryptography", "h11", "idna", "jinja2", "python-multipart", "starlette", "torch"} <= service
    for name in ("cpu", "gpu"):
        assert {"opencv-python", "pillow", "requests", "urllib3"} <= {Requirement(text).name for text in extras[name]}


@pytest.mark.parametrize("name", PINS)
def test_no_pin_has_a_known_hole(name: str) -> None:
    taken = pins(name)
    assert taken
    assert not {one: at for one, at in taken.items() if one in CLEAN and Version(at) < Version(CLEAN[one][0])}


def test_the_pins_are_what_the_project_asks_for() -> None:
    taken = pins("constraints.txt")
    wrong = [str(one) for one in asked() if (at := taken.get(canonicalize_name(one.name))) and at not in one.specifier]
    assert not wrong


def test_what_runs_here_has_no_known_hole() -> None:
    found = {}
    for name, (clean, _) in CLEAN.items():
        try:
            found[name] = Version(version(name)) >= Version(clean)
        except PackageNotFoundError:
            continue
    assert {"torch", "av", "starlette", "python-multipart"} <= found.keys()
    assert all(found.values()), {name: version(name) for name, good in found.items() if not good}


def test_pins_name_no_place() -> None:
    """Packages come from the index that is set up where they are installed."""
    for name in PINS:
        assert not re.search(r"://|--(?:extra-)?index-url|--find-links| @ ", (ROOT / name).read_text())
