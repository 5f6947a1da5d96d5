"""Commands for API keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from gaitkeeper.service.commands.console.terminal import ERR, OUT, JsonOption, StoreOption

if TYPE_CHECKING:
    from gaitkeeper.service.auth.keys import Keys

app = typer.Typer(help="The API keys of the service on this machine.", no_args_is_help=True)


@contextmanager
def _opened(store: str | None) -> Iterator[Keys]:
    from gaitkeeper.service.auth.keys import Keys
    from gaitkeeper.service.settings import load_settings
    from gaitkeeper.service.state import State

    state = State(load_settings(**({"store": store} if store else {})).state_path)
    try:
        yield Keys(state)
    finally:
        state.close()


@app.command()
def create(
    scope: Annotated[
        list[str], typer.Option("--scope", help="enrol, identify, viewer, metrics or admin. May be repeated.")
    ],
    collection: Annotated[
        list[str] | None,
        typer.Option("--collection", "-c", help="Collection that the key is limited to. May be repeated."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the key.")] = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a key and show it once. After the first key is created, the service requires one."""
    from gaitkeeper.service.auth.keys import Scope
    from gaitkeeper.service.errors import BadSettings

    if unknown := set(scope) - set(Scope):
        raise BadSettings(f"The scope {unknown.pop()!r} does not exist; known are {', '.join(Scope)}.")
    if Scope.METRICS in scope and collection:
        raise BadSettings("The metrics are of the whole service: a key with the scope metrics takes no --collection.")
    with _opened(store) as keys:
        key, text = keys.create([Scope(one) for one in scope], collection, name)
    if as_json:
        typer.echo(json.dumps(key.model_dump(mode="json") | {"key": text}, indent=2))
        return
    typer.echo(text)
    where = ", ".join(key.collections) if key.collections else "every collection"
    ERR.print(f"key {key.id}: {', '.join(key.scopes)} in {where}; it is not shown again", soft_wrap=True, markup=False)


@app.command("list")
def list_(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the keys, including revoked ones. The keys themselves cannot be shown again."""
    with _opened(store) as keys:
        listed = keys.list()
    if as_json:
        typer.echo(json.dumps([key.model_dump(mode="json") for key in listed], indent=2))
        return
    from gaitkeeper.service.commands.console import tables

    OUT.print(tables.keys(listed))


@app.command()
def exist(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Tell whether a key was ever created. Exit code 1 if not: then the service admits everyone on this machine."""
    with _opened(store) as keys:
        made = keys.exist()
    if as_json:
        typer.echo(json.dumps({"exist": made}))
    else:
        OUT.print("The service asks for a key." if made else "No key was ever made: `gaitkeeper keys create`.")
    if not made:
        raise typer.Exit(1)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, from the list.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a key, from the next request on."""
    with _opened(store) as keys:
        key = keys.revoke(key_id)
    if as_json:
        typer.echo(key.model_dump_json(indent=2))
        return
    OUT.print(f"key {key.id} is revoked")
