"""Commands for cameras and passers-by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.commands.console.terminal import (
    OUT,
    CollectionOption,
    JsonOption,
    KeyOption,
    RotateOption,
    ServerOption,
    StoreOption,
    print_json,
    progress,
    recogniser,
    rotation,
)

app = typer.Typer(help="What a collection learns of cameras from who passes them.", no_args_is_help=True)
CameraArgument = Annotated[str, typer.Argument(metavar="CAMERA", help="Name of the camera.")]


@app.command("list")
def list_(
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the cameras with kept passers-by, by walking direction."""
    with progress("reading the gallery"), recogniser(server, store, key) as worker:
        reply = worker.cameras(collection)
    if as_json:
        print_json(reply)
        return
    from service.commands.console import tables

    if reply.keep_seconds is None:
        OUT.print("This collection keeps no passers-by.")
    OUT.print(tables.cameras(reply.views))


@app.command()
def keep(
    seconds: Annotated[float | None, typer.Argument(min=1, max=3.2e9, help="For how long; none keeps nobody.")] = None,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep future passers-by for SECONDS. Without SECONDS, stop keeping them and delete all."""
    with progress("writing"), recogniser(server, store, key) as worker:
        reply = worker.keep_passers_by(seconds, collection=collection)
    if as_json:
        print_json(reply)
        return
    OUT.print("No passers-by are kept." if seconds is None else f"Passers-by are kept for {seconds:g} s.")


@app.command()
def learn(
    clips: Annotated[
        list[Path],
        typer.Argument(metavar="CLIP…", help="Videos of passers-by.", exists=True, dir_okay=False, readable=True),
    ],
    camera: Annotated[str, typer.Option(help="The camera that took the clips.")],
    rotate: RotateOption = None,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep the walkers of clips as passers-by of a camera, without identifying them."""
    with recogniser(server, store, key) as worker:
        for clip in clips:
            with progress(f"looking at {clip.name}") as tell:
                turn = rotation(rotate)
                reply = worker.learn(clip, camera, rotate=turn, collection=collection, on_progress=tell)
            if as_json:
                print_json(reply)
            else:
                OUT.print(f"{clip}: {reply.kept} of {reply.walkers} walker(s) kept", markup=False, soft_wrap=True)


@app.command()
def forget(
    camera: CameraArgument,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete the passers-by of a camera, for example after it was moved."""
    with progress("erasing"), recogniser(server, store, key) as worker:
        reply = worker.forget_camera(collection, camera)
    if as_json:
        print_json(reply)
        return
    OUT.print(f"{camera} is forgotten.", markup=False)
