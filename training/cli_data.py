"""``gaitkeeper dataset`` and ``gaitkeeper evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from gaitkeeper.gallery.decision.calibration import Calibration, FpirThresholds
    from gaitkeeper.models import GaitNetwork

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())

dataset = typer.Typer(help="Data sets to train and evaluate on.", no_args_is_help=True)


@dataset.callback()
def _dataset() -> None:
    """Data sets to train and evaluate on."""


@dataset.command()
def build(
    videos: Annotated[
        Path, typer.Argument(help="Folder of subject/condition-take/view.mp4.", exists=True, file_okay=False)
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the gait sequences; made if it is not there.")],
    heatmaps: Annotated[bool, typer.Option(help="Keep joint heatmaps; they take most of the room.")] = True,
    retry: Annotated[bool, typer.Option(help="Try videos again that gave nothing before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Make gait sequences of a folder of videos. An interrupted run resumes with the same command."""
    from gaitkeeper.training.datasets.build import build_dataset
    from gaitkeeper.training.datasets.build_report import summary

    console = Console(stderr=True)
    with Progress(*COLUMNS, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("videos", total=None)

        def tell(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=name)

        report = build_dataset(videos, out, heatmaps=heatmaps, retry=retry, on_progress=tell)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        Console().print(summary(report))


def evaluate(
    weights: Annotated[
        list[str],
        typer.Argument(metavar="WEIGHTS... DATASET", help="Networks or .safetensors files, then the data set."),
    ],
    format: Annotated[str, typer.Option(help="Layout of the data set, such as casia_b or psymo.")] = "sequences",
    protocol: Annotated[str | None, typer.Option(help="Which walks meet; the data set's own if not given.")] = None,
    partition: Annotated[
        str | None, typer.Option(help="Who is tested: a name, a .toml or .json file, or 'none'; the protocol's own.")
    ] = None,
    part: Annotated[str, typer.Option(help="Which part of the partition is tested.")] = "test",
    baselines: Annotated[bool, typer.Option(help="Also the gait energy image, and each network untrained.")] = False,
    scaled: Annotated[bool, typer.Option(help="Kinect networks that read scale-normalised joints.")] = False,
    centring: Annotated[
        bool, typer.Option(help="Subtract each view's mean effect, estimated from other people.")
    ] = False,
    max_pairs: Annotated[
        int, typer.Option(min=1, help="Probe-template pairs of the verification and open-set tests.")
    ] = 4_000_000,
    gallery_size: Annotated[int | None, typer.Option(min=1, help="People enrolled in the open-set test.")] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Draws of people for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0,
    device: Annotated[str, typer.Option(help="Where the networks run: cpu or cuda.")] = "cpu",
    out: Annotated[
        list[Path] | None,
        typer.Option(help="File for the results: all in .json or .csv, a LaTeX table in .tex; may be repeated."),
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for DET, CMC and view pictures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Measure how well networks identify the people of a data set, with a standard protocol."""
    if len(weights) < 2:
        raise typer.BadParameter("name at least one network and the data set, as in: evaluate gaitset data/CASIA-B")
    from gaitkeeper.training.evaluation.command import run
    from gaitkeeper.training.evaluation.evaluate import EvaluationSettings
    from gaitkeeper.training.evaluation.export import as_json as results_as_json
    from gaitkeeper.training.evaluation.export import writer_for

    writers = [(path, writer_for(path)) for path in out or ()]
    console = Console(stderr=True)
    with Progress(*COLUMNS, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)

        def tell(network: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=network)

        results = run(
            weights[:-1],
            Path(weights[-1]),
            format=format,
            protocol=protocol,
            partition=partition,
            part=part,
            baselines=baselines,
            scaled=scaled,
            device=device,
            settings=EvaluationSettings(
                replicates=replicates, seed=seed, gallery_size=gallery_size, centring=centring, max_pairs=max_pairs
            ),
            on_progress=tell,
        )
    for path, write in writers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write(results), encoding="utf-8")
    if plots is not None:
        from gaitkeeper.training.evaluation.plots import draw

        draw(results, plots)
    if as_json:
        typer.echo(results_as_json(results), nl=False)
        return
    from gaitkeeper.training.evaluation.report import identification, tables

    terminal = Console()
    for result in results:
        terminal.print(tables(result))
    if len(results) > 1:
        terminal.print(identification(results))


def calibrate(
    weights: Annotated[str, typer.Argument(metavar="NETWORK", help="A network or a .safetensors file.")],
    pack: Annotated[
        Path | None,
        typer.Argument(help="The set 'calibrate', as rendered by `gaitkeeper walkers render`; none with --clips."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Argument(help="Calibration file, .json; the network's entry is added or replaced. calibration.json."),
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option(
            help="Folder of clips of your own people, subject/clip.mp4: six people or more, two clips or more of each.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option("--out", help="The calibration file, for use with --clips.")] = None,
    perception: Annotated[
        str | None,
        typer.Option(help="Backend that it is for, such as blazepose-full/1; with --clips, blazepose or yolo."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws of galleries.")] = 0,
    strictness: Annotated[
        float, typer.Option(help="Share of the thresholds that real people allow; see `python -m bench.real_people`.")
    ] = 1.0,
    camera_strictness: Annotated[
        float | None, typer.Option(help="The same with passers-by of a camera; by default the same share.")
    ] = None,
    prior_only: Annotated[
        bool, typer.Option("--prior-only", help="Without thresholds in units: for networks that fail on real people.")
    ] = False,
) -> None:
    """Fit a network's thresholds and confidence on people not seen in training: on a rendered set, or with --clips on
    your own people. GAITKEEPER_CALIBRATION names the file to the service and to the other commands.
    """
    from gaitkeeper.models import load

    if (clips is None) == (pack is None):
        raise typer.BadParameter("name either a rendered set or --clips, as in: calibrate fusion --clips people")
    network = load(weights)
    file = to or out or Path("calibration.json")
    if clips is not None:
        _of_clips(network, clips, file, perception, seed)
    elif pack is not None:
        _of_pack(network, pack, file, perception, seed, strictness, camera_strictness, prior_only)


def _of_clips(network: GaitNetwork, clips: Path, out: Path, perception: str | None, seed: int) -> None:
    from gaitkeeper.pipelines import Pipeline
    from gaitkeeper.pipelines.settings import PipelineSettings
    from gaitkeeper.training.own_people import calibrate_own, walks_of

    pipeline = Pipeline(PipelineSettings(**({"perception": perception} if perception else {})))
    console = Console(stderr=True)
    with Progress(*COLUMNS, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("clips", total=None)

        def tell(done: int, of: int, name: str) -> None:
            bar.update(task, completed=done, total=of, description=name)

        try:
            walks = walks_of(clips, network, pipeline, tell)
        finally:
            pipeline.close()
    for name, reason in walks.skipped.items():
        console.print(f"{name} is not used: {reason}", style="yellow", markup=False, soft_wrap=True)
    found, shown = calibrate_own(network, walks, seed=seed)
    _write(found, out)
    for one in shown:
        typer.echo(
            f"FPIR {one.fpir:g}: of {one.people} people, each left out of the fit, {one.people_named} would be named,"
            f" in {one.named} of {one.walks} walks. So few people only show that at most {100 * one.at_most:.0f} %"
            " of strangers are named (95 %)."
        )
    typer.echo(f"Set GAITKEEPER_CALIBRATION={out} to use it.")


def _of_pack(
    network: GaitNetwork,
    pack: Path,
    out: Path,
    perception: str | None,
    seed: int,
    strictness: float,
    camera_strictness: float | None,
    prior_only: bool,
) -> None:
    from gaitkeeper.pipelines.perception.watcher import BlazePose
    from gaitkeeper.training.calibrate import calibrate as fit
    from gaitkeeper.training.datasets import walks_for

    console = Console(stderr=True)
    walks = walks_for([network], pack)
    with Progress(*COLUMNS, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("walks", total=len(walks))
        found = fit(
            network,
            walks,
            perception or BlazePose.name,
            seed=seed,
            strictness=strictness,
            camera_strictness=camera_strictness,
            on_progress=lambda n: bar.update(task, completed=n),
        )
    if prior_only:
        found = found.model_copy(update={"collection": None, "camera": None})
    _write(found, out)


def _write(found: Calibration, out: Path) -> None:
    """Add a calibration to a file, or replace that of its fingerprint, and print its thresholds."""
    from gaitkeeper.gallery.decision.calibration import load_calibrations

    known = dict(load_calibrations(out)) if out.exists() else {}
    known[found.fingerprint] = found
    entries = [c.model_dump(mode="json") for _, c in sorted(known.items(), key=lambda item: str(item[0]))]
    out.write_text(json.dumps({"calibrations": entries}, indent=1) + "\n", encoding="utf-8")
    for basis, tables in _tables(found).items():
        for table in tables:
            pairs = ", ".join(f"{d:.4f} at {n}" for n, d in zip(table.gallery_sizes, table.distances, strict=True))
            typer.echo(f"{found.fingerprint}: {basis}, FPIR {table.fpir:g}: {pairs}")


def _tables(found: Calibration) -> dict[str, tuple[FpirThresholds, ...]]:
    """Thresholds by basis; those in units by number of subjects, those of the prior by number of templates."""
    in_units = {"collection": found.collection, "camera": found.camera}
    return {"prior": found.thresholds} | {name: one.thresholds for name, one in in_units.items() if one is not None}
