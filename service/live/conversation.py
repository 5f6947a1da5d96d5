"""A live stream over a WebSocket: passes messages to a session, and its events to the caller."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import anyio
import anyio.to_thread
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.errors import BadMessage, StreamTimeout
from gaitkeeper.service.http.sockets import Channel
from gaitkeeper.service.live.events import Dropped, EndHeader, ErrorEvent, Event, FrameHeader, Tracks
from gaitkeeper.service.live.session import CREDITS, Session, Tell
from gaitkeeper.service.problems import body
from gaitkeeper.service.settings import Settings

CHECK_SECONDS = 5.0
FAULTS = 10
"""Number of malformed messages after which a stream ends."""
BACKLOG = 20 * CREDITS
"""Maximum number of events that wait to be sent."""


class Conversation:
    """The live stream of one accepted socket.

    Args:
        channel: the caller's channel.
        make: creates the session, given a callback for its events.
        settings: time limits for silence and for the whole stream.
    """

    def __init__(self, channel: Channel, make: Callable[[Tell], Session], settings: Settings) -> None:
        self._channel, self._settings = channel, settings
        self._events: asyncio.Queue[Event | GaitkeeperError | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._session = make(self._told)
        self._header: FrameHeader | None = None
        self._faults = 0

    async def run(self) -> None:
        """Run until the caller or the service ends the stream.

        Raises:
            GaitkeeperError: the error that ended the stream.
            WebSocketDisconnect: the caller has disconnected.
        """
        self._session.start()
        hearing = asyncio.create_task(self._hear())
        hearing.add_done_callback(self._heard)
        try:
            await self._speak()
        finally:
            hearing.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._session.stop)

    def _told(self, event: Event | GaitkeeperError | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the event loop and the stream have ended
            return

    def _heard(self, hearing: asyncio.Task[None]) -> None:
        """Pass on the error that ended the receiver. After the caller's regular end, the session still sends events."""
        if hearing.cancelled() or (error := hearing.exception()) is None:
            return
        self._events.put_nowait(error if isinstance(error, GaitkeeperError) else None)

    async def _speak(self) -> None:
        """Send events until the last."""
        while (event := await self._events.get()) is not None:
            if isinstance(event, GaitkeeperError):
                raise event
            self._require_taken()
            self._count(event)
            with anyio.move_on_after(self._settings.stream_idle) as sending:
                await self._channel.socket.send_text(event.model_dump_json())
            if sending.cancelled_caught:
                raise WebSocketDisconnect

    def _require_taken(self) -> None:
        """Raise StreamTimeout if too many events wait to be sent."""
        if self._events.qsize() > BACKLOG:
            raise StreamTimeout("The caller did not read the stream's events fast enough.")

    def _count(self, event: Event) -> None:
        metrics = self._channel.socket.app.state.metrics
        if isinstance(event, Tracks):
            metrics.frame_seen(event.latency)
        elif isinstance(event, Dropped):
            metrics.frames_dropped(event.reason, len(event.frames))

    async def _hear(self) -> None:
        """Receive messages until the last."""
        end = time.monotonic() + self._settings.stream_seconds
        checked = time.monotonic()
        while True:
            left = end - time.monotonic()
            lasted = left <= self._settings.stream_idle
            with anyio.move_on_after(max(min(self._settings.stream_idle, left), 0)) as waiting:
                message = await self._channel.socket.receive()
            if waiting.cancelled_caught:
                seconds = self._settings.stream_seconds if lasted else self._settings.stream_idle
                raise StreamTimeout(
                    f"The stream {'lasted' if lasted else 'was silent for'} {seconds:g} s, which is the limit."
                )
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect
            self._require_taken()  # otherwise events pile up if the caller sends but never reads
            if time.monotonic() - checked > CHECK_SECONDS:
                checked = time.monotonic()
                await anyio.to_thread.run_sync(self._channel.check)
            try:
                if not self._take(message.get("text"), message.get("bytes")):
                    return
            except BadMessage as error:
                self._faults += 1
                if self._faults >= FAULTS:
                    raise
                self._told(ErrorEvent(**{**body(error), "fatal": False}))

    def _take(self, text: str | None, data: bytes | None) -> bool:
        """Process a message. Returns False if it is the last.

        Raises:
            BadMessage: this message is not valid at this point.
        """
        if data is not None:
            header, self._header = self._header, None
            if header is None:
                self._session.refund()
                raise BadMessage("A picture was sent without a JSON message before it.")
            self._session.offer(header.seq, header.t, header.codec, data)
            return True
        if self._header is not None:
            seq, self._header = self._header.seq, None
            raise BadMessage(f"The JSON message of frame {seq} was not followed by its picture.")
        try:
            told = json.loads(text or "")
            if isinstance(told, dict) and "end" in told:
                EndHeader.model_validate(told)
                self._session.finish()
                return False
            self._header = FrameHeader.model_validate(told)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
            raise BadMessage(f"The message is not the header of a frame: {faults}.") from error
        except (ValueError, RecursionError) as error:
            raise BadMessage("The message is no JSON.") from error
        return True
