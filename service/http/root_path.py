"""A service that lies below a path of its host, behind a proxy."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


def root_of(text: str) -> str:
    """A path with one slash before it and none after it; empty for the host itself."""
    path = text.strip("/")
    return f"/{path}" if path else ""


class Under:
    """Middleware around all others that tells them where the service lies: every path has ``root`` before it, and
    ``root_path`` says so, whether the proxy passes the path as it came or takes ``root`` off.

    Args:
        root: as :func:`root_of` gives it.
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
    """The path of a request below the service's own."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"
