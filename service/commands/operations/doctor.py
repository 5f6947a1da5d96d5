"""The command that checks an installation."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from gaitkeeper.service.commands.console.terminal import OUT, JsonOption, StoreOption, progress


def doctor(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Check this installation; exit code 1 where something is wrong."""
    with progress("examining") as tell:
        from gaitkeeper.service.operations.doctor import examine

        made = []
        for check in examine(store):
            made.append(check)
            tell(check.name, 0.0)
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in made], indent=2))
    else:
        from gaitkeeper.service.commands.console import tables

        OUT.print(tables.checks(made))
    if not all(check.ok for check in made):
        raise typer.Exit(1)
