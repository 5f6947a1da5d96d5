"""Support for serving below a path prefix, behind a proxy."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


def root_of(text: str) -> str:
    """Normalise a path prefix: one leading slash, no trailing slash; empty for the host's root."""
    path = text.strip("/")
    return f"/{path}" if path else ""


class Under:
    """Outermost middleware that sets the path prefix. It makes every path begin with ``root`` and sets ``root_path``,
    whether or not the proxy strips the prefix.

    Args:
        root: the prefix, as returned by :func:`root_of`.
    """

    def __init__(self, app: ASGIApp, root: str) -> None:
        self.app, self._root = app, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            path: str = scope["path"]
            below = path == self._root or path.startswith(f"{self._root}/")
            scope["root_path"] = self._root
            scope["path"] = path if below else self._root + path
        await self.app(scope, receive, send)


def path_of(scope: Scope) -> str:
    """The path of a request without the prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"
