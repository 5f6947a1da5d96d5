"""``gaitkeeper walkers``: clips of rendered walkers, and their gait model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, TextColumn

from gaitkeeper.training.bodies.cli import bodies, clips, clothes

app = typer.Typer(help="Rendered walkers: clips of people who do not exist.", no_args_is_help=True)
app.command()(clips)
app.command()(bodies)
app.command()(clothes)


@app.callback()
def walkers() -> None:
    """Rendered walkers: clips of people who do not exist."""


@app.command(name="fit-model")
def fit_model(
    kinect_root: Annotated[Path, typer.Argument(help="Kinect Gait Biometry data: folder or walks.npz.")],
    out: Annotated[Path, typer.Option(help="File to write, .npz.")] = Path("gait_model.npz"),
    partition: Annotated[str, typer.Option(help="Whose part 'train' to fit on.")] = "kinect_75_15_50",
) -> None:
    """Fit the statistical gait model on the training people; without options, reproduces the shipped model."""
    from gaitkeeper.training.datasets import open_dataset
    from gaitkeeper.training.datasets.partition import load_partition
    from gaitkeeper.training.walkers.gait_model import GaitModel

    walks = load_partition(partition).of(open_dataset("kinect", kinect_root), "train")
    model = GaitModel.fit(walks)
    model.save(out)
    typer.echo(f"{len(model.people)} people, {len(walks)} walks, {len(model.between)} components: {out}")


@app.command()
def render(
    name: Annotated[str, typer.Argument(metavar="SET", help="train, calibrate, walkers-b or walkers-xl.")],
    kinect: Annotated[Path, typer.Argument(help="Folder of the Kinect Gait Biometry data set.")],
    out: Annotated[Path, typer.Argument(help="File to write, .npz.")],
    people: Annotated[int | None, typer.Option(min=1, help="Drawn people, other than the set's own number.")] = None,
    takes: Annotated[int | None, typer.Option(min=1, help="Takes of each in training.")] = None,
    frames: Annotated[int | None, typer.Option(min=15, help="Frames of each take, at 30 Hz.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Other than the set's own.")] = None,
    device: Annotated[str, typer.Option(help="Where torch renders: cpu or cuda.")] = "cpu",
) -> None:
    """Render a set of silhouettes and joints for training or evaluation; prints the sha256 of its contents."""
    from dataclasses import replace

    import torch

    from gaitkeeper.training.walkers.pack import render_set
    from gaitkeeper.training.walkers.sets import SETS

    if name not in SETS:
        raise typer.BadParameter(f"{name!r} is not a set; known are {', '.join(SETS)}.", param_hint="SET")
    torch.set_num_threads(1)
    changes = {"people": people, "takes": takes, "frames": frames}
    size = replace(SETS[name].size, **{key: value for key, value in changes.items() if value is not None})
    out.parent.mkdir(parents=True, exist_ok=True)
    with Progress(TextColumn("{task.description}"), TextColumn("{task.completed} takes")) as bar:
        task = bar.add_task(name, total=None)
        sha256 = render_set(
            name, kinect, out, size=size, seed=seed, device=device, on_progress=lambda n: bar.update(task, completed=n)
        )
    typer.echo(f"{sha256}  {out}")


@app.command()
def mix(
    out: Annotated[Path, typer.Argument(help="File to write, .npz.")],
    packs: Annotated[
        list[str], typer.Argument(metavar="PACK[:PEOPLE]...", help="Packs; of PACK:N the first N people.")
    ],
) -> None:
    """Make one pack of several with different people; prints the sha256."""
    from gaitkeeper.training.datasets.walkers import mix as mixed

    parts = [text.rpartition(":") if text.rpartition(":")[2].isdecimal() else (text, "", "") for text in packs]
    sha256 = mixed(out, [(Path(file), int(people) if people else None) for file, _, people in parts])
    typer.echo(f"{sha256}  {out}")


@app.command()
def sheet(
    real: Annotated[Path, typer.Option(help="PsyMo, folder or archive: the real people.")],
    out_dir: Annotated[Path, typer.Argument(help="Folder for one PNG a condition and figures.json.")] = Path(
        "runs/sheets"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of the rendered people.")] = 0,
) -> None:
    """Put rendered silhouettes beside real ones, by view and condition: a row of real ones, a row of rendered ones."""
    import json

    import torch
    from rich.console import Console
    from rich.table import Table

    from gaitkeeper.training.walkers.sheet import write_sheets

    torch.set_num_threads(1)
    table = Table("condition", "view", "area, real", "area, made", "rows' widths differ by")
    figures = {}
    for pair in write_sheets(real, out_dir, seed=seed):
        found = figures[f"{pair.condition} {pair.view}"] = pair.figures()
        areas = [f"{found[name]['area'][0]:.3f} ± {found[name]['area'][1]:.3f}" for name in ("real", "made")]
        table.add_row(pair.condition, pair.view, *areas, f"{found['width_difference']:.2f} pixels")
    (out_dir / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    Console().print(table)
