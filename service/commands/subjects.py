"""Commands for the people of a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gaitkeeper.service.commands.console.command import Answer, answers
from gaitkeeper.service.commands.console.terminal import OUT, CollectionOption, waiting

if TYPE_CHECKING:
    from gaitkeeper.service.recogniser import Recogniser

app = typer.Typer(help="The enrolled people.", no_args_is_help=True)
SubjectArgument = Annotated[str, typer.Argument(help="Id of the person.")]


@app.command("list")
@answers("reading the gallery")
def list_(worker: Recogniser, collection: CollectionOption = "default") -> Answer:
    """List the enrolled people."""
    reply = worker.subjects(collection=collection)

    def show() -> None:
        from gaitkeeper.service.commands.console import tables

        OUT.print(tables.subjects(reply.subjects))

    return reply, show


@app.command()
@answers("reading the gallery")
def show(worker: Recogniser, subject: SubjectArgument, collection: CollectionOption = "default") -> Answer:
    """Show one person's data and templates."""
    reply = worker.subject(subject, collection=collection)

    def show() -> None:
        from gaitkeeper.service.commands.console import tables

        OUT.print(tables.subjects([reply.subject]))
        OUT.print(tables.templates(reply.templates))
        for outlier in reply.outliers:
            OUT.print(tables.outlier(outlier), soft_wrap=True)

    return reply, show


@app.command()
@answers("erasing")
def erase(worker: Recogniser, subject: SubjectArgument, collection: CollectionOption = "default") -> Answer:
    """Erase a person and all their data."""
    reply = worker.erase(subject, collection=collection)
    return reply, f"{reply.subject} erased with {reply.templates} template(s){waiting(reply.pending)}"


@app.command()
@answers("writing")
def update(
    worker: Recogniser,
    subject: SubjectArgument,
    name: Annotated[str | None, typer.Option("--name", help="Display name.")] = None,
    meta: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Metadata that replaces the present metadata. May be repeated."),
    ] = None,
    legal_basis: Annotated[
        str | None, typer.Option(help="Legal basis for keeping the data. An empty text removes it.")
    ] = None,
    collection: CollectionOption = "default",
) -> Answer:
    """Change a person's display name, metadata or legal basis."""
    from gaitkeeper.service.recognition.parsing.metadata import pairs_of

    metadata = None if meta is None else pairs_of(meta)
    reply = worker.update_subject(
        subject, display_name=name, metadata=metadata, legal_basis=legal_basis, collection=collection
    )

    def show() -> None:
        from gaitkeeper.service.commands.console import tables

        OUT.print(tables.subjects([reply.subject]))

    return reply, show


@app.command("delete-template")
@answers("deleting")
def delete_template(
    worker: Recogniser,
    subject: SubjectArgument,
    template: Annotated[str, typer.Argument(help="Id of the template, or the first characters if they are unique.")],
    collection: CollectionOption = "default",
) -> Answer:
    """Delete one of a person's templates; the person stays."""
    ids = [known.id for known in worker.subject(subject, collection=collection).templates]
    meant = [known for known in ids if known.startswith(template)]
    reply = worker.delete_template(subject, meant[0] if len(meant) == 1 else template, collection=collection)
    return reply, f"{reply.templates} template(s) deleted{waiting(reply.pending)}"
