"""``gaitkeeper walkers bodies`` and ``gaitkeeper walkers clothes``: sets of real bodies and their clothes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ASSETS = "Folder of MakeHuman's clothes; without it GAITKEEPER_ASSETS, or the cache, into which they are fetched."


def bodies(
    name: Annotated[str, typer.Argument(metavar="SET", help="train, calibrate, bodies-b or bodies-xl.")],
    kinect: Annotated[Path, typer.Argument(help="Folder of the Kinect Gait Biometry data set.")],
    out: Annotated[Path, typer.Argument(help="File to write, .npz; OUT.parts holds what is done until all is.")],
    assets: Annotated[Path | None, typer.Option(help=ASSETS)] = None,
    people: Annotated[int | None, typer.Option(min=1, help="How many people, other than the set's own number.")] = None,
    takes: Annotated[int | None, typer.Option(min=1, help="Takes of each in training.")] = None,
    frames: Annotated[int | None, typer.Option(min=15, help="Frames of each take.")] = None,
    rate: Annotated[int | None, typer.Option(min=5, max=30, help="Frames a second: 30, 15, 10, 6 or 5.")] = None,
    outfit_share: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Share of a person's training takes in the usual outfit.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Other than the set's own.")] = None,
    perceived: Annotated[
        bool, typer.Option("--perceived", help="Render pictures, and let the project's own perception process them.")
    ] = False,
) -> None:
    """Render a set of real bodies for training or evaluation; resumes where it was stopped; prints the sha256."""
    from dataclasses import replace

    import cv2
    import torch

    from gaitkeeper.training.bodies.packages import need_packages

    need_packages()
    from gaitkeeper.training.bodies.pack import render_set
    from gaitkeeper.training.bodies.population import SETS

    if name not in SETS:
        raise typer.BadParameter(f"{name!r} is not a set; known are {', '.join(SETS)}.", param_hint="SET")
    if rate is not None and 30 % rate:
        raise typer.BadParameter(f"{rate} does not divide 30.", param_hint="--rate")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    changes = {"people": people, "takes": takes, "frames": frames, "rate": rate, "outfit_share": outfit_share}
    size = replace(SETS[name].size, **{key: value for key, value in changes.items() if value is not None})  # type: ignore[arg-type]
    out.parent.mkdir(parents=True, exist_ok=True)

    def tell(done: int, total: int) -> None:
        typer.echo(f"{done} of {total} people", err=True)

    sha256 = render_set(name, kinect, out, assets=assets, size=size, seed=seed, perceived=perceived, on_progress=tell)
    typer.echo(f"{sha256}  {out}")


def clothes() -> None:
    """Fetch the clothes of real bodies into the cache and check each against the manifest."""
    from gaitkeeper.training.bodies.assets import fetch_all

    typer.echo(f"{len(fetch_all())} files")
