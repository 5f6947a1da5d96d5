"""Checks of local files named by a caller, and files that appear when they are complete."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaitkeeper.service.errors import CannotWrite, NotAFile

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


def require_video_target(path: str | Path, clip: object) -> Path:
    """Check, before any work, that an MP4 file can be written at the path, and that it is not the clip itself.

    Raises:
        CannotWrite: it cannot, or the name does not end in ``.mp4``.
    """
    target = Path(path)
    if target.suffix.lower() != ".mp4":
        raise CannotWrite(f"{target}: an annotated clip is an MP4 file: let its name end in .mp4.")
    if target.is_dir():
        raise CannotWrite(f"{target} is a folder.")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise CannotWrite(f"{target}: the folder does not exist, or this user may not write to it.")
    if isinstance(clip, (str, Path)) and target.exists() and target.samefile(require_file(clip)):
        raise CannotWrite(f"{target} is the clip itself: choose another name.")
    return target


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Context manager: the path of a new file beside ``path``, which takes its place when the block ends.

    Only its owner may read the file. After an error nothing of it is left, and a file at ``path`` stays as it was.

    Raises:
        CannotWrite: the file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield part
        part.replace(path)
    except OSError as error:
        raise CannotWrite(f"{path}: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
