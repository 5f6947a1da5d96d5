"""The command that watches a camera."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gaitkeeper.service.commands.console.command import with_options
from gaitkeeper.service.commands.console.terminal import (
    ERR,
    OUT,
    JsonOption,
    KeyOption,
    ServerOption,
    StoreOption,
    progress,
    recogniser,
)
from gaitkeeper.service.options import StreamOptions

if TYPE_CHECKING:
    from gaitkeeper.service.client import Client
    from gaitkeeper.service.client.live import LiveStream
    from gaitkeeper.service.live.events import Event
    from gaitkeeper.service.live.local import LocalStream
    from gaitkeeper.service.recogniser import Recogniser


@with_options(StreamOptions)
def watch(
    source: Annotated[
        str, typer.Argument(help="rtsp://… on the list of GAITKEEPER_LIVE_SOURCES, /dev/videoN, or a file.")
    ],
    options: StreamOptions,
    retry_for: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Time to try to reconnect a lost camera.")
    ] = 300.0,
    server: ServerOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Identify people live in front of a camera. A file is played like a camera."""
    with ExitStack() as stack:
        with progress("starting"):
            from gaitkeeper.pipelines.pipeline import Pipeline
            from gaitkeeper.service.live.sources import is_camera, shots_of
            from gaitkeeper.service.live.watching import Watching
            from gaitkeeper.service.settings import load_settings

            settings = load_settings(**({"store": store} if store and not server else {}))
            pipeline = Pipeline(settings.pipeline)
            stack.callback(pipeline.close)
            opened = partial(shots_of, source, settings, pipeline.decoder)
            opened()  # check that the source is allowed before anything is started
            worker = stack.enter_context(recogniser(server, store, key))
            stream = partial(_stream, worker, options)
            watching = Watching(opened, stream, retry_for if is_camera(source) else None)
            stack.callback(watching.stop)
        for event in watching.events():
            if as_json:
                typer.echo(event.model_dump_json())
            else:
                _print(event)


def _stream(worker: Recogniser, options: StreamOptions) -> LocalStream | LiveStream:
    from gaitkeeper.service.live.local import LocalStream
    from gaitkeeper.service.live.passing import Passing
    from gaitkeeper.service.live.rates import Limits
    from gaitkeeper.service.recognition.engine import Engine

    if not isinstance(worker, Engine):
        return cast("Client", worker).stream(**options)
    judge = Passing.asked(worker.gallery(options["collection"]), options)
    turn = worker.settings.turn_of(options["camera"], options["rotate"])
    return LocalStream(worker.pipeline, judge, Limits.of(worker.settings), turn)


def _print(event: Event) -> None:
    from gaitkeeper.service.commands.console import tables
    from gaitkeeper.service.live.events import Dropped, ErrorEvent, Segment, SourceEvent, VerdictEvent

    if isinstance(event, VerdictEvent) and (event.changed or event.final):
        shown = event.shown
        who = tables.plain(shown.subject) if shown.subject else shown.verdict.value
        why = f" ({shown.reason})" if shown.reason else ""
        sure = f" {shown.confidence:.2f}" if shown.confidence is not None else ""
        earlier = event.person and event.person.same_as
        again = f"  the same person as track {earlier}" if earlier else ""
        OUT.print(f"{event.t:8.2f} s  track {event.track}: [bold]{who}[/]{why}{sure}{again}{'  gone' * event.final}")
    elif isinstance(event, Dropped):
        ERR.print(f"{len(event.frames)} dropped: {event.reason}", style="dim")
    elif isinstance(event, Segment):
        ERR.print(f"the source's clock jumped back from {event.before:.2f} to {event.t:.2f} s", style="yellow")
    elif isinstance(event, SourceEvent):
        again = "" if event.wait is None else f" Trying again in {event.wait:g} s."
        ERR.print(f"{event.detail}{again}", style="yellow", markup=False)
    elif isinstance(event, ErrorEvent):
        ERR.print(event.detail, style="yellow", markup=False)
