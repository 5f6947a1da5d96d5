"""Limits that keep one caller from overloading the service: body size, and clips being processed or waiting."""

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

from gaitkeeper.pipelines.errors import DeadlineExceeded
from gaitkeeper.service.errors import Overloaded
from gaitkeeper.service.http.callers import Caller
from gaitkeeper.service.http.root_path import path_of
from gaitkeeper.service.http.uploads import Upload, Uploads

T = TypeVar("T")


WITH_CLIPS = {"/enroll", "/identify", "/verify", "/walkers", "/learn"}
SMALL = 2**20
"""Maximum bytes of a body without clips. Such a body is held in memory."""
LINGER_SECONDS, LINGER_BYTES = 2.0, 16 * 2**20
"""Bytes of a rejected body that are still read and discarded before the connection is closed."""


class BodyTooLarge(HTTPException):
    """Raised in the code that reads the body. Form parsing only passes on the framework's own exception type."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            413,
            f"The request has more than {limit} bytes, which is the most that is taken here.",
            # Otherwise the server would continue to read the rejected body.
            {"Connection": "close"},
        )


class BodyTooSlow(HTTPException):
    """As :class:`BodyTooLarge`, for a body that does not arrive in time."""

    def __init__(self, seconds: float | None = None) -> None:
        late = "came too slowly, and others need its place" if seconds is None else f"did not come within {seconds:g} s"
        super().__init__(408, f"The request's body {late}.", {"Connection": "close"})


class NoPlace(HTTPException):
    """As :class:`BodyTooLarge`, for a body that exceeds the number of concurrent uploads."""

    def __init__(self, bound: int, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(
            503,
            f"{bound} uploads are coming in, which is all this service takes at once: try again in {retry_after} s.",
            {"Connection": "close", "Retry-After": str(retry_after)},
        )


class BodyLimit:
    """Middleware that counts a request's body while it streams, and stops reading at the limit of bytes or of time.

    A body with a declared length that is too large is rejected before its first byte is read. A body that arrives in
    several pieces takes one of a limited number of upload places; a slow upload can lose its place to others. Closing a
    connection while its body still arrives resets it, and the reply is lost. Therefore the reply is sent first, and the
    rest of the body is read for a while.
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
            # After the body, the framework waits for the disconnect. That wait has no time limit.
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
    """Read the rest of a body, within limits of time and bytes, until the caller disconnects."""
    came = 0
    with anyio.move_on_after(LINGER_SECONDS):
        while came < LINGER_BYTES:
            message = await receive()
            came += len(message.get("body", b""))
            if not message.get("more_body", False):
                return


class WorkQueue:
    """Runs blocking work in threads: at most ``workers`` at a time, and at most ``waiting`` more in the queue.

    Queued work is dropped as soon as its caller disconnects. Running work occupies its thread until it ends. It ends
    early if it checks :class:`gaitkeeper.service.http.callers.Caller` after the disconnect.
    """

    def __init__(self, workers: int, waiting: int, retry_after: int) -> None:
        self.bound = workers + waiting
        self.retry_after = retry_after
        self.pending = 0
        self._slots = anyio.CapacityLimiter(workers)

    def admit(self) -> None:
        """Admit the caller if there is room in the queue.

        Raises:
            Overloaded: the queue is full.
        """
        if self.pending >= self.bound:
            raise Overloaded(
                f"{self.pending} clips are being processed or waiting, which is the limit: "
                f"try again in {self.retry_after} s.",
                retry_after=self.retry_after,
            )

    async def run(
        self, work: Callable[..., T], *args: Any, deadline: float = math.inf, caller: Caller | None = None
    ) -> T:
        """Run ``work(*args)`` and return its result.

        Args:
            work: function to run in a thread.
            args: its arguments.
            deadline: time of ``time.monotonic`` until which to wait for a thread. The work itself must respect it once
                it runs.
            caller: the caller that waits for the result; None for work that must not be cancelled.

        Raises:
            Overloaded: as :meth:`admit`. Errors of the work are passed on.
            DeadlineExceeded: no thread was free before the deadline.
            CallerGone: the caller disconnected before a thread was free.
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
                raise DeadlineExceeded("No worker became free for the clip within the time limit.")
            try:
                return await anyio.to_thread.run_sync(work, *args, limiter=anyio.CapacityLimiter(1))
            finally:
                self._slots.release_on_behalf_of(token)
        finally:
            self.pending -= 1
            if caller and watching:
                caller.leave()  # if the server cancels the request, the thread must notice
                watching.cancel()
