"""Commands on the people of a collection."""

from __future__ import annotations

from typing import Annotated

import typer

from service.commands.terminal import (
    OUT,
    CollectionOption,
    JsonOption,
    KeyOption,
    ServerOption,
    StoreOption,
    print_json,
    progress,
    recogniser,
)

app = typer.Typer(help="The enrolled people.", no_args_is_help=True)
SubjectArgument = Annotated[str, typer.Argument(help="Id of the person.")]


@app.command("list")
def list_(
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the enrolled people."""
    with progress("reading the gallery"), recogniser(server, store, key) as worker:
        reply = worker.subjects(collection=collection)
    if as_json:
        print_json(reply)
        return
    from service.commands import tables

    OUT.print(tables.subjects(reply.subjects))


@app.command()
def show(
    subject: SubjectArgument,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one person's templates."""
    with progress("reading the gallery"), recogniser(server, store, key) as worker:
        reply = worker.subject(subject, collection=collection)
    if as_json:
        print_json(reply)
        return
    from service.commands import tables

    OUT.print(tables.templates(reply.templates))


@app.command()
def erase(
    subject: SubjectArgument,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase a person with everything kept of them."""
    with progress("erasing"), recogniser(server, store, key) as worker:
        reply = worker.erase(subject, collection=collection)
    if as_json:
        print_json(reply)
        return
    from service.commands import tables

    waiting = "; the store has yet to overwrite the bytes" if reply.pending else ""
    OUT.print(f"[bold]{tables.plain(reply.subject)}[/] erased with {reply.templates} template(s){waiting}")
