"""Headers of every reply: the request's id, and security headers for browsers."""

from __future__ import annotations

import logging
import re
import time
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.http.handlers import reply
from gaitkeeper.service.metrics import Metrics

log = logging.getLogger("gaitkeeper")

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the current request."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Default headers. A reply can override them, as the page does."""


class Edge:
    """Outermost middleware. Adds the headers to every reply."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if ACCEPTED.fullmatch(given) else uuid.uuid4().hex
        status, began = 0, time.perf_counter()

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        token = REQUEST_ID.set(request_id)
        try:
            await self.app(scope, receive, dressed)
        except Exception:
            if status or scope["type"] == "websocket":
                raise
            log.exception("%s %s", scope["method"], route_of(scope))
            await reply(scope["app"], GaitkeeperError("An internal error occurred."))(scope, receive, dressed)
        finally:
            if scope["type"] == "http":
                _note(scope, status, time.perf_counter() - began)
            REQUEST_ID.reset(token)


def route_of(scope: Scope) -> str:
    """The pattern of a request's path. The path itself may name a person."""
    return getattr(scope.get("route"), "path", "unmatched")


def _note(scope: Scope, status: int, seconds: float) -> None:
    metrics: Metrics = scope["app"].state.metrics
    method, route = scope["method"], route_of(scope)
    metrics.request(method if method in METHODS else "other", route, status, seconds)
    told = {"method": method, "route": route, "status": status, "seconds": round(seconds, 4)}
    log.info("%s %s %d", method, route, status, extra=told)
