"""A receiver of webhooks on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks import Webhook


class Receiver:
    """Takes all messages, and verifies their signatures."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._got: list[tuple[dict[str, str], bytes]] = []
        got = self._got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    @classmethod
    @contextmanager
    def opened(cls, secret: str) -> Iterator[Self]:
        """One that listens until the block ends."""
        made = cls(secret)
        threading.Thread(target=made._server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield made
        finally:
            made._server.shutdown()
            made._server.server_close()

    def messages(self) -> list[dict[str, Any]]:
        """All messages so far."""
        return [Webhook(self._secret).verify(body, headers) for headers, body in list(self._got)]
