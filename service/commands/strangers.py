"""Commands for strangers."""

from __future__ import annotations

from typing import Annotated

import typer

from service.commands.console.terminal import (
    OUT,
    CollectionOption,
    JsonOption,
    KeyOption,
    ServerOption,
    StoreOption,
    print_json,
    progress,
    recogniser,
    waiting,
)

app = typer.Typer(help="Walkers whom a collection did not know.", no_args_is_help=True)
GroupArgument = Annotated[str, typer.Argument(metavar="GROUP", help="Id of a group, from the list.")]


@app.command("list")
def list_(
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the unknown walkers, grouped by similarity."""
    with progress("reading the gallery"), recogniser(server, store, key) as worker:
        reply = worker.strangers(collection=collection)
    if as_json:
        print_json(reply)
        return
    from service.commands.console import tables

    if reply.keep_seconds is None:
        OUT.print("This collection keeps no strangers.")
    OUT.print(tables.strangers(reply.groups))


@app.command()
def keep(
    seconds: Annotated[float | None, typer.Argument(min=1, max=3.2e9, help="For how long; none keeps nobody.")] = None,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep future unknown walkers for SECONDS. Without SECONDS, stop keeping them and delete all."""
    with progress("writing"), recogniser(server, store, key) as worker:
        reply = worker.keep_strangers(seconds, collection=collection)
    if as_json:
        print_json(reply)
        return
    OUT.print("No strangers are kept." if seconds is None else f"Strangers are kept for {seconds:g} s.")


@app.command()
def name(
    group: GroupArgument,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Who they are.")],
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enrol a group as one subject."""
    with progress("enrolling"), recogniser(server, store, key) as worker:
        reply = worker.name_strangers(group, subject, collection=collection)
    if as_json:
        print_json(reply)
        return
    OUT.print(f"{reply.subject} enrolled with {len(reply.templates)} template(s)", markup=False)


@app.command()
def forget(
    group: Annotated[str | None, typer.Argument(metavar="GROUP", help="Id of a group; none forgets everybody.")] = None,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a group, or all strangers."""
    with progress("erasing"), recogniser(server, store, key) as worker:
        reply = worker.forget_strangers(group, collection=collection)
    if as_json:
        print_json(reply)
        return
    OUT.print(f"{reply.subjects} stranger(s) forgotten{waiting(reply.pending)}")
