"""Bounds that keep one caller from taking the service down: bytes of a body, clips in work and in waiting."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.errors import DeadlineExceeded
from service.errors import Overloaded
from service.http.callers import Caller
from service.http.root_path import path_of
from service.http.uploads import Upload, Uploads

T = TypeVar("T")


WITH_CLIPS = {"/enroll", "/identify", "/verify", "/learn"}
SMALL = 2**20
"""Bytes of a body without clips, which is held in memory."""
LINGER_SECONDS, LINGER_BYTES = 2.0, 16 * 2**20
"""How much of a refused body is still taken, and thrown away, before its connection is closed."""


class BodyTooLarge(HTTPException):
    """Raised into whoever reads the body; the framework lets only its own exception type through form parsing."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            413,
            f"The request has more than {limit} bytes, which is the most that is taken here.",
            # Otherwise the server would go on reading what it has refused.
            {"Connection": "close"},
        )


class BodyTooSlow(HTTPException):
    """As :class:`BodyTooLarge`, of a body that does not come."""

    def __init__(self, seconds: float | None = None) -> None:
        late = "came too slowly, and others need its place" if seconds is None else f"did not come within {seconds:g} s"
        super().__init__(408, f"The request's body {late}.", {"Connection": "close"})


class NoPlace(HTTPException):
    """As :class:`BodyTooLarge`, of a body that there is no place for."""

    def __init__(self, bound: int, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(
            503,
            f"{bound} uploads are coming in, which is all this service takes at once: try again in {retry_after} s.",
            {"Connection": "close", "Retry-After": str(retry_after)},
        )


class BodyLimit:
    """Middleware that counts a request's body while it streams, and stops reading at the limit of bytes or of time.

    A body that declares its length is refused before its first byte is read. What does not come in one piece takes one
    of a bounded number of places, which a slow one loses to others. A connection that is closed while its body still
    comes is reset, and the answer lost on the way: so the answer goes out first, and the rest is taken for a while.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float, uploads: Uploads, retry_after: int) -> None:
        self.app = app
        self.limit = limit
        self.seconds = seconds
        self.uploads = uploads
        self.retry_after = retry_after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"")
        limit = self.limit if path_of(scope).rstrip("/") in WITH_CLIPS else min(self.limit, SMALL)
        too_large = declared.isdigit() and int(declared) > limit
        came, whole, asked_to_leave = 0, False, False
        end = anyio.current_time() + self.seconds
        waiting: anyio.CancelScope | None = None
        upload: Upload | None = None

        def leave() -> None:
            nonlocal asked_to_leave
            asked_to_leave = True
            if waiting is not None:
                waiting.cancel()

        async def counted() -> Message:
            nonlocal came, whole, waiting, upload
            if too_large:
                raise BodyTooLarge(limit)
            if asked_to_leave and not whole:
                raise BodyTooSlow
            # After the body the framework waits for the caller to go, which may take as long as it likes.
            with anyio.CancelScope(deadline=math.inf if whole else end) as waiting:
                message = await receive()
            late, waiting = waiting.cancelled_caught, None
            if late:
                raise BodyTooSlow(None if asked_to_leave else self.seconds)
            whole = not message.get("more_body", False)
            came += len(message.get("body", b""))
            if came > limit:
                raise BodyTooLarge(limit)
            if whole:
                places.close()
            elif upload is None:
                upload = places.enter_context(self.uploads.place(leave))
                if upload is None:
                    raise NoPlace(self.uploads.bound, self.retry_after)
            if upload is not None:
                upload.came = came
            return message

        closes = False

        async def answered(message: Message) -> None:
            nonlocal closes
            if message["type"] == "http.response.start":
                closes = (b"connection", b"close") in message["headers"]
            elif closes and not whole and not message.get("more_body", False):
                await send({**message, "more_body": True})
                places.close()
                await linger(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        with ExitStack() as places:
            await self.app(scope, counted, answered)


async def linger(receive: Receive) -> None:
    """Take what still comes of a body, within bounds of time and bytes, until the caller goes."""
    came = 0
    with anyio.move_on_after(LINGER_SECONDS):
        while came < LINGER_BYTES:
            message = await receive()
            came += len(message.get("body", b""))
            if not message.get("more_body", False):
                return


class WorkQueue:
    """Runs blocking work in threads: ``workers`` at a time, ``waiting`` more in line, and no more than that.

    Work that waits for a caller who has hung up is dropped at once. Work that has begun counts until it ends, which it
    does at its next look at :class:`service.http.callers.Caller`, where it looks.
    """

    def __init__(self, workers: int, waiting: int, retry_after: int) -> None:
        self.bound = workers + waiting
        self.retry_after = retry_after
        self.pending = 0
        self._slots = anyio.CapacityLimiter(workers)

    def admit(self) -> None:
        """Let the caller go on where there is room.

        Raises:
            Overloaded: as many clips as may wait are waiting.
        """
        if self.pending >= self.bound:
            raise Overloaded(
                f"{self.pending} clips are being processed or waiting, which is all this service takes: "
                f"try again in {self.retry_after} s.",
                retry_after=self.retry_after,
            )

    async def run(
        self, work: Callable[..., T], *args: Any, deadline: float = math.inf, caller: Caller | None = None
    ) -> T:
        """The result of ``work(*args)``.

        Args:
            work: to be run in a thread.
            args: for it.
            deadline: instant of ``time.monotonic`` until which to wait for a thread; the work keeps it by itself.
            caller: for whom it is; None for work that is done whoever goes.

        Raises:
            Overloaded: as :meth:`admit`; and whatever the work raises.
            DeadlineExceeded: no thread was free until then.
            CallerGone: the caller hung up before there was one.
        """
        self.admit()
        self.pending += 1
        waiting = anyio.CancelScope(deadline=anyio.current_time() + deadline - time.monotonic())
        watching = asyncio.create_task(caller.wait_until_gone(waiting.cancel)) if caller else None
        try:
            with waiting:
                await self._slots.acquire_on_behalf_of(token := object())
            if waiting.cancelled_caught:
                if caller:
                    caller.require()
                raise DeadlineExceeded("No worker was free for the clip in the time that a request may take.")
            try:
                return await anyio.to_thread.run_sync(work, *args, limiter=anyio.CapacityLimiter(1))
            finally:
                self._slots.release_on_behalf_of(token)
        finally:
            self.pending -= 1
            if caller and watching:
                caller.leave()  # where the server has cancelled the request, the thread is to know
                watching.cancel()
