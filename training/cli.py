"""``gaitkeeper train``: a network from a configuration."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gaitkeeper.training.queue import Standing

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value, e.g. data.root=/data/casia-b; an empty value takes the key away."),
]


def train(
    configs: Annotated[
        list[Path],
        typer.Argument(
            metavar="CONFIG…",
            help="TOML files, such as training/configs/gaitpart-casia-b.toml, and folders of them: a queue.",
        ),
    ],
    change: Changes = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run, or of a queue's runs; after the file, in runs by default.")
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Start one training anew and delete what is in its folder.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="Trainings of a queue at a time, a core each.")] = 1,
    status: Annotated[bool, typer.Option("--status", help="Say where each training stands, and train none.")] = False,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="Measure memory and time of some steps on random walks, and train none."),
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Train even if a step seems to need more memory than is free.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a network, or resume a training, also with more steps than before.

    The resulting weights file works with --network. Several configurations are a queue: finished trainings and those
    of other processes are skipped, and a failed one does not stop the next.
    """
    from gaitkeeper.training import queue
    from gaitkeeper.training.config import load_config
    from gaitkeeper.training.errors import BadTrainingConfig

    changes = change or ()
    if estimate:
        _estimate(queue.configurations(configs), changes, as_json)
        return
    if len(configs) > 1 or configs[0].is_dir():
        if fresh:
            raise BadTrainingConfig("--fresh takes one configuration; to start a whole queue anew, delete its runs.")
        runs = out or Path("runs")
        if not status and processes > 1:
            settings = [word for each in changes for word in ("--set", each)]
            own = [*map(str, configs), *settings, "--out", str(runs), *(["--anyway"] if anyway else [])]
            queue.work_off_in(processes, own)
        elif not status:
            queue.work_off(configs, runs, changes, anyway=anyway)
        _tell(queue.standings(configs, runs, changes), as_json)
        return
    run = out or Path("runs") / configs[0].stem
    if status:
        _tell([queue.standing(configs[0], run, changes)], as_json)
        return
    from gaitkeeper.training.loop import train as run_training

    result = run_training(load_config(configs[0], changes), run, fresh=fresh, anyway=anyway)
    if as_json:
        typer.echo(json.dumps({**asdict(result), "weights": str(result.weights)}))
    else:
        typer.echo(f"{result.step} steps in {result.seconds:.0f} s; weights in {result.weights}")


def _estimate(configs: list[Path], changes: list[str] | tuple[str, ...], as_json: bool) -> None:
    """Print what each training needs."""
    from gaitkeeper.training.config import load_config
    from gaitkeeper.training.estimate import estimate as measured

    told = []
    for path in configs:
        found = measured(load_config(path, changes))
        told.append({"name": path.stem, "needed_bytes": found.need.total, **asdict(found)})
        if as_json:
            continue
        free = "" if found.free_bytes is None else f" of {found.free_bytes / 1e9:.1f} GB that are free"
        line = f"{path.stem}: {found.people} people, a step needs some {found.need.total / 1e9:.1f} GB{free}"
        if found.measured is None:
            line += "; not measured, as it does not fit"
        else:
            hours = found.measured.step_seconds * found.steps / 3600
            line += (
                f"; measured {found.measured.peak_bytes / 1e9:.1f} GB in all and {found.measured.step_seconds:.2f} s "
                f"a step, {hours:.1f} hours for {found.steps} steps"
            )
        typer.echo(line)
    if as_json:
        typer.echo(json.dumps(told))


def _tell(standings: list[Standing], as_json: bool) -> None:
    """Print a line per training; exit code 2 if one has failed."""
    if as_json:
        typer.echo(json.dumps([{**asdict(each), "run": str(each.run)} for each in standings]))
    for each in [] if as_json else standings:
        loss = "" if each.loss is None else f", loss {each.loss:.3f}"
        left = f", {each.seconds_left / 60:.0f} minutes left" if each.seconds_left else ""
        problem = f": {each.problem}" if each.problem else ""
        typer.echo(f"{each.name}: {each.state}, {each.step} of {each.steps} steps{loss}{left}{problem}")
    if any(each.state == "failed" for each in standings):
        raise typer.Exit(2)


