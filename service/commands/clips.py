"""Commands that take a clip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gaitkeeper.service.commands.console.command import Answer, answers, with_options
from gaitkeeper.service.commands.console.terminal import (
    ERR,
    OUT,
    ClipArgument,
    ClipOrHandle,
    ClipsOrHandle,
    CsvOption,
    print_json,
    progress,
)
from gaitkeeper.service.options import ClipOptions, EnrollOptions, IdentifyOptions, LookOptions, VerifyOptions

if TYPE_CHECKING:
    from gaitkeeper.service.recogniser import Progress, Recogniser


@answers("enrolling")
@with_options(EnrollOptions)
def enroll(
    worker: Recogniser,
    options: EnrollOptions,
    tell: Progress,
    clips: ClipsOrHandle = None,
    subject: Annotated[
        str | None, typer.Option("--subject", "-s", help="Id of the person who walks, if it is one person.")
    ] = None,
) -> Answer:
    """Enrol the person who walks in a clip, or in each of several, or several people of one clip."""
    first, more = (clips[0], clips[1:]) if clips else (None, [])
    reply = worker.enroll(first, subject, more=more, on_progress=tell, **options)

    def show() -> None:
        from gaitkeeper.service.commands.console import tables

        for one in (reply, *reply.others):
            new = one.template
            done = "was enrolled before" if new.duplicate else "enrolled"
            where = f"track {new.track}, {new.quality.frames} frames, {new.start:.1f} to {new.end:.1f} s"
            OUT.print(f"[bold]{tables.plain(new.subject)}[/] {done} in {new.collection}: {where}")
            if one.warning:
                ERR.print(f"warning: {one.warning.detail}", style="yellow", markup=False, soft_wrap=True)
        for one in (reply, *reply.others):
            tables.repaired(ERR, one.clip)
        tables.notes(ERR, reply.template.fingerprint, reply.template.trained, reply.skipped)

    return reply, show


@answers("verifying")
@with_options(VerifyOptions)
def verify(
    worker: Recogniser,
    subject: Annotated[str, typer.Option("--subject", "-s", help="Id of the claimed person.")],
    options: VerifyOptions,
    tell: Progress,
    clip: ClipOrHandle = None,
) -> Answer:
    """Verify that the person who walks in a clip is the claimed subject."""
    reply = worker.verify(clip, subject, on_progress=tell, **options)

    def show() -> None:
        from gaitkeeper.service.commands.console import tables

        OUT.print(tables.verification(reply.person))
        tables.repaired(ERR, reply.clip)
        tables.notes(ERR, reply.person.fingerprint, reply.person.trained, reply.skipped)

    return reply, show


@answers("identifying")
@with_options(IdentifyOptions, "pictures", "boxes")  # a table cannot show them
def identify(
    worker: Recogniser,
    options: IdentifyOptions,
    tell: Progress,
    clip: ClipOrHandle = None,
    annotate: Annotated[
        Path | None,
        typer.Option(metavar="FILE.mp4", help="Also write the clip with boxes, names and verdicts to this file."),
    ] = None,
    as_csv: CsvOption = False,
) -> Answer:
    """Rank the enrolled people for every walker in a clip, or for one of them."""
    reply = worker.identify(clip, annotate=annotate, on_progress=tell, **options)

    def show() -> None:
        if as_csv:
            from gaitkeeper.service.schemas.spreadsheet import people_csv

            typer.echo(people_csv(reply), nl=False)
            return
        from gaitkeeper.service.commands.console import tables

        OUT.print(tables.people(reply.people))
        tables.repaired(ERR, reply.clip)
        first = reply.people[0]
        tables.notes(ERR, first.fingerprint, first.trained, reply.skipped)
        tables.kept(OUT, reply)

    return reply, show


@answers("looking")
@with_options(LookOptions, "pictures", "boxes")  # a table cannot show them
def look(worker: Recogniser, clip: ClipArgument, options: LookOptions, tell: Progress) -> Answer:
    """Find the walkers in a clip. With --server, the service keeps them for some minutes under a handle."""
    reply = worker.walkers(clip, on_progress=tell, **options)

    def show() -> None:
        from gaitkeeper.service.commands.console import tables

        OUT.print(tables.walkers(reply.walkers))
        tables.unfit(ERR, reply.walkers)
        tables.repaired(ERR, reply.clip)
        tables.skipped_ones(ERR, reply.skipped)
        tables.kept(OUT, reply)

    return reply, show


@answers("erasing")
def forget(worker: Recogniser, handle: Annotated[str, typer.Argument(help="The handle.")]) -> Answer:
    """Erase the walkers that a service keeps under a handle, before they expire."""
    reply = worker.erase_walkers(handle)
    return reply, f"{reply.walkers} walkers erased"


@with_options(ClipOptions, "collection")
def inspect(
    clip: ClipArgument,
    options: ClipOptions,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.", file_okay=False)] = Path("inspect"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the walkers and the paths of the pictures as JSON.")
    ] = False,
) -> None:
    """Write a picture per walker: silhouettes, skeletons, and the path through the clip."""
    with progress("looking") as tell:
        from gaitkeeper.pipelines.inspect import write_pictures
        from gaitkeeper.pipelines.pipeline import Pipeline
        from gaitkeeper.service.recognition.clip_walkers import Seen
        from gaitkeeper.service.schemas import InspectReply
        from gaitkeeper.service.settings import load_settings

        seen = Seen.through(Pipeline(load_settings().pipeline), clip, tell, rotate=options["rotate"] or 0)
        out.mkdir(parents=True, exist_ok=True)
        pictures = [str(path) for path in write_pictures(seen.result, out)]
        reply = InspectReply(
            clip=seen.clip,
            walkers=seen.choices(thumbnails=False),
            skipped=seen.skipped,
            pictures=pictures,
            timings=seen.result.timings,
        )
    if as_json:
        print_json(reply)
        return
    from gaitkeeper.service.commands.console import tables

    OUT.print(tables.walkers(reply.walkers))
    tables.repaired(ERR, reply.clip)
    tables.skipped_ones(ERR, reply.skipped)
    for picture in reply.pictures:
        OUT.print(picture, soft_wrap=True, highlight=False)
