"""Find and fetch MakeHuman's clothes: in a given folder, or in the cache, which is filled according to a manifest."""

from __future__ import annotations

import hashlib
import os
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx

from gaitkeeper.training.errors import BadAsset

MANIFEST = Path(__file__).with_name("assets.toml")
VARIABLE = "GAITKEEPER_ASSETS"
"""Environment variable that names the folder if no option does."""
_LARGEST = 8 << 20


@lru_cache(maxsize=1)
def manifest() -> dict[str, Any]:
    """The manifest: ``source``, ``licence``, and the sha256 of every file."""
    return tomllib.loads(MANIFEST.read_text())


def garment_path(name: str, folder: Path | None = None) -> Path:
    """The `.mhclo` file of a garment; its other files lie beside it.

    Args:
        name: "shoes01", "long01" ...
        folder: folder with `clothes/NAME/` and `hair/NAME/`, at any depth up to `makehuman/base`; None means the
            folder named by ``GAITKEEPER_ASSETS``, or the cache.

    Raises:
        BadAsset: the garment is missing, or a file does not match the manifest.
    """
    entries = [path for path in manifest()["files"] if f"/{name}/" in path]
    if not entries:
        raise BadAsset(f"The manifest of clothes has no garment {name!r}.")
    given = folder or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    found = [_checked(_root(given) / path if given else _fetched(path), path) for path in entries]
    return next(path for path in found if path.suffix == ".mhclo")


def fetch_all() -> list[Path]:
    """Fetch the files of the manifest that are not in the cache yet, and verify all.

    Raises:
        BadAsset: a file cannot be fetched, or does not match the manifest.
    """
    return [_checked(_fetched(path), path) for path in manifest()["files"]]


def _root(folder: Path) -> Path:
    for below in ("", "base", "makehuman/base"):
        if (folder / below / "clothes").is_dir():
            return folder / below
    raise BadAsset(f"{folder} has no clothes of MakeHuman: it must contain a folder 'clothes'.")


def _fetched(path: str) -> Path:
    from gaitkeeper.models.cache import cache_folder

    target = cache_folder() / "makehuman" / path
    if not target.is_file():
        url = f"{manifest()['source']}/{path}"
        try:
            answer = httpx.get(url, timeout=60, follow_redirects=True)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise BadAsset(f"{url} cannot be fetched: {error}. Name a folder that contains it by --assets.") from error
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
        raise BadAsset(f"{path} does not match the manifest: its sha256 differs.")
