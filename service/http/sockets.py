"""WebSockets: how a key travels that a browser cannot put into a header, and how every socket begins and ends.

A page offers two subprotocols, ``new WebSocket(url, ["gaitkeeper.v1", "gaitkeeper.key.gk_…"])``; the service takes the
first, and never says the second back. Programs may send the ``Authorization`` header instead. Key and Origin are
checked by :class:`service.http.admission.Gate` before the socket is accepted, on every route alike.
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

from models.errors import GaitkeeperError
from service.auth.access import CALLER
from service.auth.keys import Keys
from service.errors import Unauthorised
from service.problems import body

PROTOCOL = "gaitkeeper.v1"
KEY_PREFIX = "gaitkeeper.key."

# Codes of a closing handshake, RFC 6455 section 7.4.1.
ENDED = 1000
REFUSED = 1008
FAILED = 1011


def offered(headers: Headers) -> list[str]:
    """The subprotocols that whoever connects would speak."""
    lines = headers.getlist("sec-websocket-protocol")
    return [name for name in (part.strip() for part in ",".join(lines).split(",")) if name]


def key_text(headers: Headers, *, socket: bool) -> str:
    """The text of the API key that a request or, if ``socket``, a connection brings.

    Raises:
        Unauthorised: it brings none.
    """
    kind, _, text = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return text.strip()
    keys = [name.removeprefix(KEY_PREFIX) for name in offered(headers) if name.startswith(KEY_PREFIX)] if socket else []
    if not keys:
        another = f", or offer the subprotocols `{PROTOCOL}` and `{KEY_PREFIX}gk_…`" if socket else ""
        raise Unauthorised(f"This takes an API key: send `Authorization: Bearer gk_…`{another}.")
    return keys[0]


class Channel:
    """An accepted socket that speaks JSON events.

    Args:
        socket: the framework's own, for whatever else is sent or received.
    """

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self._keys: Keys = socket.app.state.keys

    async def send(self, event: str, content: BaseModel | None = None, **fields: object) -> None:
        """Send ``{"event": event, …}`` with the content's fields and the others.

        Raises:
            WebSocketDisconnect: nobody is there any more.
        """
        more = {} if content is None else content.model_dump(mode="json")
        await self.socket.send_text(json.dumps({"event": event, **more, **fields}))

    async def while_there(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work that only sends, until it ends; what the caller sends is not read.

        Raises:
            WebSocketDisconnect: the caller has gone, and the work was given up.
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
        """Pass while the key that opened the socket is good; to be called every few seconds by whoever holds one open.

        Raises:
            Unauthorised: it was revoked in the meantime.
        """
        key = CALLER.get()
        if key is not None and not self._keys.stands(key.id):
            raise Unauthorised("This key was revoked.")


@asynccontextmanager
async def opened(socket: WebSocket) -> AsyncIterator[Channel]:
    """Accept a connection that the gate has let through, for a block, and close it after.

    An error of ours that the block raises goes out as the event ``error`` with the fields of its problem document, and
    closes the socket; so does any other, as ``internal``, which is then raised on. A caller who goes ends the block.
    """
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered(socket.headers) else None)
    channel, code = Channel(socket), ENDED
    try:
        yield channel
    except WebSocketDisconnect:
        return
    except Exception as error:
        known = error if isinstance(error, GaitkeeperError) else GaitkeeperError("An error that nobody foresaw.")
        code = FAILED if body(known)["status"] >= 500 else REFUSED
        await _last(channel, known)
        if known is not error:
            raise
    finally:
        if socket.application_state is WebSocketState.CONNECTED and socket.client_state is WebSocketState.CONNECTED:
            await socket.close(code)


async def _last(channel: Channel, error: GaitkeeperError) -> None:
    """Say what was wrong, where somebody is there to hear it."""
    channel.socket.app.state.metrics.problem(error.code)
    try:
        await channel.send("error", **body(error))
    except (WebSocketDisconnect, RuntimeError):
        return
