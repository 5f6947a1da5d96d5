"""A file that reports how much of it has been sent."""

from __future__ import annotations

import io
from pathlib import Path

from gaitkeeper.service.files import require_file
from gaitkeeper.service.recogniser import Progress


class WatchedFile(io.FileIO):
    """A file that reports how much of it has been sent."""

    def __init__(self, path: str | Path, on_progress: Progress | None) -> None:
        super().__init__(require_file(path))
        self._tell = on_progress
        self._size = max(1, Path(path).stat().st_size)

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(-1 if size is None else size)
        if self._tell:
            self._tell("upload", self.tell() / self._size)
        return data or b""
