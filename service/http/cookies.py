"""The cookie of a session, and the check that the page itself sent it.

A browser sends the cookie by itself, also for requests that another page caused. So that no other page can act in a
user's name, the cookie is ``SameSite=Strict``, which covers other sites. A request that changes something by it, or
opens a socket, must also come from the page by its ``Origin``, which scripts cannot forge. This covers other ports and
subdomains of the same site.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from gaitkeeper.service.auth.access import READ
from gaitkeeper.service.errors import Forbidden

SAME_ORIGIN = "same-origin"


def cookie_name(headers: Headers) -> str:
    """Name of the cookie. It holds the port, because a browser sends all cookies of a host to each of its ports."""
    port = urlsplit(f"//{headers.get('host', '')}").netloc.rpartition(":")[2]
    return f"gaitkeeper-{port}" if port.isascii() and port.isdigit() else "gaitkeeper"


def session_text(headers: Headers) -> str | None:
    """The text of the session that a request's cookie names; None without a cookie."""
    return cookie_parser(headers.get("cookie", "")).get(cookie_name(headers)) or None


def require_own_page(scope: Scope) -> None:
    """Check that the page itself sent a request by cookie, if the request changes something or opens a socket.

    Raises:
        Forbidden: another page may have sent it.
    """
    headers = Headers(scope=scope)
    if scope["type"] == "http" and scope["method"] in READ:
        return
    origin = headers.get("origin")
    same = headers.get("sec-fetch-site") == SAME_ORIGIN if origin is None else is_own(origin, headers)
    if not same:
        raise Forbidden("A session can only be used by the page itself: programs send `Authorization: Bearer gk_…`.")


def is_own(origin: str, headers: Headers) -> bool:
    """Whether an Origin is the service itself, as the browser named it."""
    return origin.partition("://")[2] == headers.get("host")


def set_cookie(response: Response, scope: Scope, text: str, seconds: float) -> None:
    """Give a browser the cookie of a session. It is sent by https alone if the request came by https."""
    headers = Headers(scope=scope)
    response.set_cookie(
        cookie_name(headers),
        text,
        max_age=int(seconds),
        path=_path(scope),
        secure=_is_secure(scope, headers),
        httponly=True,
        samesite="strict",
    )


def delete_cookie(response: Response, scope: Scope) -> None:
    """Take the cookie of a session from a browser."""
    headers = Headers(scope=scope)
    response.delete_cookie(
        cookie_name(headers), _path(scope), secure=_is_secure(scope, headers), httponly=True, samesite="strict"
    )


def _path(scope: Scope) -> str:
    return scope.get("root_path") or "/"


def _is_secure(scope: Scope, headers: Headers) -> bool:
    """Whether the browser used https, also if a proxy ended it. A page's own Origin names the scheme."""
    return scope["scheme"] in {"https", "wss"} or headers.get("origin", "").startswith("https://")
