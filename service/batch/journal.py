"""A batch's file of results, which also records the clips that are done."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from gaitkeeper.service.batch.archive import Item
from gaitkeeper.service.batch.lines import Line, Order
from gaitkeeper.service.errors import CannotWrite, OtherResults


class Journal:
    """JSON lines: the order, then a line for every settled clip. If a clip has two lines, the later one counts.

    A line that is incomplete because a run was killed is removed, and its clip is repeated. One run at a time locks the
    file. It names people, so only its owner can read it.

    Args:
        path: path of the file, created if missing.
        order: the order of the batch.

    Raises:
        OtherResults: another run has locked the file, or it contains results of another order, or no results of a
            batch.
        CannotWrite: the file cannot be opened.
    """

    def __init__(self, path: Path, order: Order) -> None:
        self.path = path
        try:
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        except OSError as error:
            raise CannotWrite(f"{path}: {error.strerror}.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lines = self._read(order)
        except BlockingIOError as error:
            self._file.close()
            raise OtherResults(f"{path} is being written by another run.") from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def known(self, item: Item) -> Line | None:
        """The stored result of a clip, if the clip has not changed since."""
        line = self._lines.get(item.key)
        return line if line is not None and (line.size, line.changed) == (item.size, item.changed) else None

    def add(self, line: Line) -> None:
        """Store the result of a clip."""
        self._write(line.model_dump_json())
        self._lines[line.key] = line

    def _read(self, order: Order) -> dict[tuple[str, str | None], Line]:
        whole = 0
        lines: dict[tuple[str, str | None], Line] = {}
        for number, text in enumerate(self._file):
            if not text.endswith(b"\n"):
                break
            whole += len(text)
            try:
                if number == 0:
                    if Order.model_validate_json(text) != order:
                        raise OtherResults(
                            f"{self.path} contains results of another run: choose another file with --out."
                        )
                else:
                    line = Line.model_validate_json(text)
                    lines[line.key] = line
            except ValidationError as error:
                raise OtherResults(f"{self.path}, line {number + 1}, is not a result of a batch.") from error
        self._file.seek(whole)
        self._file.truncate()
        if not whole:
            self._write(order.model_dump_json())
        return lines

    def _write(self, text: str) -> None:
        self._file.write(text.encode() + b"\n")
        self._file.flush()
