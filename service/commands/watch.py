"""The command that watches a camera."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.terminal import (
    ERR,
    OUT,
    CollectionOption,
    JsonOption,
    KeyOption,
    RotateOption,
    ServerOption,
    StoreOption,
    progress,
    recogniser,
    rotation,
)

if TYPE_CHECKING:
    from service.client import Client
    from service.engine import Engine
    from service.live.client import LiveStream
    from service.live.events import Event
    from service.live.sources import Shot


def watch(
    source: Annotated[
        str, typer.Argument(help="rtsp://… on the list of GAITKEEPER_LIVE_SOURCES, /dev/videoN, or a file.")
    ],
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Candidates per walker.")] = 5,
    fpir: Annotated[float, typer.Option(help="False-positive identification rate to decide at.")] = 0.01,
    rotate: RotateOption = None,
    collection: CollectionOption = "default",
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name whoever walks before a camera, as they walk; a file is played as if it were one."""
    with ExitStack() as stack:
        with progress("starting"):
            from pipelines.pipeline import Pipeline
            from service.live.sources import shots_of
            from service.settings import load_settings

            settings = load_settings(**({"store": store} if store and not server else {}))
            pipeline = Pipeline(settings.pipeline)
            stack.callback(pipeline.close)
            shots = shots_of(source, settings, pipeline.decoder)
            worker = stack.enter_context(recogniser(server, store, key))
            events = _events(
                worker, shots, stack, collection=collection, top_k=top_k, fpir=fpir, rotate=rotation(rotate) or 0
            )
        for event in events:
            if as_json:
                typer.echo(event.model_dump_json())
            else:
                _print(event)


def _events(
    worker: Client | Engine,
    shots: Iterator[Shot],
    stack: ExitStack,
    *,
    collection: str,
    top_k: int,
    fpir: float,
    rotate: int = 0,
) -> Iterator[Event]:
    """What comes of the frames; they are sent from a thread of their own."""
    from service.engine import Engine
    from service.live.events import Credit, Dropped
    from service.live.local import LocalStream
    from service.live.session import Limits

    live: LocalStream | LiveStream
    if isinstance(worker, Engine):
        judge = partial(worker.gallery(collection).identify_many, top_k=top_k, fpir=fpir)
        live = LocalStream(worker.pipeline, judge, Limits.of(worker.settings), rotate)
    else:
        live = worker.stream(collection=collection, top_k=top_k, fpir=fpir, rotate=rotate)
    stack.enter_context(live)
    withheld: list[int] = []
    failed: list[Exception] = []
    over = threading.Event()

    def feed() -> None:
        try:
            for seq, shot in enumerate(shots):
                if over.is_set():
                    return
                if not live.shoot(seq, shot):
                    withheld.append(seq)
        except Exception as error:  # raised where the events are read
            failed.append(error)
        live.finish()

    threading.Thread(target=feed, name="watch", daemon=True).start()
    stack.callback(over.set)
    for event in live.events():
        if withheld:
            yield Dropped(reason="no_credit", frames=[withheld.pop(0) for _ in range(len(withheld))])
        if not isinstance(event, Credit):
            yield event
    if withheld:
        yield Dropped(reason="no_credit", frames=withheld)
    if failed:
        raise failed[0]


def _print(event: Event) -> None:
    from service.commands import tables
    from service.live.events import Dropped, ErrorEvent, VerdictEvent

    if isinstance(event, VerdictEvent) and (event.changed or event.final):
        shown = event.shown
        who = tables.plain(shown.subject) if shown.subject else shown.verdict.value
        why = f" ({shown.reason})" if shown.reason else ""
        sure = f" {shown.confidence:.2f}" if shown.confidence is not None else ""
        OUT.print(f"{event.t:8.2f} s  track {event.track}: [bold]{who}[/]{why}{sure}{'  gone' * event.final}")
    elif isinstance(event, Dropped):
        ERR.print(f"{len(event.frames)} dropped: {event.reason}", style="dim")
    elif isinstance(event, ErrorEvent):
        ERR.print(event.detail, style="yellow", markup=False)
