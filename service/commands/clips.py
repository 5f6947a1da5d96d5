"""Commands that take a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.commands.console.terminal import (
    ERR,
    OUT,
    CameraOption,
    ClipArgument,
    ClipsArgument,
    CollectionOption,
    JsonOption,
    KeyOption,
    NetworkOption,
    PointOption,
    QualityOption,
    RotateOption,
    ServerOption,
    StoreOption,
    print_json,
    progress,
    recogniser,
    rotation,
)


def enroll(
    clips: ClipsArgument,
    subject: Annotated[str, typer.Option("--subject", "-s", help="Id of the person who walks.")],
    track: Annotated[int | None, typer.Option(min=1, help="Which walker, where several are in the clip.")] = None,
    point: PointOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a walker who matches another subject.")] = False,
    camera: CameraOption = None,
    rotate: RotateOption = None,
    min_quality: QualityOption = 0.0,
    network: NetworkOption = None,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enrol the person who walks in a clip, or in each of several."""
    with progress("enrolling") as tell, recogniser(server, store, key) as worker:
        reply = worker.enroll(
            clips[0],
            subject,
            more=clips[1:],
            track=track,
            point=point,
            collection=collection,
            strict=strict,
            camera=camera,
            rotate=rotation(rotate),
            min_quality=min_quality,
            network=network,
            on_progress=tell,
        )
    if as_json:
        print_json(reply)
        return
    from service.commands.console import tables

    for one in (reply, *reply.others):
        template = one.template
        done = "was enrolled before" if template.duplicate else "enrolled"
        where = (
            f"track {template.track}, {template.quality.frames} frames, {template.start:.1f} to {template.end:.1f} s"
        )
        OUT.print(f"[bold]{tables.plain(template.subject)}[/] {done} in {template.collection}: {where}")
        if one.warning:
            ERR.print(f"warning: {one.warning.detail}", style="yellow", markup=False, soft_wrap=True)
    for one in (reply, *reply.others):
        tables.repaired(ERR, one.clip)
    tables.notes(ERR, reply.template.fingerprint, reply.template.trained, reply.skipped)


def verify(
    clip: ClipArgument,
    subject: Annotated[str, typer.Option("--subject", "-s", help="Id of the person who is said to walk.")],
    track: Annotated[int | None, typer.Option(min=1, help="Which walker, where several are in the clip.")] = None,
    point: PointOption = None,
    fmr: Annotated[float, typer.Option(help="False match rate to decide at.")] = 0.001,
    camera: CameraOption = None,
    rotate: RotateOption = None,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify that the person who walks in a clip is the claimed subject."""
    with progress("verifying") as tell, recogniser(server, store, key) as worker:
        reply = worker.verify(
            clip,
            subject,
            track=track,
            point=point,
            fmr=fmr,
            camera=camera,
            rotate=rotation(rotate),
            collection=collection,
            on_progress=tell,
        )
    if as_json:
        print_json(reply)
        return
    from service.commands.console import tables

    OUT.print(tables.verification(reply.person))
    tables.repaired(ERR, reply.clip)
    tables.notes(ERR, reply.person.fingerprint, reply.person.trained, reply.skipped)


def identify(
    clip: ClipArgument,
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Candidates per walker.")] = 5,
    fpir: Annotated[float, typer.Option(help="False-positive identification rate to decide at.")] = 0.01,
    where: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Metadata that a subject must have; may be repeated.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show part by part what speaks for each candidate and what against.")
    ] = False,
    camera: CameraOption = None,
    rotate: RotateOption = None,
    min_quality: QualityOption = 0.0,
    network: NetworkOption = None,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rank the enrolled people for every walker in a clip."""
    with progress("identifying") as tell, recogniser(server, store, key) as worker:
        from service.recognition.metadata import pairs_of

        found = pairs_of(where or [])
        reply = worker.identify(
            clip,
            top_k=top_k,
            fpir=fpir,
            where=found,
            explain=explain,
            camera=camera,
            rotate=rotation(rotate),
            min_quality=min_quality,
            network=network,
            collection=collection,
            on_progress=tell,
        )
    if as_json:
        print_json(reply)
        return
    from service.commands.console import tables

    OUT.print(tables.people(reply.people))
    tables.repaired(ERR, reply.clip)
    first = reply.people[0]
    tables.notes(ERR, first.fingerprint, first.trained, reply.skipped)


def inspect(
    clip: ClipArgument,
    rotate: RotateOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.", file_okay=False)] = Path("inspect"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was seen, and the pictures' paths, as JSON.")
    ] = False,
) -> None:
    """Write a picture per walker: silhouettes, skeletons, and the path through the clip."""
    with progress("looking") as tell:
        from pipelines.inspect import write_pictures
        from pipelines.pipeline import Pipeline
        from service.recognition.clip_walkers import Seen
        from service.schemas import InspectReply
        from service.settings import load_settings

        seen = Seen.through(Pipeline(load_settings().pipeline), clip, tell, rotate=rotation(rotate) or 0)
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
    from service.commands.console import tables

    OUT.print(tables.walkers(reply.walkers))
    tables.repaired(ERR, reply.clip)
    tables.skipped_ones(ERR, reply.skipped)
    for picture in reply.pictures:
        OUT.print(picture, soft_wrap=True, highlight=False)
