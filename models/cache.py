"""The cache folder of pulled and exported weights, and digests recorded there for files without a published one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """``GAITKEEPER_CACHE``, else ``$XDG_CACHE_HOME/gaitkeeper``, else ``~/.cache/gaitkeeper``, else, for a user without
    a home, ``/var/cache/gaitkeeper``. The folder need not exist."""
    if folder := os.environ.get("GAITKEEPER_CACHE"):
        return Path(folder)
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "gaitkeeper"
    try:
        return Path.home() / ".cache" / "gaitkeeper"
    except RuntimeError:
        return Path("/var/cache/gaitkeeper")


def digest_of(path: Path) -> str:
    """The sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock_file(path: Path) -> Path:
    """Path of the file that records the digest of a cached file, in the form of ``sha256sum``."""
    return path.with_name(f"{path.name}.sha256")


def recorded(path: Path) -> str | None:
    """The recorded digest of a file, or None if there is no record."""
    try:
        return lock_file(path).read_text().split()[0]
    except (OSError, IndexError):  # a folder without read permission counts as empty
        return None


def record(path: Path, digest: str) -> str:
    """Record a file's digest unless one exists, and return the recorded one."""
    lock = lock_file(path)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=lock.parent, prefix=".lock-") as fresh:
        fresh.write(f"{digest}  {path.name}\n")
        fresh.flush()
        # If two processes record at the same time, the first record counts for both.
        try:
            os.link(fresh.name, lock)
        except FileExistsError:
            return recorded(path) or digest
    return digest
