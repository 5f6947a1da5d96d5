"""WebSockets: transport of the API key, and the life cycle of every socket. Browsers cannot set an ``Authorization``
header on a WebSocket.

A page therefore offers two subprotocols, ``new WebSocket(url, ["gaitkeeper.v1", "gaitkeeper.key.gk_…"])``; the service
accepts the first, and never echoes the second. Programs may send the ``Authorization`` header instead. Key and Origin
are checked by :class:`gaitkeeper.service.http.admission.Gate` before the socket is accepted, on every route.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.auth.access import CALLER
from gaitkeeper.service.auth.keys import Keys
from gaitkeeper.service.errors import Unauthorised
from gaitkeeper.service.problems import body

PROTOCOL = "gaitkeeper.v1"
KEY_PREFIX = "gaitkeeper.key."

# Codes of a closing handshake, RFC 6455 section 7.4.1.
ENDED = 1000
REFUSED = 1008
FAILED = 1011


def offered(headers: Headers) -> list[str]:
    """The subprotocols that the client offers."""
    lines = headers.getlist("sec-websocket-protocol")
    return [name for name in (part.strip() for part in ",".join(lines).split(",")) if name]


def key_text(headers: Headers, *, socket: bool) -> str | None:
    """The text of the API key of a request or, if ``socket``, of a WebSocket connection; None if it has none."""
    kind, _, text = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return text.strip()
    keys = [name.removeprefix(KEY_PREFIX) for name in offered(headers) if name.startswith(KEY_PREFIX)] if socket else []
    return keys[0] if keys else None


class Channel:
    """An accepted socket that sends JSON events.

    Args:
        socket: the framework's socket, for all other messages.
    """

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self._keys: Keys = socket.app.state.keys

    async def send(self, event: str, content: BaseModel | None = None, **fields: object) -> None:
        """Send ``{"event": event, …}`` with the fields of ``content`` and the keyword arguments.

        Raises:
            WebSocketDisconnect: the caller has disconnected.
        """
        more = {} if content is None else content.model_dump(mode="json")
        await self.socket.send_text(json.dumps({"event": event, **more, **fields}))

    async def while_there(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that only sends, until it ends. Messages from the caller are discarded.

        Raises:
            WebSocketDisconnect: the caller has disconnected, and the work was cancelled.
        """
        doing, gone = asyncio.create_task(work), asyncio.create_task(self._gone())
        try:
            await asyncio.wait((doing, gone), return_when=asyncio.FIRST_COMPLETED)
            await (doing if doing.done() else gone)
        finally:
            doing.cancel()
            gone.cancel()
            await asyncio.gather(doing, gone, return_exceptions=True)

    async def _gone(self) -> None:
        while (message := await self.socket.receive())["type"] != "websocket.disconnect":
            pass
        raise WebSocketDisconnect(message["code"])

    def check(self) -> None:
        """Check that the key that opened the socket is still valid. Call this every few seconds while a socket is open.

        Raises:
            Unauthorised: the key was revoked in the meantime.
        """
        key = CALLER.get()
        if key is not None and not self._keys.stands(key.id):
            raise Unauthorised("This key was revoked.")


@asynccontextmanager
async def opened(socket: WebSocket) -> AsyncIterator[Channel]:
    """Context manager that accepts an admitted connection and closes it afterwards.

    If the block raises a :class:`GaitkeeperError`, the event ``error`` is sent with the fields of its problem document,
    and the socket is closed. Any other exception is sent as ``internal`` and raised again. A disconnect ends the block.
    """
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered(socket.headers) else None)
    channel, code = Channel(socket), ENDED
    try:
        yield channel
    except WebSocketDisconnect:
        return
    except Exception as error:
        known = error if isinstance(error, GaitkeeperError) else GaitkeeperError("An internal error occurred.")
        code = FAILED if body(known)["status"] >= 500 else REFUSED
        await _last(channel, known)
        if known is not error:
            raise
    finally:
        if socket.application_state is WebSocketState.CONNECTED and socket.client_state is WebSocketState.CONNECTED:
            await socket.close(code)


async def _last(channel: Channel, error: GaitkeeperError) -> None:
    """Send the error, if the caller is still connected."""
    channel.socket.app.state.metrics.problem(error.code)
    try:
        await channel.send("error", **body(error))
    except (WebSocketDisconnect, RuntimeError):
        return
