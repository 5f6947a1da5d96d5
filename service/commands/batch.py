"""Commands that take an archive of clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.console.terminal import (
    ERR,
    OUT,
    CameraOption,
    CollectionOption,
    JsonOption,
    NetworkOption,
    QualityOption,
    RotateOption,
    StoreOption,
    progress,
    rotation,
)

if TYPE_CHECKING:
    from service.batch.lines import BatchReport, Order
    from service.recognition.engine import Engine

app = typer.Typer(help="Archives of clips: every clip once, going on where it was stopped.", no_args_is_help=True)

PlaceArgument = Annotated[str, typer.Argument(metavar="PLACE", help="A folder, or a bucket such as s3://NAME/PATH.")]
OutOption = Annotated[Path, typer.Option(help="File of results, JSON lines; named again, it goes on.", dir_okay=False)]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Clips at a time: threads here, or workers of the cluster.")
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        envvar="RAY_ADDRESS",
        help="Do it on a Ray cluster: its address, `auto`, or `local` for one on this machine.",
    ),
]
RetryOption = Annotated[bool, typer.Option("--retry", help="Try again also what failed for the clip's own fault.")]


@app.command()
def enroll(
    place: PlaceArgument,
    out: OutOption = Path("enrolled.jsonl"),
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a walker who matches another subject.")] = False,
    camera: CameraOption = None,
    rotate: RotateOption = None,
    min_quality: QualityOption = 0.0,
    network: NetworkOption = None,
    collection: CollectionOption = "default",
    workers: WorkersOption = None,
    ray: RayOption = None,
    retry: RetryOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enrol every clip SUBJECT/NAME of an archive, one walker in each."""

    def order(engine: Engine) -> Order:
        from service.batch.lines import Order

        made = engine.gallery(collection, create=True, network=network).collection.created
        return Order(
            kind="enroll",
            place=place,
            collection=collection,
            made=made,
            network=network,
            camera=camera,
            rotate=rotation(rotate),
            min_quality=min_quality,
            strict=strict,
        )

    _run(order, out, workers, ray, retry, store, as_json)


@app.command()
def identify(
    place: PlaceArgument,
    out: OutOption = Path("identified.jsonl"),
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Candidates per walker.")] = 5,
    fpir: Annotated[float, typer.Option(help="False-positive identification rate to decide at.")] = 0.01,
    where: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Metadata that a subject must have; may be repeated.")
    ] = None,
    camera: CameraOption = None,
    rotate: RotateOption = None,
    min_quality: QualityOption = 0.0,
    network: NetworkOption = None,
    collection: CollectionOption = "default",
    workers: WorkersOption = None,
    ray: RayOption = None,
    retry: RetryOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rank the enrolled people for every walker in the clips of an archive."""

    def order(engine: Engine) -> Order:
        from gallery.decision.verdict import check_fpir
        from service.batch.lines import Order
        from service.recognition.metadata import pairs_of

        check_fpir(fpir)
        return Order(
            kind="identify",
            place=place,
            collection=collection,
            made=engine.gallery(collection, network=network).collection.created,
            network=network,
            camera=camera,
            rotate=rotation(rotate),
            min_quality=min_quality,
            top_k=top_k,
            fpir=fpir,
            where=pairs_of(where or []),
        )

    _run(order, out, workers, ray, retry, store, as_json)


def _run(
    order: Callable[[Engine], Order],
    out: Path,
    workers: int | None,
    ray: str | None,
    retry: bool,
    store: str | None,
    as_json: bool,
) -> None:
    with progress("batch") as tell:
        from gallery.names import check_camera
        from service.batch.run import here, run
        from service.errors import BadSettings
        from service.recognition.engine import Engine
        from service.settings import load_settings

        if ray and store:
            raise BadSettings("--ray and --store exclude each other: every host takes its own GAITKEEPER_STORE.")
        settings = load_settings(**({"store": store} if store else {}))
        with Engine(settings) as engine:
            asked = order(engine)
            check_camera(asked.camera)
            if ray:
                from service.hosts.batch import on_ray

                executor = on_ray(ray, settings, workers)
            else:
                executor = here(engine, workers or settings.workers)
            report = run(asked, out, executor, retry=retry, tell=tell)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _say(report)
    if report.failed:
        from service.batch.lines import is_ours

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
