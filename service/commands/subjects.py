"""Commands for the people of a collection."""

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
    from service.commands.console import tables

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
    """Show one person's data and templates."""
    with progress("reading the gallery"), recogniser(server, store, key) as worker:
        reply = worker.subject(subject, collection=collection)
    if as_json:
        print_json(reply)
        return
    from service.commands.console import tables

    OUT.print(tables.subjects([reply.subject]))
    OUT.print(tables.templates(reply.templates))
    for outlier in reply.outliers:
        OUT.print(tables.outlier(outlier), soft_wrap=True)


@app.command()
def erase(
    subject: SubjectArgument,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase a person and all their data."""
    with progress("erasing"), recogniser(server, store, key) as worker:
        reply = worker.erase(subject, collection=collection)
    if as_json:
        print_json(reply)
        return
    from service.commands.console import tables

    OUT.print(
        f"[bold]{tables.plain(reply.subject)}[/] erased with {reply.templates} template(s){waiting(reply.pending)}"
    )


@app.command()
def update(
    subject: SubjectArgument,
    name: Annotated[str | None, typer.Option("--name", help="Display name.")] = None,
    meta: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Metadata, in place of all that is there; may be repeated."),
    ] = None,
    legal_basis: Annotated[str | None, typer.Option(help="On what ground the data is kept; empty for none.")] = None,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a person's display name, metadata or legal basis."""
    from service.recognition.metadata import pairs_of

    with progress("writing"), recogniser(server, store, key) as worker:
        metadata = None if meta is None else pairs_of(meta)
        reply = worker.update_subject(
            subject, display_name=name, metadata=metadata, legal_basis=legal_basis, collection=collection
        )
    if as_json:
        print_json(reply)
        return
    from service.commands.console import tables

    OUT.print(tables.subjects([reply.subject]))


@app.command("delete-template")
def delete_template(
    subject: SubjectArgument,
    template: Annotated[str, typer.Argument(help="Id of the template, or the start of it if no other starts so.")],
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete one of a person's templates; the person stays."""
    with progress("deleting"), recogniser(server, store, key) as worker:
        ids = [known.id for known in worker.subject(subject, collection=collection).templates]
        meant = [known for known in ids if known.startswith(template)]
        reply = worker.delete_template(subject, meant[0] if len(meant) == 1 else template, collection=collection)
    if as_json:
        print_json(reply)
        return
    OUT.print(f"{reply.templates} template(s) deleted{waiting(reply.pending)}")
