"""Admission control: API keys, rate limits and allowed origins. It runs before anything reads a request body."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gaitkeeper.gallery.stores.audit import acting
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.auth.access import CALLER, NOBODY, permit, rule_of
from gaitkeeper.service.auth.keys import Key, Keys
from gaitkeeper.service.auth.loopback import is_loopback
from gaitkeeper.service.auth.sessions import Sessions
from gaitkeeper.service.errors import BadSettings, Forbidden, RateLimited, Unauthorised
from gaitkeeper.service.http.cookies import is_own, require_own_page, session_text
from gaitkeeper.service.http.handlers import reply
from gaitkeeper.service.http.root_path import path_of
from gaitkeeper.service.http.sockets import KEY_PREFIX, PROTOCOL, REFUSED, key_text


class RateLimit:
    """Counts the requests of each key in a moving window.

    Args:
        rate: as in "600/minute".

    Raises:
        BadSettings: the rate cannot be parsed.
    """

    def __init__(self, rate: str) -> None:
        self._rate = rate_of(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, key_id: str) -> None:
        """Count a request.

        Raises:
            RateLimited: the key has sent too many requests; ``retry_after`` is in seconds.
        """
        if not self._limiter.hit(self._rate, key_id):
            again = self._limiter.get_window_stats(self._rate, key_id).reset_time
            wait = max(1, math.ceil(again - time.time()))
            raise RateLimited(
                f"More than {self._rate} were sent with this key: try again in {wait} s.", retry_after=wait
            )


class Gate:
    """Middleware that admits requests with a key, or a session's cookie, for the requested path.

    Until the first key is created, requests need no key but must come from this machine. Their Host header must be a
    loopback address, which prevents DNS rebinding by pages of other hosts. Their Origin header, if there is one, must
    be the service itself or one of ``origins``.

    Args:
        app: the wrapped application. Its ``state.keys`` are read at every request, so a revoked key is rejected at
            once.
        rate: maximum rate of requests per key.
        origins: allowed origins of web pages.
    """

    def __init__(self, app: ASGIApp, rate: RateLimit, origins: Sequence[str] = ()) -> None:
        self.app = app
        self._rate = rate
        self._origins = frozenset(origins)
        self._locked = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        try:
            key = self._admitted(scope)
        except GaitkeeperError as error:
            await refuse(error, scope, receive, send)
            return
        token = CALLER.set(key)
        try:
            with acting(key.actor if key else NOBODY):
                await self.app(scope, receive, send)
        finally:
            CALLER.reset(token)

    def _admitted(self, scope: Scope) -> Key | None:
        path, headers = path_of(scope), Headers(scope=scope)
        keys: Keys = scope["app"].state.keys
        self._require_own_page(headers)
        if rule_of(path).public:
            return None
        # Once a key was seen, keys stay required, even if the state file is lost.
        self._locked = self._locked or keys.exist()
        if not self._locked:
            _require_local_host(headers)
            return None
        key = _key_of(keys, scope)
        self._rate.count(key.id)
        permit(key, path, "WEBSOCKET" if scope["type"] == "websocket" else scope["method"])
        return key

    def _require_own_page(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None or origin in self._origins:
            return
        if not is_own(origin, headers):
            raise Forbidden("Pages of other hosts are not allowed to use this service.")


def _key_of(keys: Keys, scope: Scope) -> Key:
    """The key of a request: the one that it carries, or the one of its session.

    Raises:
        Unauthorised: it has neither, or what it has is not valid.
        Forbidden: another page may have sent the session's cookie.
    """
    headers, socket = Headers(scope=scope), scope["type"] == "websocket"
    text = key_text(headers, socket=socket)
    if text is not None:
        return keys.check(text)
    session = session_text(headers)
    if session is None:
        another = f", or offer the subprotocols `{PROTOCOL}` and `{KEY_PREFIX}gk_…`" if socket else ""
        raise Unauthorised(f"This needs an API key: send `Authorization: Bearer gk_…`{another}.")
    require_own_page(scope)
    sessions: Sessions = scope["app"].state.sessions
    return sessions.check(session)


def rate_of(text: str) -> RateLimitItem:
    """Parse a rate such as "600/minute".

    Raises:
        BadSettings: the text is not a rate.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise BadSettings(f"{text!r} is no rate: write it like `600/minute`.") from error


def _require_local_host(headers: Headers) -> None:
    host = headers.get("host", "")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.rpartition(":")[0] or host
    if not is_loopback(name):
        raise Forbidden("Without keys this service only accepts loopback addresses as host names.")


async def refuse(error: GaitkeeperError, scope: Scope, receive: Receive, send: Send) -> None:
    """Reply without reading the body, and without accepting a WebSocket."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await receive()
        await send({"type": "websocket.close", "code": REFUSED, "reason": error.code})
        return
    answer = reply(scope["app"], error)
    answer.headers["Connection"] = "close"  # the unread body is never read
    if isinstance(error, Unauthorised):
        answer.headers["WWW-Authenticate"] = "Bearer"
    await answer(scope, receive, send)
