"""Without keys the service listens on loopback only."""

from __future__ import annotations

import socket

import pytest

from gaitkeeper.service.errors import BadSettings, NotLoopback
from gaitkeeper.service.operations.listening import listen, require_loopback, url_of


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_loopback_is_allowed(host: str) -> None:
    require_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"])
def test_anything_else_is_refused(host: str) -> None:
    with pytest.raises(NotLoopback, match="no keys"):
        require_loopback(host)


def test_a_host_without_an_address_is_a_bad_setting() -> None:
    with pytest.raises(BadSettings, match="no address"):
        require_loopback("no such host")


def test_a_port_is_taken_once() -> None:
    with listen("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        assert url_of(door) == f"http://127.0.0.1:{port}"
        with pytest.raises(BadSettings, match="in use"):
            listen("127.0.0.1", port)
        socket.create_connection(("127.0.0.1", port)).close()


def test_a_container_that_is_published_on_loopback_may_listen_to_all_of_itself() -> None:
    with pytest.raises(NotLoopback):
        listen("0.0.0.0", 0)
    with listen("0.0.0.0", 0, published_on_loopback=True) as door:
        socket.create_connection(("127.0.0.1", door.getsockname()[1])).close()
