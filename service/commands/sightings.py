"""Commands for sightings."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaitkeeper.service.commands.console.command import Answer, answers
from gaitkeeper.service.commands.console.terminal import OUT, CollectionOption, KeepArgument, waiting

if TYPE_CHECKING:
    from gaitkeeper.service.recogniser import Recogniser

app = typer.Typer(help="Who was seen when, of a collection that keeps sightings.", no_args_is_help=True)


class SaidVerdict(StrEnum):
    """The verdicts of the command line; those of the gallery would load it before ``--help``."""

    MATCH = "match"
    UNKNOWN = "unknown"
    INCONCLUSIVE = "inconclusive"


def _time(text: str) -> datetime:
    """A time in ISO 8601; without a zone it is the local time."""
    return datetime.fromisoformat(text).astimezone()


SubjectFilter = Annotated[str | None, typer.Option("--subject", "-s", metavar="S", help="Only of this subject.")]
CameraFilter = Annotated[str | None, typer.Option("--camera", metavar="NAME", help="Only by this camera.")]
VerdictFilter = Annotated[SaidVerdict | None, typer.Option("--verdict", help="Only with this verdict.")]
SinceFilter = Annotated[
    datetime | None,
    typer.Option("--since", parser=_time, metavar="TIME", help="Only at this time or later, as in 2026-01-31T08:00."),
]
UntilFilter = Annotated[
    datetime | None, typer.Option("--until", parser=_time, metavar="TIME", help="Only before this time.")
]
SightingArgument = Annotated[str, typer.Argument(metavar="SIGHTING", help="Id of a sighting, from the list.")]


@app.command()
@answers("writing")
def keep(worker: Recogniser, seconds: KeepArgument = None, collection: CollectionOption = "default") -> Answer:
    """Keep sightings and a picture of each subject for SECONDS, also those that are there. Without SECONDS, stop
    keeping them and delete all.
    """
    reply = worker.update_collection(collection, sightings_seconds=seconds)
    return reply, "No sightings are kept." if seconds is None else f"Sightings are kept for {seconds:g} s."


@app.command("list")
@answers("reading the gallery")
def list_(
    worker: Recogniser,
    subject: SubjectFilter = None,
    camera: CameraFilter = None,
    verdict: VerdictFilter = None,
    since: SinceFilter = None,
    until: UntilFilter = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number; by default all.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a table for spreadsheets: a row for each.")] = False,
    collection: CollectionOption = "default",
) -> Answer:
    """List the sightings, newest first."""
    wanted = _wanted(collection, subject, camera, verdict, since, until)
    reply = worker.sightings(limit=limit, **wanted)

    def show() -> None:
        if as_csv:
            from gaitkeeper.service.schemas.spreadsheet import sightings_csv

            typer.echo(sightings_csv(reply.sightings), nl=False)
            return
        from gaitkeeper.service.commands.console import sighting_tables

        if reply.keep_seconds is None:
            OUT.print("This collection keeps no sightings.")
        OUT.print(sighting_tables.sightings(reply.sightings))

    return reply, show


@app.command()
@answers("searching")
def earlier(
    worker: Recogniser,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Id of the subject.")],
    before: Annotated[
        datetime | None,
        typer.Option(
            "--before",
            parser=_time,
            metavar="TIME",
            help="Only before this time; by default before the subject was enrolled.",
        ),
    ] = None,
    fpir: Annotated[float, typer.Option(help="False-positive identification rate of the threshold.")] = 0.01,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number.")] = 100,
    collection: CollectionOption = "default",
) -> Answer:
    """Search the kept unknown walkers for a subject: was it here before it was enrolled?"""
    reply = worker.earlier(subject, before=before, fpir=fpir, limit=limit, collection=collection)

    def show() -> None:
        from gaitkeeper.service.commands.console import sighting_tables

        OUT.print(sighting_tables.earlier(reply))

    return reply, show


@app.command()
@answers("reading the gallery")
def picture(
    worker: Recogniser,
    sighting: SightingArgument,
    out: Annotated[Path, typer.Argument(metavar="FILE.jpg", help="File to write, which only its owner may read.")],
    collection: CollectionOption = "default",
) -> Answer:
    """Write the picture of a sighting to a file."""
    from gaitkeeper.service.files import written

    reply = worker.sighting(sighting, collection=collection)
    jpeg = worker.sighting_thumbnail(sighting, collection=collection)
    with written(out) as part:
        part.write_bytes(jpeg)
    return reply, f"{out} written"


@app.command()
@answers("erasing")
def forget(
    worker: Recogniser,
    sighting: Annotated[
        str | None,
        typer.Argument(metavar="SIGHTING", help="Id of a sighting. Without it, all that the filters accept go."),
    ] = None,
    subject: SubjectFilter = None,
    camera: CameraFilter = None,
    verdict: VerdictFilter = None,
    since: SinceFilter = None,
    until: UntilFilter = None,
    collection: CollectionOption = "default",
) -> Answer:
    """Delete a sighting, or all that the filters accept; without filters all of the collection."""
    wanted = _wanted(collection, subject, camera, verdict, since, until)
    if sighting is None:
        reply = worker.forget_sightings(**wanted)
    elif len(wanted) > 1:
        from gaitkeeper.service.errors import BadSettings

        raise BadSettings("Give the id of a sighting, or filters, not both.")
    else:
        reply = worker.forget_sighting(sighting, collection=collection)
    return reply, f"{reply.sightings} sighting(s) deleted{waiting(reply.pending)}"


def _wanted(
    collection: str,
    subject: str | None,
    camera: str | None,
    verdict: SaidVerdict | None,
    since: datetime | None,
    until: datetime | None,
) -> Any:
    from gaitkeeper.gallery.types import Verdict

    said = None if verdict is None else Verdict(verdict)
    filters = {"subject": subject, "camera": camera, "verdict": said, "since": since, "until": until}
    return {"collection": collection, **{name: value for name, value in filters.items() if value is not None}}
