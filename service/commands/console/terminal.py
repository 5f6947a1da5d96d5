"""Shared parts of the commands: consoles, progress bars, JSON, and the choice between a server and this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, ConsoleDimensions
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from gaitkeeper.service.options import ClipOptions, options_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gaitkeeper.service.recogniser import Recogniser

PIPE_WIDTH = 10_000


class _Console(Console):
    """A console as wide as the terminal, or as ``COLUMNS`` says. In a pipe or a file it is as wide as the output."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr)
        self._width = self._height = None  # read COLUMNS when printing, not at import only

    @property
    def size(self) -> ConsoleDimensions:
        own = super().size
        narrow = self.is_terminal or "COLUMNS" in os.environ
        return own if narrow else ConsoleDimensions(PIPE_WIDTH, own.height)

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        self._width, self._height = new


OUT = _Console()
ERR = _Console(stderr=True)


def _file(path: Path) -> Path:
    from gaitkeeper.service.files import require_file

    return require_file(path)


def _files(paths: list[Path] | None) -> list[Path] | None:
    return paths and [_file(path) for path in paths]


ClipArgument = Annotated[Path, typer.Argument(help="A video file.", callback=_file)]
AnyClipsArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Your clips: the walkers of the first are enrolled, those of the others identified.", callback=_files
    ),
]
ArchiveArgument = Annotated[Path, typer.Argument(help="The archive.", callback=_file)]
ClipsOrHandle = Annotated[
    list[Path] | None,
    typer.Argument(metavar="CLIP…", help="Video files of one person; none with --handle.", callback=_files),
]
ClipOrHandle = Annotated[
    Path | None, typer.Argument(help="A video file; none with --handle.", callback=lambda path: path and _file(path))
]
CollectionOption = Annotated[
    str, typer.Option("--collection", "-c", help=options_of(ClipOptions)["collection"].description)
]
KeepArgument = Annotated[
    float | None, typer.Argument(metavar="SECONDS", min=1, max=3.2e9, help="Time to keep each of them, in seconds.")
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="GAITKEEPER_SERVER",
        help="Address of a running service. By default, this process does the work.",
    ),
]
KeyOption = Annotated[
    str | None, typer.Option("--key", envvar="GAITKEEPER_API_KEY", help="API key for the service.", show_envvar=True)
]
StoreOption = Annotated[
    str | None, typer.Option("--store", help="Gallery store of this process, as in sqlite:///gallery.db.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the reply as JSON, as in the REST API.")]

CsvOption = Annotated[bool, typer.Option("--csv", help="Print a table for spreadsheets: a row for each candidate.")]


def print_json(reply: BaseModel) -> None:
    """Print the reply as the service would send it, on stdout, without colours."""
    typer.echo(reply.model_dump_json(indent=2))


def waiting(pending: bool) -> str:
    """Note for a removal whose data the store has not yet overwritten on disk."""
    return "; the store will overwrite the bytes later" if pending else ""


@contextmanager
def recogniser(server: str | None, store: str | None, key: str | None = None) -> Iterator[Recogniser]:
    """The client of ``server``, or an engine in this process with ``store``. Both have the same methods.

    Raises:
        BadSettings: both were given, or the settings are invalid.
    """
    from gaitkeeper.service.errors import BadSettings

    if server and store:
        raise BadSettings("--server and --store exclude each other: a server has its own store.")
    if server:
        from gaitkeeper.service.client import Client

        with Client(server, key=key) as client:
            yield client
    else:
        from gaitkeeper.service.recognition.engine import Engine
        from gaitkeeper.service.settings import load_settings

        # What this process keeps is gone when the command ends, so it gives no handles.
        settings = load_settings(handles=0, **({"store": store} if store else {}))
        with Engine(settings, network_files=True) as engine:
            yield engine


@contextmanager
def progress(title: str) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on stderr, updated with a stage and its completed fraction. Nothing is shown if stderr is not a
    terminal.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as bar:
        task: TaskID = bar.add_task(title, total=None)

        def tell(stage: str, share: float) -> None:
            bar.update(task, description=f"{title}: {stage}", total=1.0, completed=share)

        yield tell
