"""Commands for cameras: those that a service runs, and what collections have learnt from passers-by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gaitkeeper.service.commands import watching
from gaitkeeper.service.commands.console.command import Answer, answers, with_options
from gaitkeeper.service.commands.console.terminal import (
    OUT,
    CollectionOption,
    JsonOption,
    KeepArgument,
    KeyOption,
    ServerOption,
    StoreOption,
    print_json,
    progress,
    recogniser,
)
from gaitkeeper.service.options import ClipOptions

if TYPE_CHECKING:
    from gaitkeeper.service.recogniser import Recogniser

app = typer.Typer(
    help="Cameras that a service runs, and what a collection has learnt about cameras from passers-by.",
    no_args_is_help=True,
)
app.command("add")(watching.add)
app.command("list")(watching.list_)
app.command("on")(watching.on)
app.command("off")(watching.off)
app.command("remove")(watching.remove)
CameraArgument = Annotated[str, typer.Argument(metavar="CAMERA", help="Name of the camera.")]


@app.command()
@answers("reading the gallery")
def learnt(worker: Recogniser, collection: CollectionOption = "default") -> Answer:
    """List the cameras with kept passers-by, by walking direction."""
    reply = worker.cameras(collection)

    def show() -> None:
        from gaitkeeper.service.commands.console import tables

        if reply.keep_seconds is None:
            OUT.print("This collection keeps no passers-by.")
        OUT.print(tables.cameras(reply.views))

    return reply, show


@app.command()
@answers("writing")
def keep(worker: Recogniser, seconds: KeepArgument = None, collection: CollectionOption = "default") -> Answer:
    """Keep future passers-by for SECONDS. Without SECONDS, stop keeping them and delete all."""
    reply = worker.keep_passers_by(seconds, collection=collection)
    return reply, "No passers-by are kept." if seconds is None else f"Passers-by are kept for {seconds:g} s."


@app.command()
@with_options(ClipOptions)
def learn(
    clips: Annotated[
        list[Path],
        typer.Argument(metavar="CLIP…", help="Videos of passers-by.", exists=True, dir_okay=False, readable=True),
    ],
    camera: Annotated[str, typer.Option(help="Name of the camera that recorded the clips.")],
    options: ClipOptions,
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep the walkers of clips as passers-by of a camera, without identifying them."""
    with recogniser(server, store, key) as worker:
        for clip in clips:
            with progress(f"looking at {clip.name}") as tell:
                reply = worker.learn(clip, camera, on_progress=tell, **options)
            if as_json:
                print_json(reply)
            else:
                OUT.print(f"{clip}: {reply.kept} of {reply.walkers} walker(s) kept", markup=False, soft_wrap=True)


@app.command()
@answers("erasing")
def forget(worker: Recogniser, camera: CameraArgument, collection: CollectionOption = "default") -> Answer:
    """Delete the passers-by of a camera, for example after it was moved."""
    return worker.forget_camera(collection, camera), f"{camera} is forgotten."
