"""Commands on weights files."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from service.commands.terminal import OUT, progress

app = typer.Typer(help="The files that networks are made of.", no_args_is_help=True)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the weights that are known, and which are on this machine."""
    with progress("verifying"):
        from models.weights import manifest
        from service.doctor import weights_state

        states = {name: weights_state(name) for name in manifest()}
    if as_json:
        typer.echo(
            json.dumps([asdict(entry) | {"state": states[name]} for name, entry in manifest().items()], indent=2)
        )
        return
    from service.commands import tables

    OUT.print(tables.weights(manifest().values(), states))


@app.command()
def pull(
    names: Annotated[list[str] | None, typer.Argument(help="Names from the list; none takes the default ones.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch weights into the cache and verify them."""
    states: dict[str, str] = {}
    with progress("pulling") as tell:
        from models.weights import Entry, pull

        def on_entry(entry: Entry, state: str) -> None:
            states[entry.name] = state
            tell(f"{entry.name} ({entry.licence})", 0.0)

        paths = pull(names or (), on_entry=on_entry)
    rows = [{"name": name, "state": states[name], "path": str(path)} for name, path in zip(states, paths, strict=True)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        OUT.print(f"{row['name']}: {row['state']} ({row['path']})", soft_wrap=True)
