"""Commands for collections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from gaitkeeper.service.commands.console.command import Answer, answers
from gaitkeeper.service.commands.console.terminal import (
    ERR,
    OUT,
    JsonOption,
    StoreOption,
    print_json,
    progress,
    waiting,
)

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
    sightings: Annotated[
        float | None,
        typer.Option(min=1, max=3.2e9, help="Seconds for which sightings, and pictures of subjects, are kept."),
    ] = None,
) -> Answer:
    """Create a collection."""
    reply = worker.create_collection(
        collection, keeps_heatmaps=keeps_heatmaps, ttl_seconds=ttl, sightings_seconds=sightings
    )
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
    drop: Annotated[
        bool,
        typer.Option(
            "--drop",
            help="Delete the embeddings of the other network: after this there is no way back, and an unfinished "
            "migration starts from the beginning.",
        ),
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Migrate a collection to another network, from its stored gait sequences. Searches continue meanwhile."""
    from gaitkeeper import models
    from gaitkeeper.gallery.decision.calibration import calibrations_with
    from gaitkeeper.gallery.migration import migrate, rollback
    from gaitkeeper.gallery.names import check_collection
    from gaitkeeper.gallery.networks import network_of
    from gaitkeeper.gallery.stores.audit import acting
    from gaitkeeper.gallery.stores.open import open_store
    from gaitkeeper.service.errors import BadSettings
    from gaitkeeper.service.settings import load_settings

    if (to is not None) + back + drop != 1:
        raise BadSettings("Use one of --to with a network, --rollback and --drop.")
    settings = load_settings(**({"store": store} if store else {}))
    check_collection(collection)

    def former(fingerprint: Fingerprint) -> GaitNetwork:
        return network_of(fingerprint, [settings.network] if settings.network else [])

    opened = open_store(settings.store_url, settings.vault)
    try:
        with progress("moving") as tell, acting("command line"):

            def on_progress(done: int, of: int) -> None:
                tell(f"{done} of {of} templates", done / of)

            dropped = None
            if drop:
                dropped = opened.drop_shadow(collection)
                moved = opened.collection(collection)
            elif to is None:
                moved = rollback(opened, collection, former, on_progress)
            else:
                network = models.load(to)
                moved = migrate(opened, collection, network, on_progress)
                _warn(network, calibrations_with(settings.calibration))
    finally:
        opened.close()
    if as_json:
        print_json(moved)
    elif dropped is not None:
        told = f"{moved.name}: the other network's {dropped.templates} embedding(s) deleted{waiting(dropped.pending)}"
        OUT.print(f"{told}; still of {moved.fingerprint}", markup=False, soft_wrap=True)
    else:
        told = f"{moved.name}: {moved.templates} template(s), now of {moved.fingerprint}"
        OUT.print(told, markup=False, soft_wrap=True)


def _warn(network: GaitNetwork, calibrations: Iterable[Fingerprint]) -> None:
    """Say on stderr what a collection lacks with a network."""
    calibrated = {(known.network, known.weights) for known in calibrations}
    if not network.trained:
        told = "is untrained: its weights are random, and the ranking means little"
    elif (network.name, network.weights_id) not in calibrated:
        told = "is not calibrated: every verdict will be inconclusive"
    else:
        return
    ERR.print(f"warning: {network.name} {told}. --rollback returns to the former network.", style="yellow")
