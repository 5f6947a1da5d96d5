"""The client against things that are not the service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from serving import Clips, Service

from gaitkeeper.service.client import Client
from gaitkeeper.service.errors import ServerUnreachable, UnexpectedReply

ANSWERS = {
    "/livez": (200, b'{"status": "fine"}'),
    "/readyz": (200, b"<html>hello</html>"),
    "/collections/default/subjects": (404, b'{"detail": "Not Found"}'),
    "/collections/other/subjects": (500, b'{"code": "moonstruck", "detail": "The moon is full."}'),
}


class Stranger(BaseHTTPRequestHandler):
    """Another program on the port."""

    def do_GET(self) -> None:
        status, body = ANSWERS[self.path.partition("?")[0]]
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[Client]:
    server = HTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with Client(f"http://127.0.0.1:{server.server_port}") as client:
        yield client
    server.shutdown()
    thread.join()
    server.server_close()


def test_something_else_on_the_port_is_an_unexpected_reply(stranger: Client) -> None:
    for ask in (stranger.health, stranger.ready, stranger.subjects, lambda: stranger.subjects(collection="other")):
        with pytest.raises(UnexpectedReply):
            ask()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.0.0.1:99999", "ftp://127.0.0.1", "nonsense"])
def test_nothing_at_the_address_is_unreachable(url: str) -> None:
    with Client(url) as client, pytest.raises(ServerUnreachable, match="No service answers"):
        client.health()


def test_progress_goes_from_nothing_to_all(service: Service, clip: Clips, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    service.client.identify(clip("ann-1"), on_progress=lambda stage, share: told.append((stage, share)))
    assert {stage for stage, _ in told} == {"upload"}
    shares = [share for _, share in told]
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_names_that_need_quoting_go_round(service: Service, clip: Clips) -> None:
    name = "Zoë & co? #1 %2e"
    assert service.client.enroll(clip("ann-1"), name).template.subject == name
    assert service.client.subject(name).subject.subject == name
    assert service.client.erase(name).templates == 1
