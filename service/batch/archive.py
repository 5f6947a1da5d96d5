"""Archives of clips: a folder or a bucket."""

from __future__ import annotations

import base64
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol
from urllib.parse import unquote

from gaitkeeper.gallery.types import Record
from gaitkeeper.pipelines.errors import TooLarge, UnsupportedMedia
from gaitkeeper.service.errors import BadSettings, NoArchive

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})
BLOCK = 2**20


class Item(Record):
    r"""One clip of an archive.

    Attributes:
        name: its path below the archive, with slashes; bytes that are not UTF-8 are written as ``\xff``.
        size: size in bytes.
        changed: time of the last change, in nanoseconds since 1970; 0 if unknown.
        path: base64 of the path's bytes if they are not UTF-8, because JSON cannot contain them as text.
    """

    name: str
    size: int
    changed: int
    path: str | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """Unique id of the clip in the archive."""
        return self.name, self.path

    @property
    def subject(self) -> str | None:
        """The top-level folder that contains the clip; None if there is none."""
        first, *rest = PurePosixPath(self.name).parts
        return first if rest else None


class Archive(Protocol):
    """Interface of an archive: lists clips, and opens them one at a time."""

    def items(self) -> Iterator[Item]:
        """All files with the suffix of a clip, without hidden ones. Raises NoArchive."""
        ...

    @contextmanager
    def opened(self, item: Item, limit: int) -> Iterator[IO[bytes]]:
        """Context manager: a clip as a seekable file. No fetched data remains.

        Raises:
            TooLarge: the clip has more than ``limit`` bytes.
            OSError: the clip cannot be read.
        """
        ...


class Folder:
    """A folder with its subfolders. Links are not followed, so no file outside is read."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def items(self) -> Iterator[Item]:
        """As :meth:`Archive.items`."""
        if not self.root.is_dir():
            raise NoArchive(f"{self.root} is not a folder.")
        for folder, below, files in os.walk(self.root):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(files):
                path = Path(folder, name)
                if _is_clip(name) and not path.is_symlink():
                    yield _found(path, path.relative_to(self.root).as_posix())

    @contextmanager
    def opened(self, item: Item, limit: int) -> Iterator[IO[bytes]]:
        """As :meth:`Archive.opened`."""
        name = os.fsdecode(base64.b64decode(item.path)) if item.path else item.name
        # Do not wait for the writer of a pipe.
        with os.fdopen(os.open(self.root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnsupportedMedia(f"{item.name} is not a file, but a pipe, a socket or a device.")
            if os.fstat(file.fileno()).st_size > limit:
                raise _too_large(limit)
            yield file


class Bucket:
    """An archive at a URL: ``s3://…``, ``gs://…``, and other schemes that pyarrow reads.

    Each clip is fetched to an unnamed temporary file, block by block, when it is processed.

    Raises:
        NoArchive: pyarrow, from the extra ``ray``, is not installed, or does not support the URL.
    """

    def __init__(self, url: str) -> None:
        try:
            from pyarrow import ArrowException
            from pyarrow.fs import FileSystem
        except ModuleNotFoundError as error:
            raise NoArchive("Buckets need pyarrow: pip install 'gaitkeeper-id[ray]'.") from error
        try:
            system, self._root = FileSystem.from_uri(url)
        except (ArrowException, OSError, ValueError) as error:
            raise NoArchive(f"Clips cannot be read from this place: {error}.") from error
        self._system: FileSystem = system

    def items(self) -> Iterator[Item]:
        """As :meth:`Archive.items`."""
        from pyarrow.fs import FileSelector

        try:
            found = self._system.get_file_info(FileSelector(self._root, recursive=True))
        except OSError as error:
            raise NoArchive(f"The archive cannot be listed: {error}.") from error
        below = len(self._root.rstrip("/")) + 1
        for about in sorted(found, key=lambda about: about.path):
            name = about.path[below:]
            if about.is_file and _is_clip(about.base_name) and not any(p.startswith(".") for p in name.split("/")):
                yield Item(name=name, size=about.size, changed=about.mtime_ns or 0)

    @contextmanager
    def opened(self, item: Item, limit: int) -> Iterator[IO[bytes]]:
        """As :meth:`Archive.opened`."""
        if item.size > limit:
            raise _too_large(limit)
        with tempfile.TemporaryFile() as file:
            with self._system.open_input_stream(f"{self._root.rstrip('/')}/{item.name}") as stream:
                while block := stream.read(BLOCK):
                    file.write(block)
                    if file.tell() > limit:
                        raise _too_large(limit)
            file.seek(0)
            yield file


def printable(path: str) -> str:
    r"""A path as text that can be sent and stored: bytes that are not UTF-8 are written as ``\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _found(path: Path, name: str) -> Item:
    shown = printable(name)
    raw = None if shown == name else base64.b64encode(os.fsencode(name)).decode()
    try:
        about = path.stat()
    except OSError:  # it was just deleted: its result line will report this
        return Item(name=shown, size=0, changed=0, path=raw)
    return Item(name=shown, size=about.st_size, changed=about.st_mtime_ns, path=raw)


def archive_at(place: str) -> Archive:
    """Open the archive at a path or a URL.

    Raises:
        NoArchive: the URL is not supported, or the path is not UTF-8.
        BadSettings: the URL contains a password, which would appear in process lists and in results.
    """
    if printable(place) != place:
        raise NoArchive(f"The path {printable(place)} is no UTF-8: use another path, for example a link.")
    scheme, sep, rest = place.partition("://")
    if not sep:
        return Folder(Path(place))
    if scheme == "file":
        return Folder(Path(unquote(rest)))
    if "@" in rest.partition("/")[0]:
        raise BadSettings(f"Give the credentials of {scheme}:// in its environment variables, not in the URL.")
    return Bucket(place)


def _is_clip(name: str) -> bool:
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in SUFFIXES


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The clip has more than {limit} bytes.")
