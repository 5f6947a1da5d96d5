"""Detects callers that have disconnected, so that no work is done for them while others wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from gaitkeeper.service.errors import CallerGone


class Caller:
    """Connection state of one request's caller. The thread that processes the request checks it.

    Args:
        request: the request. Its body must be read, so that the only further message is the disconnect.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._gone = threading.Event()

    async def wait_until_gone(self, then: Callable[[], object]) -> None:
        """Wait until the caller disconnects, then call ``then``."""
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.leave()
        then()

    def leave(self) -> None:
        """Mark the caller as disconnected."""
        self._gone.set()

    def require(self) -> None:
        """Check that the caller is still connected.

        Raises:
            CallerGone: the caller has disconnected.
        """
        if self._gone.is_set():
            raise CallerGone("The caller disconnected, so the work was stopped.")

    def tell(self, stage: str, share: float) -> None:
        """Progress callback. It does not report progress; it raises as :meth:`require`, which ends the work."""
        self.require()


CallerOf = Annotated[Caller, Depends(Caller)]
