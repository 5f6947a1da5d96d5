"""The live stream over a WebSocket: takes frames, and returns tracks and updated verdicts."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import anyio.to_thread
from fastapi import APIRouter, WebSocket

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.errors import Overloaded
from gaitkeeper.service.http.admission import refuse
from gaitkeeper.service.http.sockets import opened
from gaitkeeper.service.http.unknown_fields import refuse_unknown
from gaitkeeper.service.live.announcing import Announcer
from gaitkeeper.service.live.conversation import Conversation
from gaitkeeper.service.live.passing import Passing
from gaitkeeper.service.live.rates import Limits
from gaitkeeper.service.live.session import Session, Tell
from gaitkeeper.service.options import StreamOptions, options_of
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.routes.common.option_fields import query
from gaitkeeper.service.settings import Settings

router = APIRouter()


class Streams:
    """The live streams of one service, limited in number.

    Args:
        bound: maximum number of streams.
        retry_after: seconds after which a caller should retry if there are too many.
    """

    def __init__(self, bound: int, retry_after: int) -> None:
        self.live = 0
        self._bound, self._retry_after = bound, retry_after
        self._lock = threading.Lock()

    def take(self) -> ExitStack:
        """Take a place. The returned context manager releases it.

        Raises:
            Overloaded: all places are taken.
        """
        with self._lock:
            if self.live >= self._bound:
                raise Overloaded(
                    f"{self.live} live streams are running, which is the limit: try again in {self._retry_after} s.",
                    retry_after=self._retry_after,
                )
            self.live += 1
        place = ExitStack()
        place.callback(self._give_back)
        return place

    def _give_back(self) -> None:
        with self._lock:
            self.live -= 1


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """Makes all checks before the WebSocket is accepted."""
    state = socket.app.state
    settings: Settings = state.engine.settings
    try:
        options = _query(socket)
        judge = await anyio.to_thread.run_sync(_judge, state.engine, options)
        place = state.streams.take()
    except GaitkeeperError as error:
        await refuse(error, socket.scope, socket.receive, socket.send)
        return
    limits = Limits.of(settings)
    with place:
        async with opened(socket) as channel:
            pipeline = state.engine.pipeline
            turn = settings.turn_of(options["camera"], options["rotate"])

            def make(tell: Tell) -> Session:
                judged = state.work.webhooks.judged
                announcer = Announcer(lambda person, stream: judged(person, stream=stream), state.metrics, tell)
                return Session(pipeline, judge, limits, announcer, turn)

            await Conversation(channel, make, settings).run()


def _query(socket: WebSocket) -> StreamOptions:
    """Parse the query parameters. Raises UnknownField, InvalidRequest."""
    refuse_unknown(socket.query_params, options_of(StreamOptions))
    return query(StreamOptions, {**socket.query_params, "where": socket.query_params.getlist("where")})


def _judge(engine: Engine, options: StreamOptions) -> Passing:
    """The identifier of people for a stream, after a check that the caller may use the collection.

    Raises:
        NotFound, BadCollection, Forbidden, BadFpir, BadSubject, BadCamera: a parameter is invalid or not allowed.
    """
    return Passing.asked(engine.gallery(options["collection"]), options)
