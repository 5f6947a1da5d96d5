"""``gaitkeeper walkers clips``, ``bodies`` and ``clothes``: clips and sets of real bodies, and their clothes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

ASSETS = "Folder of MakeHuman's clothes; without it GAITKEEPER_ASSETS, or the cache, into which they are fetched."


def clips(
    out_dir: Annotated[Path, typer.Argument(help="Folder for the clips; made if it is not there.")],
    people: Annotated[int, typer.Option(min=1, help="How many people, two clips each.")] = 6,
    seconds: Annotated[float, typer.Option(min=1.0, help="Seconds of each clip.")] = 4.0,
    size: Annotated[str, typer.Option(help="Width and height in pixels, even numbers.")] = "848x480",
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same people and clips.")] = 0,
    other_outfit: Annotated[
        bool, typer.Option("--other-outfit", help="Other clothes in the clip to identify.")
    ] = False,
    azimuth: Annotated[float, typer.Option(help="Direction of the camera; 0 sees the face, 90 the left side.")] = 90.0,
    height: Annotated[
        float | None, typer.Option(min=0.3, max=8.0, help="Metres of the camera above the floor.")
    ] = None,
    rate: Annotated[int, typer.Option(min=5, max=60, help="Frames a second.")] = 30,
    grey: Annotated[bool, typer.Option("--grey", help="Without colour.")] = False,
    crf: Annotated[int, typer.Option(min=0, max=51, help="Compression; more makes smaller files.")] = 20,
    assets: Annotated[Path | None, typer.Option(help=ASSETS)] = None,
) -> None:
    """Write two clips each of some people: PERSON-gallery.mp4 to enrol, PERSON-probe.mp4 to identify."""
    from gaitkeeper.training.bodies.packages import need_packages

    found = _size(size)
    need_packages()
    from gaitkeeper.training.bodies.clips import Stage, gallery
    from gaitkeeper.training.bodies.model import body_model
    from gaitkeeper.training.bodies.recording import Recording
    from gaitkeeper.training.bodies.wardrobe import Wardrobe

    model = body_model()
    made = gallery(
        Stage(model, Wardrobe(model, assets)), people, other_outfit=other_outfit, azimuth=azimuth, height=height,
        seconds=seconds, size=found, seed=seed, recording=Recording(rate=rate, grey=grey, noise=1.0),
    )  # fmt: skip
    out_dir.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("clips", total=2 * people)
        for name, clip in made:
            bar.update(task, description=name)
            clip.write(out_dir / f"{name}.mp4", crf)
            bar.advance(task)
        bar.update(task, description=f"{2 * people} clips in {out_dir}")


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


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    sides = [int(side) if side.isdigit() else 0 for side in (width, height)]
    if any(side % 2 or side < 64 for side in sides):
        raise typer.BadParameter(
            f"{text!r} is not a size such as 848x480, in even numbers from 64.", param_hint="--size"
        )
    return sides[0], sides[1]
