"""Commands for collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gaitkeeper.service.commands.console.command import Answer, answers
from gaitkeeper.service.commands.console.terminal import OUT, JsonOption, StoreOption, print_json, progress, waiting

if TYPE_CHECKING:
    from gaitkeeper.models import GaitNetwork
    from gaitkeeper.pipelines.fingerprint import Fingerprint
    from gaitkeeper.service.recogniser import Recogniser

app = typer.Typer(help="Collections. Each has its own network.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(metavar="C", help="Name of the collection.")]


@app.command("list")
@answers("reading the gallery")
def list_(worker: Recogniser) -> Answer:
    """List the collections."""
    reply = worker.collections()

    def show() -> None:
        from gaitkeeper.service.commands.console import tables

        OUT.print(tables.collections(reply.collections))

    return reply, show


@app.command()
@answers("writing")
def create(
    worker: Recogniser,
    collection: NameArgument,
    keeps_heatmaps: Annotated[
        bool,
        typer.Option("--keep-heatmaps", help="Keep joint heatmaps, which some networks read."),
    ] = False,
    ttl: Annotated[float | None, typer.Option(min=1, max=3.2e9, help="Seconds after which templates expire.")] = None,
) -> Answer:
    """Create a collection."""
    reply = worker.create_collection(collection, keeps_heatmaps=keeps_heatmaps, ttl_seconds=ttl)
    return reply, f"{reply.name} is there, and empty"


@app.command()
@answers("deleting")
def delete(worker: Recogniser, collection: NameArgument) -> Answer:
    """Delete a collection and everyone in it."""
    reply = worker.delete_collection(collection)
    return reply, f"{collection} deleted with {reply.templates} template(s){waiting(reply.pending)}"


@app.command()
def migrate(
    collection: NameArgument,
    to: Annotated[
        str | None, typer.Option("--to", metavar="NETWORK", help="A network's name, or a .safetensors file.")
    ] = None,
    back: Annotated[bool, typer.Option("--rollback", help="Return to the network before the last migration.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Migrate a collection to another network, from its stored gait sequences. Searches continue meanwhile."""
    from gaitkeeper import models
    from gaitkeeper.gallery.migration import migrate, rollback
    from gaitkeeper.gallery.names import check_collection
    from gaitkeeper.gallery.networks import network_of
    from gaitkeeper.gallery.stores.audit import acting
    from gaitkeeper.gallery.stores.open import open_store
    from gaitkeeper.service.errors import BadSettings
    from gaitkeeper.service.settings import load_settings

    if (to is None) != back:
        raise BadSettings("Use either --to with a network, or --rollback.")
    settings = load_settings(**({"store": store} if store else {}))
    check_collection(collection)

    def former(fingerprint: Fingerprint) -> GaitNetwork:
        return network_of(fingerprint, [settings.network] if settings.network else [])

    opened = open_store(settings.store_url, settings.vault)
    try:
        with progress("moving") as tell, acting("command line"):

            def on_progress(done: int, of: int) -> None:
                tell(f"{done} of {of} templates", done / of)

            if to is None:
                moved = rollback(opened, collection, former, on_progress)
            else:
                moved = migrate(opened, collection, models.load(to), on_progress)
    finally:
        opened.close()
    if as_json:
        print_json(moved)
        return
    OUT.print(f"{moved.name}: {moved.templates} template(s), now of {moved.fingerprint}", markup=False, soft_wrap=True)