def cross_validate(
    config: Annotated[Path, typer.Argument(help="TOML file with data.folds, such as jointsgait-kinect.toml.")],
    fold: Annotated[list[int] | None, typer.Option(help="Which folds, counted from 0; all by default.")] = None,
    change: Changes = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the runs; runs/NAME by default, after the file.")] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Train even if a step seems to need more memory than is free.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train on all folds of walks but one, and identify the walks of that fold among the others, fold by fold."""
    from gaitkeeper.training.config import load_config
    from gaitkeeper.training.crossval import cross_validate as run_folds

    results = run_folds(load_config(config, change or ()), out or Path("runs") / config.stem, fold, anyway=anyway)
    mean = sum(r.rank1 for r in results) / len(results)
    if as_json:
        typer.echo(json.dumps({"folds": [asdict(r) for r in results], "mean_rank1": mean}))
        return
    for r in results:
        shares = f"rank-1 {100 * r.rank1:.2f} %, equal error rate {100 * r.equal_error_rate:.2f} %"
        typer.echo(f"fold {r.fold}: {shares}  ({r.hits} of {r.probes}; {r.gallery} in the gallery)")
    typer.echo(f"mean of {len(results)} folds: {100 * mean:.2f} %")


def refit(
    weights: Annotated[str, typer.Argument(help="A network or a .safetensors file.")],
    pack: Annotated[
        Path, typer.Argument(help="Walks of training people: the set 'train' of `gaitkeeper walkers render`.")
    ],
    out: Annotated[Path, typer.Argument(help="Weights file to write, .safetensors.")],
    partition: Annotated[str | None, typer.Option(help="Partition of the people; all people if not given.")] = None,
    walks: Annotated[int, typer.Option(min=1, help="How many walks, drawn at random.")] = 4000,
    dims: Annotated[int, typer.Option(min=1, help="Width of the new embedding.")] = 64,
    ridge: Annotated[float, typer.Option(min=0, max=0.99, help="Share of an isotropic covariance.")] = 0.1,
    weigh: Annotated[
        bool,
        typer.Option("--weigh/--equal", help="Weigh each direction by how much people differ in it, or all equally."),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw of walks.")] = 0,
) -> None:
    """Fit a network's last layer in closed form, so that distances weigh what separates people; stored in fp16."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from gaitkeeper import models
    from gaitkeeper.training.datasets import load_partition, walks_for
    from gaitkeeper.training.last_layer import refit as fit

    before = models.load(weights)
    dataset = walks_for([before], pack)
    if partition is not None:
        dataset = load_partition(partition).of(dataset, "train")
    dataset = dataset.drawn(walks, seed)
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True) as bar:
        task = bar.add_task("walks", total=len(dataset))
        net = fit(
            before,
            dataset,
            dims=dims,
            ridge=ridge,
            weigh=weigh,
            on_progress=lambda n: bar.update(task, completed=n),
        )
    models.save(net, out, half=True)
    typer.echo(f"{net.name}: {len(dataset)} walks, embeddings of {net.out_shape[0]} × {net.out_shape[1]} in {out}")


def fuse(
    weights: Annotated[list[str], typer.Argument(help="Networks or .safetensors files, then the file to write.")],
    walks: Annotated[
        Path, typer.Option(help="Walks of people that nothing is tested on: the set 'calibrate' of `walkers render`.")
    ],
    share: Annotated[
        list[float] | None, typer.Option(help="Of each network, in their order; equal by default.")
    ] = None,
    count: Annotated[int, typer.Option(min=2, help="How many walks, drawn at random.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
) -> None:
    """Combine networks into one, whose distance is the weighted sum of their distances; stored in fp16."""
    from gaitkeeper import models
    from gaitkeeper.training.datasets import walks_for
    from gaitkeeper.training.errors import BadTrainingConfig
    from gaitkeeper.training.fuse import fuse as fuse_networks

    *sources, out = weights
    if len(sources) < 2:
        raise BadTrainingConfig("Name two networks or more, and the file to write.")
    networks = [models.load(source) for source in sources]
    dataset = walks_for(networks, walks).drawn(count, seed)
    net = fuse_networks(networks, share or [1.0] * len(networks), dataset, seed=seed)
    models.save(net, out, half=True)
    typer.echo(f"{' + '.join(sources)}: embeddings of {net.out_shape[0]} × {net.out_shape[1]} in {out}")
