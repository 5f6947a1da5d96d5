"""Commands for strangers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gaitkeeper.service.commands.console.command import Answer, answers
from gaitkeeper.service.commands.console.terminal import OUT, CollectionOption, KeepArgument, waiting

if TYPE_CHECKING:
    from gaitkeeper.service.recogniser import Recogniser

app = typer.Typer(help="Unknown walkers that a collection keeps.", no_args_is_help=True)
GroupArgument = Annotated[str, typer.Argument(metavar="GROUP", help="Id of a group, from the list.")]


@app.command("list")
@answers("reading the gallery")
def list_(worker: Recogniser, collection: CollectionOption = "default") -> Answer:
    """List the unknown walkers, grouped by similarity."""
    reply = worker.strangers(collection=collection)

    def show() -> None:
        from gaitkeeper.service.commands.console import tables

        if reply.keep_seconds is None:
            OUT.print("This collection keeps no strangers.")
        OUT.print(tables.strangers(reply.groups))

    return reply, show


@app.command()
@answers("writing")
def keep(worker: Recogniser, seconds: KeepArgument = None, collection: CollectionOption = "default") -> Answer:
    """Keep future unknown walkers for SECONDS. Without SECONDS, stop keeping them and delete all."""
    reply = worker.keep_strangers(seconds, collection=collection)
    return reply, "No strangers are kept." if seconds is None else f"Strangers are kept for {seconds:g} s."


@app.command()
@answers("enrolling")
def name(
    worker: Recogniser,
    group: GroupArgument,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Id of the subject to enrol them as.")],
    collection: CollectionOption = "default",
) -> Answer:
    """Enrol a group as one subject."""
    reply = worker.name_strangers(group, subject, collection=collection)
    return reply, f"{reply.subject} enrolled with {len(reply.templates)} template(s)"


@app.command()
@answers("erasing")
def forget(
    worker: Recogniser,
    group: Annotated[
        str | None, typer.Argument(metavar="GROUP", help="Id of a group. Without it, all strangers are deleted.")
    ] = None,
    collection: CollectionOption = "default",
) -> Answer:
    """Delete a group, or all strangers."""
    reply = worker.forget_strangers(group, collection=collection)
    return reply, f"{reply.subjects} stranger(s) forgotten{waiting(reply.pending)}"
