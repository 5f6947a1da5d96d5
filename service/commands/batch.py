"""Commands that take an archive of clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gaitkeeper.service.commands.console.command import with_options
from gaitkeeper.service.commands.console.terminal import ERR, OUT, JsonOption, StoreOption, progress
from gaitkeeper.service.options import EnrollOptions, IdentifyOptions, complete

if TYPE_CHECKING:
    from gaitkeeper.service.batch.lines import BatchReport

app = typer.Typer(help="Process archives of clips. An interrupted run is continued.", no_args_is_help=True)

PlaceArgument = Annotated[str, typer.Argument(metavar="PLACE", help="A folder, or a bucket such as s3://NAME/PATH.")]
OutOption = Annotated[Path, typer.Option(help="File of results. A run with the same file continues.", dir_okay=False)]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Number of clips at a time, in threads or in workers of the cluster."),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        envvar="RAY_ADDRESS",
        help="Use a Ray cluster: its address, `auto`, or `local` for one on this machine.",
    ),
]
RetryOption = Annotated[bool, typer.Option("--retry", help="Also repeat clips that failed because of the clip itself.")]


@app.command()
@with_options(EnrollOptions, "track", "point", "subjects", "handle")  # one walker in each clip
def enroll(
    place: PlaceArgument,
    options: EnrollOptions,
    out: OutOption = Path("enrolled.jsonl"),
    workers: WorkersOption = None,
    ray: RayOption = None,
    retry: RetryOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enrol every clip SUBJECT/NAME of an archive, one walker in each."""
    _run("enroll", place, options, out, workers, ray, retry, store, as_json)


@app.command()
@with_options(IdentifyOptions, "pictures", "boxes", "explain", "track", "point", "handle", "keep")
def identify(
    place: PlaceArgument,
    options: IdentifyOptions,
    out: OutOption = Path("identified.jsonl"),
    workers: WorkersOption = None,
    ray: RayOption = None,
    retry: RetryOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rank the enrolled people for every walker in the clips of an archive."""
    _run("identify", place, options, out, workers, ray, retry, store, as_json)


def _run(
    kind: Literal["enroll", "identify"],
    place: str,
    options: EnrollOptions | IdentifyOptions,
    out: Path,
    workers: int | None,
    ray: str | None,
    retry: bool,
    store: str | None,
    as_json: bool,
) -> None:
    with progress("batch") as tell:
        from gaitkeeper.gallery.names import check_camera
        from gaitkeeper.gallery.rates import check_rates
        from gaitkeeper.service.batch.lines import Order
        from gaitkeeper.service.batch.run import here, run
        from gaitkeeper.service.errors import BadSettings
        from gaitkeeper.service.recognition.engine import Engine
        from gaitkeeper.service.settings import load_settings

        if ray and store:
            raise BadSettings("--ray and --store exclude each other: every host uses its own GAITKEEPER_STORE.")
        settings = load_settings(**({"store": store} if store else {}))
        with Engine(settings, network_files=not ray) as engine:
            check_camera(options["camera"])
            gallery = engine.gallery(options["collection"], create=kind == "enroll", network=options["network"])
            if kind == "identify":
                check_rates(gallery, fpir=complete(IdentifyOptions, options)["fpir"])
            asked = Order(kind=kind, place=place, made=gallery.collection.created, options={**options})
            if ray:
                from gaitkeeper.service.hosts.batch import on_ray

                executor = on_ray(ray, settings, workers)
            else:
                executor = here(engine, workers or settings.workers)
            report = run(asked, out, executor, retry=retry, tell=tell)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _say(report)
    if report.failed:
        from gaitkeeper.service.batch.lines import is_ours

        raise typer.Exit(1 if any(is_ours(one.code) for one in report.failed) else 2)


def _say(report: BatchReport) -> None:
    before = f", {report.earlier} of them by an earlier run" if report.earlier else ""
    again = f", {report.duplicates} had been enrolled before" if report.duplicates else ""
    doubtful = f", {len(report.warned)} match another subject" if report.warned else ""
    done = f"{report.done} of {report.clips} clips done{before}{again}{doubtful}; results in {report.results}"
    OUT.print(done, markup=False, highlight=False)
    for warned in report.warned:
        ERR.print(
            f"{warned.clip}: enrolled as {warned.subject}. {warned.detail} [looks_like_other_subject]",
            markup=False,
            soft_wrap=True,
            highlight=False,
        )
    for one in report.failed:
        ERR.print(f"{one.clip}: {one.detail} [{one.code}]", markup=False, soft_wrap=True, highlight=False)
