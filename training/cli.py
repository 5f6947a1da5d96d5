"""``gaitkeeper train``: a network from a configuration."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value, e.g. data.root=/data/casia-b; an empty value takes the key away."),
]


def train(
    config: Annotated[Path, typer.Argument(help="TOML file, such as training/configs/gaitpart-casia-b.toml.")],
    change: Changes = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/NAME by default, after the file.")] = None,
    fresh: Annotated[bool, typer.Option(help="Start anew and delete what is in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a network, or go on where it was stopped. The weights file that is left is one that --network takes."""
    from training.config import load_config
    from training.loop import train as run_training

    result = run_training(load_config(config, change or ()), out or Path("runs") / config.stem, fresh=fresh)
    if as_json:
        typer.echo(json.dumps({**asdict(result), "weights": str(result.weights)}))
    else:
        typer.echo(f"{result.step} steps in {result.seconds:.0f} s; weights in {result.weights}")


def cross_validate(
    config: Annotated[Path, typer.Argument(help="TOML file with data.folds, such as jointsgait-kinect.toml.")],
    fold: Annotated[list[int] | None, typer.Option(help="Which folds, counted from 0; all by default.")] = None,
    change: Changes = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the runs; runs/NAME by default, after the file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train on all folds of walks but one and identify that one's walks among the others, fold by fold."""
    from training.config import load_config
    from training.crossval import cross_validate as run_folds

    results = run_folds(load_config(config, change or ()), out or Path("runs") / config.stem, fold)
    mean = sum(r.rank1 for r in results) / len(results)
    if as_json:
        typer.echo(json.dumps({"folds": [asdict(r) for r in results], "mean_rank1": mean}))
        return
    for r in results:
        typer.echo(f"fold {r.fold}: rank-1 {100 * r.rank1:.2f} %  ({r.hits} of {r.probes}; {r.gallery} in the gallery)")
    typer.echo(f"mean of {len(results)} folds: {100 * mean:.2f} %")
