"""Where MakeHuman's clothes are: a folder that is given, or the cache, which the manifest says how to fill."""

from __future__ import annotations

import hashlib
import os
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx

from training.bodies.errors import BadAsset

MANIFEST = Path(__file__).with_name("assets.toml")
VARIABLE = "GAITKEEPER_ASSETS"
"""Environment variable that names the folder, where no option does."""
_LARGEST = 8 << 20


@lru_cache(maxsize=1)
def manifest() -> dict[str, Any]:
    """The manifest: ``source``, ``licence``, and of every file its sha256."""
    return tomllib.loads(MANIFEST.read_text())


def garment_path(name: str, folder: Path | None = None) -> Path:
    """The `.mhclo` file of a garment, the files that belong to it beside it.

    Args:
        name: "shoes01", "long01" ...
        folder: that holds `clothes/NAME/` and `hair/NAME/`, at any depth up to `makehuman/base`; None is what
            ``GAITKEEPER_ASSETS`` names, or the cache.

    Raises:
        BadAsset: it is not there, or its bytes are not the manifest's.
    """
    entries = [path for path in manifest()["files"] if f"/{name}/" in path]
    if not entries:
        raise BadAsset(f"The manifest of clothes has no garment {name!r}.")
    given = folder or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    found = [_checked(_root(given) / path if given else _fetched(path), path) for path in entries]
    return next(path for path in found if path.suffix == ".mhclo")


def fetch_all() -> list[Path]:
    """Every file of the manifest in the cache, fetched where it is not there yet.

    Raises:
        BadAsset: one cannot be had, or is not what the manifest says.
    """
    return [_checked(_fetched(path), path) for path in manifest()["files"]]


def _root(folder: Path) -> Path:
    for below in ("", "base", "makehuman/base"):
        if (folder / below / "clothes").is_dir():
            return folder / below
    raise BadAsset(f"{folder} holds no clothes of MakeHuman: a folder 'clothes' is looked for in it.")


def _fetched(path: str) -> Path:
    from models.cache import cache_folder

    target = cache_folder() / "makehuman" / path
    if not target.is_file():
        url = f"{manifest()['source']}/{path}"
        try:
            answer = httpx.get(url, timeout=60, follow_redirects=True)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise BadAsset(f"{url} cannot be fetched: {error}. --assets names a folder that has it.") from error
        _checked_bytes(answer.content, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        part.write_bytes(answer.content)
        part.replace(target)
    return target


def _checked(file: Path, path: str) -> Path:
    try:
        if file.stat().st_size > _LARGEST:
            raise BadAsset(f"{file} is too large to be a garment.")
        _checked_bytes(file.read_bytes(), path)
    except OSError as error:
        raise BadAsset(f"{file} cannot be read: {error.strerror}.") from error
    return file


def _checked_bytes(data: bytes, path: str) -> None:
    if hashlib.sha256(data).hexdigest() != manifest()["files"][path]:
        raise BadAsset(f"{path} is not what the manifest says: its sha256 differs.")
