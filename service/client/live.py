"""Client side of a live stream."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pydantic import ValidationError
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.sync.client import ClientConnection, connect

from gaitkeeper.pipelines.pictures import Codec
from gaitkeeper.service import problems
from gaitkeeper.service.errors import ServerUnreachable, UnexpectedReply
from gaitkeeper.service.live.events import EVENT, Credit, ErrorEvent, Event

if TYPE_CHECKING:
    from gaitkeeper.service.live.sources import Shot

MAX_EVENT = 2**22


class LiveStream:
    """Sends frames and receives events; a background thread receives them. Created by
    :meth:`gaitkeeper.service.client.Client.stream`.

    >>> with client.stream() as live:  # doctest: +SKIP
    ...     live.send(jpeg, seq=0, t=0.0)
    ...     live.finish()
    ...     for event in live.events():
    ...         print(event)

    Raises:
        ServerUnreachable, UnexpectedReply: no server replies, or it does not use this protocol.
        GaitkeeperError: the service rejects the stream. The class is the one that the service raised.
    """

    def __init__(self, url: str, key: str | None, query: Mapping[str, object], timeout: float = 30.0) -> None:
        address = f"ws{url.removeprefix('http').rstrip('/')}/stream?{urlencode(query, doseq=True)}"
        headers = {"Authorization": f"Bearer {key}"} if key else None
        self._events: queue.Queue[Event | Exception | None] = queue.Queue()
        self._credit = threading.Condition()
        self._left = 0
        self._over = False
        self._stack = ExitStack()
        try:
            dialled = connect(
                address,
                additional_headers=headers,
                max_size=MAX_EVENT,
                compression=None,
                open_timeout=timeout,
                proxy=None,  # the user gave this address
            )
            self._socket: ClientConnection = self._stack.enter_context(dialled)
        except InvalidStatus as error:
            raise _refusal(url, error.response.body) from error
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
            raise ServerUnreachable(f"No service answers at {url}: {error}.") from error
        self._thread = threading.Thread(target=self._hear, name="live-events", daemon=True)
        self._thread.start()

    def __enter__(self) -> LiveStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes, *, seq: int, t: float, codec: Codec = "jpeg", wait: float | None = None) -> bool:
        """Send a frame.

        Args:
            data: a JPEG file, or an access unit in Annex B.
            seq: frame number.
            t: timestamp in seconds.
            codec: codec of the data.
            wait: seconds to wait for a credit; None means no limit.

        Returns:
            Whether the frame was sent. False if no credit came in time, or if the stream has ended.
        """
        with self._credit:
            self._credit.wait_for(lambda: self._left > 0 or self._over, wait)
            if self._left <= 0 or self._over:
                return False
            self._left -= 1
        try:
            self._socket.send(json.dumps({"t": t, "seq": seq, "codec": codec}))
            self._socket.send(data)
        except ConnectionClosed:
            return False
        return True

    def shoot(self, seq: int, shot: Shot) -> bool:
        """Send a frame of a source, if there is a credit. Returns whether it was sent."""
        codec, data = shot.coded()
        # H.264: later frames depend on this one.
        return self.send(data, seq=seq, t=shot.t, codec=codec, wait=None if codec == "h264" else 0.0)

    def finish(self) -> None:
        """Signal the end of the frames. The remaining events still arrive."""
        try:
            self._socket.send(json.dumps({"end": True}))
        except ConnectionClosed:
            return

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Iterate over events until the stream ends, or until none arrives within ``timeout`` seconds.

        Raises:
            GaitkeeperError: the error that ended the stream.
        """
        while True:
            try:
                event = self._events.get(timeout=timeout)
            except queue.Empty:
                return
            if event is None:
                self._events.put(None)
                return
            if isinstance(event, Exception):
                self._events.put(None)
                raise event
            yield event

    def close(self) -> None:
        """End the stream."""
        self._stack.close()
        self._thread.join(10)

    def _hear(self) -> None:
        last: Exception | None = None
        try:
            for text in self._socket:
                event = EVENT.validate_json(text)
                if isinstance(event, ErrorEvent) and event.fatal:
                    last = problems.from_body(event.document)
                    break
                if isinstance(event, Credit):
                    with self._credit:
                        self._left += event.frames
                        self._credit.notify_all()
                self._events.put(event)
        except ValidationError:
            last = UnexpectedReply("The service sent an event that this client does not know.")
        except ConnectionClosed as error:
            last = ServerUnreachable(f"The stream was interrupted: {error}.")
        finally:
            with self._credit:
                self._over = True
                self._credit.notify_all()
            self._events.put(last)


def _refusal(url: str, content: bytes | bytearray | None) -> Exception:
    try:
        return problems.from_body(json.loads(content or b""))
    except (ValueError, AttributeError):
        return UnexpectedReply(f"{url} refused the stream with a body that is not a problem document.")
