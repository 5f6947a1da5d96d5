"""WebSockets on a real server: who is let in before the handshake ends, and how sockets end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import WebSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from gaitkeeper.pipelines.errors import NoPerson
from gaitkeeper.service.app import create_app
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.http.sockets import KEY_PREFIX, PROTOCOL, opened
from gaitkeeper.service.operations.listening import listen, url_of
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State


@contextmanager
def sockets(folder: Path) -> Iterator[str]:
    """A real service with a socket at ``/jobs/echo`` that says its first message back, or does what it is told."""
    app = create_app(Settings(store=f"sqlite:///{folder / 'gallery.db'}"))

    @app.websocket("/jobs/echo")
    async def echo(socket: WebSocket) -> None:
        async with opened(socket) as channel:
            told = await socket.receive_text()
            channel.check()
            if told == "nobody":
                raise NoPerson("Nobody walks here.")
            if told == "bug":
                raise ZeroDivisionError(str(folder))
            await channel.send("echo", told=told)

    door = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        yield url_of(door).replace("http", "ws", 1) + "/jobs/echo"
    finally:
        server.should_exit = True
        thread.join(60)
        door.close()


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    state = State(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}").state_path)
    yield Keys(state)
    state.close()


def said(url: str, text: str, **how: object) -> dict[str, object]:
    with connect(url, **how) as socket:  # type: ignore[arg-type]
        socket.send(text)
        return dict(json.loads(socket.recv()))


def test_a_key_comes_as_a_subprotocol_or_in_the_header_and_never_goes_back(tmp_path: Path, keys: Keys) -> None:
    _, text = keys.create([Scope.IDENTIFY])
    with sockets(tmp_path) as url:
        with connect(url, subprotocols=[PROTOCOL, KEY_PREFIX + text]) as socket:  # type: ignore[list-item]
            assert socket.subprotocol == PROTOCOL
            assert socket.response is not None and text not in str(socket.response.headers)
            socket.send("hello")
            assert json.loads(socket.recv()) == {"event": "echo", "told": "hello"}
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
        assert said(url, "hi", additional_headers={"Authorization": f"Bearer {text}"})["told"] == "hi"


def test_without_a_good_key_the_handshake_ends_in_a_problem(tmp_path: Path, keys: Keys) -> None:
    _, text = keys.create([Scope.IDENTIFY])
    with sockets(tmp_path) as url:
        for names in ([], [PROTOCOL], [PROTOCOL, KEY_PREFIX + text[:-4] + "aaaa"], [PROTOCOL, text]):
            with pytest.raises(InvalidStatus) as refused, connect(url, subprotocols=names or None):  # type: ignore[arg-type]
                pass
            assert refused.value.response.status_code == 401
            assert json.loads(refused.value.response.body or b"")["code"] == "unauthorised"


def test_another_hosts_page_is_refused_and_the_services_own_is_not(tmp_path: Path) -> None:
    with sockets(tmp_path) as url:
        host = url.split("/")[2]
        assert said(url, "hi", origin=f"http://{host}")["told"] == "hi"
        for origin in ("http://evil.example", "null", f"http://{host}.evil.example"):
            with pytest.raises(InvalidStatus) as refused, connect(url, origin=origin):  # type: ignore[arg-type]
                pass
            assert refused.value.response.status_code == 403
            assert json.loads(refused.value.response.body or b"")["code"] == "forbidden"


@pytest.mark.parametrize(("told", "code", "closing"), [("nobody", "no_person", 1008), ("bug", "internal", 1011)])
def test_an_error_is_told_as_a_problem_and_closes_the_socket(
    tmp_path: Path, told: str, code: str, closing: int
) -> None:
    with sockets(tmp_path) as url, connect(url) as socket:
        socket.send(told)
        event = json.loads(socket.recv())
        assert event["event"] == "error" and event["code"] == code
        assert str(tmp_path) not in json.dumps(event)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == closing


def test_a_key_revoked_meanwhile_is_good_no_more(tmp_path: Path, keys: Keys) -> None:
    key, text = keys.create([Scope.IDENTIFY])
    with sockets(tmp_path) as url, connect(url, subprotocols=[PROTOCOL, KEY_PREFIX + text]) as socket:  # type: ignore[list-item]
        keys.revoke(key.id)
        socket.send("hello")
        assert json.loads(socket.recv())["code"] == "unauthorised"
