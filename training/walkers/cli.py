"""``gaitkeeper walkers``: clips of rendered walkers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

app = typer.Typer(help="Rendered walkers: clips of people who do not exist.", no_args_is_help=True)


@app.callback()
def walkers() -> None:
    """Rendered walkers: clips of people who do not exist."""


@app.command()
def clips(
    out_dir: Annotated[Path, typer.Argument(help="Folder for the clips; made if it is not there.")],
    people: Annotated[int, typer.Option(min=1, help="How many people, two clips each.")] = 6,
    seconds: Annotated[float, typer.Option(min=1.0, help="Seconds of each clip.")] = 4.0,
    size: Annotated[str, typer.Option(help="Width and height in pixels, even numbers.")] = "848x480",
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same people and clips.")] = 0,
    device: Annotated[str, typer.Option(help="Where torch renders: cpu or cuda.")] = "cpu",
) -> None:
    """Write two clips each of some people: PERSON-gallery.mp4 to enrol, PERSON-probe.mp4 to identify."""
    from training.walkers.clips import gallery, write_clip

    width, _, height = size.partition("x")
    if (
        not (width.isdigit() and height.isdigit())
        or int(width) % 2
        or int(height) % 2
        or min(int(width), int(height)) < 64
    ):
        raise typer.BadParameter(
            f"{size!r} is not a size such as 848x480, in even numbers from 64.", param_hint="--size"
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("frames", total=2 * people * round(seconds * 30))
        for name, clip in gallery(people, seconds=seconds, size=(int(width), int(height)), seed=seed):
            bar.update(task, description=name)
            write_clip(out_dir / f"{name}.mp4", clip, device=device, progress=lambda *_: bar.advance(task))
        bar.update(task, description=f"{2 * people} clips in {out_dir}")
