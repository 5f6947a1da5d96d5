"""Error output of the command line."""

from __future__ import annotations

import os
import traceback

from rich.box import HEAVY_HEAD
from rich.table import Table
from rich.text import Text

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.errors import MultiplePeople
from gaitkeeper.service.commands.console.terminal import ERR
from gaitkeeper.service.problems import exit_code

DEBUG = "GAITKEEPER_DEBUG"


def report(error: Exception) -> int:
    """Print an error's message and code on stderr.

    Returns:
        The exit code: 2 for errors of the caller, 1 for errors of the installation.
    """
    if isinstance(error, GaitkeeperError):
        sentence, code = error.detail, error.code
    else:
        sentence, code = f"An error that nobody foresaw: {type(error).__name__}: {error}", "internal"
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    elif code == "internal":
        sentence += f" (set {DEBUG}=1 for the traceback)"
    ERR.print(Text.assemble(("error: ", "bold red"), sentence, (f" [{code}]", "dim")), soft_wrap=True)
    if isinstance(error, MultiplePeople) and "tracks" in error.extra:
        ERR.print(_tracks(error))
        ERR.print("Choose one with --track, or name several with --subjects.")
    elif isinstance(error, GaitkeeperError):
        for one in error.extra.get("tracks", ()):  # of several walkers, those who cannot be enrolled
            told = f"track {one['track']}, {one['subject']}: {one['detail']} [{one['code']}]"
            ERR.print(told, markup=False, highlight=False, soft_wrap=True)
    return exit_code(code)


def _tracks(error: GaitkeeperError) -> Table:
    from gaitkeeper.service.commands.console.tables import folding

    table = folding("track", "seconds", "frames", "box (x1 y1 x2 y2)", "same person as", box=HEAVY_HEAD)
    for choice in error.extra["tracks"]:
        span = f"{choice['start']:.1f} – {choice['end']:.1f}"
        box = " ".join(f"{value:.0f}" for value in choice["box"])
        earlier = choice.get("same_as")  # older services do not send this
        again = "" if earlier is None else f"track {earlier}"
        table.add_row(str(choice["track"]), span, str(choice["quality"]["frames"]), box, again)
    return table
