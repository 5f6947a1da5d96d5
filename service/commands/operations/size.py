"""The command that computes the hardware for a load."""

from __future__ import annotations

from typing import Annotated

import typer

from service.commands.console.terminal import OUT, JsonOption


def size(
    cameras: Annotated[int, typer.Option(min=1, help="Cameras that send clips.")],
    people: Annotated[float, typer.Option(min=0.001, help="People who walk past each of them, an hour.")],
    templates: Annotated[int, typer.Option(min=0, help="Templates that are enrolled.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds of clip that show one of them.")] = 5.0,
    peak: Annotated[float, typer.Option(min=1, help="How many times the mean the busiest minutes are.")] = 3.0,
    gpu_frames: Annotated[
        float | None, typer.Option(min=0.001, help="Frames a second of one GPU, as you measured it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compute the hardware that a load needs. The formulas are in docs/scale.md."""
    from service.operations.sizing import Load, Units
    from service.operations.sizing import size as sized

    load = Load(cameras=cameras, people=people, templates=templates, seconds=seconds, peak=peak)
    needed = sized(load, Units(gpu_frames=gpu_frames))
    if as_json:
        typer.echo(needed.model_dump_json(indent=2))
        return
    for what, figure in needed.rows():
        OUT.print(f"{what}: {figure}", highlight=False)
