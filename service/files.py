"""Checks of local files named by a caller."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gaitkeeper.service.errors import NotAFile

KINDS = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFIFO: "is a pipe, which can be read only once: save its content to a file",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}


def require_file(path: str | Path) -> Path:
    """Check that the path is a readable file. The file is not opened, because opening a pipe would wait for its writer.

    Raises:
        NotAFile: the path does not exist, is not a file, or cannot be read.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as error:
        raise NotAFile(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not stat.S_ISREG(mode):
        raise NotAFile(f"{path} is not a file; it {KINDS.get(stat.S_IFMT(mode), 'is something else')}.")
    if not os.access(path, os.R_OK):
        raise NotAFile(f"This user has no permission to read {path}.")
    return Path(path)
