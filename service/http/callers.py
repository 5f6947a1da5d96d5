"""Whether the caller of a request is still there. Work for one who has hung up keeps others waiting for nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from service.errors import CallerGone


class Caller:
    """The caller of one request, asked after by the thread that works for it.

    Args:
        request: whose body has been read, so that nothing comes any more but that the caller goes.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._gone = threading.Event()

    async def wait_until_gone(self, then: Callable[[], object]) -> None:
        """Return once the caller has hung up, after calling ``then``."""
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.leave()
        then()

    def leave(self) -> None:
        """Take the caller for gone."""
        self._gone.set()

    def require(self) -> None:
        """Pass while the caller is there.

        Raises:
            CallerGone: the caller has hung up.
        """
        if self._gone.is_set():
            raise CallerGone("The caller hung up, and the work was given up.")

    def tell(self, stage: str, share: float) -> None:
        """Progress of the work, of which the caller is not told; raises as :meth:`require`, which ends the work."""
        self.require()


CallerOf = Annotated[Caller, Depends(Caller)]
