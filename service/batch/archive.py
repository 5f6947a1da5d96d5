"""Where an archive's clips lie: a folder, or a bucket."""

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

from gallery.types import Record
from pipelines.errors import TooLarge, UnsupportedMedia
from service.errors import BadSettings, NoArchive

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})
BLOCK = 2**20


class Item(Record):
    r"""One clip of an archive.

    Attributes:
        name: its path below the archive, with slashes; what is no UTF-8 of it as ``\xff``.
        size: bytes.
        changed: when it was changed last, in nanoseconds since 1970; 0 where the archive does not say.
        path: base64 of the path's bytes where these are no UTF-8, so that no JSON holds them as text.
    """

    name: str
    size: int
    changed: int
    path: str | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """What tells it from every other clip of the archive."""
        return self.name, self.path

    @property
    def subject(self) -> str | None:
        """The folder that it lies in, directly below the archive; None where it lies in none."""
        first, *rest = PurePosixPath(self.name).parts
        return first if rest else None


class Archive(Protocol):
    """Clips that can be listed, and read one at a time."""

    def items(self) -> Iterator[Item]:
        """Every file that may be a clip by its suffix, hidden ones left out. Raises NoArchive."""
        ...

    @contextmanager
    def opened(self, item: Item, limit: int) -> Iterator[IO[bytes]]:
        """A clip as a file that can seek, for a block; of what is fetched nothing stays.

        Raises:
            TooLarge: it has more than ``limit`` bytes.
            OSError: it cannot be read.
        """
        ...


class Folder:
    """A folder and all below it. Links are not followed, so that nothing outside is read."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def items(self) -> Iterator[Item]:
        """As :meth:`Archive.items`."""
        if not self.root.is_dir():
            raise NoArchive(f"{self.root} is no folder.")
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
        # Not to wait for whoever would write to a pipe.
        with os.fdopen(os.open(self.root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnsupportedMedia(f"{item.name} is no file with a clip in it, but a pipe, a socket or a device.")
            if os.fstat(file.fileno()).st_size > limit:
                raise _too_large(limit)
            yield file


class Bucket:
    """What a URL names: ``s3://…``, ``gs://…``, and whatever else pyarrow reads.

    A clip is fetched to a temporary file without a name, block by block, when it is its turn.

    Raises:
        NoArchive: pyarrow, of the extra ``ray``, is not installed, or does not know such a URL.
    """

    def __init__(self, url: str) -> None:
        try:
            from pyarrow import ArrowException
            from pyarrow.fs import FileSystem
        except ModuleNotFoundError as error:
            raise NoArchive("Buckets are read by pyarrow: pip install 'gaitkeeper-id[ray]'.") from error
        try:
            system, self._root = FileSystem.from_uri(url)
        except (ArrowException, OSError, ValueError) as error:
            raise NoArchive(f"This is no place that clips are read from: {error}.") from error
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
    r"""A path as text that can be sent and stored: what is no UTF-8 of it as ``\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _found(path: Path, name: str) -> Item:
    shown = printable(name)
    raw = None if shown == name else base64.b64encode(os.fsencode(name)).decode()
    try:
        about = path.stat()
    except OSError:  # it has just gone: its line says so when it is its turn
        return Item(name=shown, size=0, changed=0, path=raw)
    return Item(name=shown, size=about.st_size, changed=about.st_mtime_ns, path=raw)


def archive_at(place: str) -> Archive:
    """The archive at a path or a URL.

    Raises:
        NoArchive: such URLs are not read here, or the path is no UTF-8.
        BadSettings: a URL holds a password, which would end up in lists of processes and in results.
    """
    if printable(place) != place:
        raise NoArchive(
            f"The path {printable(place)} is no UTF-8: name the archive by another one, as by a link to it."
        )
    scheme, sep, rest = place.partition("://")
    if not sep:
        return Folder(Path(place))
    if scheme == "file":
        return Folder(Path(unquote(rest)))
    if "@" in rest.partition("/")[0]:
        raise BadSettings(f"Give the credentials of {scheme}:// by its own environment, not in the URL.")
    return Bucket(place)


def _is_clip(name: str) -> bool:
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in SUFFIXES


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The clip has more than {limit} bytes.")
