"""The command that computes the hardware for a load."""

from __future__ import annotations

from typing import Annotated

import typer

from gaitkeeper.service.commands.console.terminal import OUT, JsonOption


def size(
    cameras: Annotated[int, typer.Option(min=1, help="Number of cameras that send clips.")],
    people: Annotated[float, typer.Option(min=0.001, help="Number of people who walk past each camera per hour.")],
    templates: Annotated[int, typer.Option(min=0, help="Number of enrolled templates.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds of video per person.")] = 5.0,
    peak: Annotated[float, typer.Option(min=1, help="Load of the busiest minutes, as a multiple of the mean.")] = 3.0,
    gpu_frames: Annotated[
        float | None, typer.Option(min=0.001, help="Measured throughput of one GPU, in frames per second.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compute the hardware that a load needs. The formulas are in docs/scale.md."""
    from gaitkeeper.service.operations.sizing import Load, Units
    from gaitkeeper.service.operations.sizing import size as sized

    load = Load(cameras=cameras, people=people, templates=templates, seconds=seconds, peak=peak)
    needed = sized(load, Units(gpu_frames=gpu_frames))
    if as_json:
        typer.echo(needed.model_dump_json(indent=2))
        return
    for what, figure in needed.rows():
        OUT.print(f"{what}: {figure}", highlight=False)
