"""A real server on loopback, for a block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import uvicorn

from gaitkeeper.service.app import create_app
from gaitkeeper.service.client import Client
from gaitkeeper.service.operations.listening import listen, socket_options, url_of
from gaitkeeper.service.settings import Settings


@dataclass(frozen=True)
class Service:
    """A service that is running now."""

    url: str
    store: Path
    client: Client


class Outcome(NamedTuple):
    """What one run of the command did."""

    code: int
    out: str
    err: str


Start = Callable[..., Service]
Clips = Callable[[str], Path]
Run = Callable[..., Outcome]


@contextmanager
def running(settings: Settings, store: Path) -> Iterator[Service]:
    """A real server on a free port until the block ends."""
    door = listen("127.0.0.1", 0)
    config = uvicorn.Config(create_app(settings), log_level="critical", **socket_options(settings))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        with Client(url_of(door), timeout=300) as client:
            client.health()
            yield Service(url_of(door), store, client)
    finally:
        server.should_exit = True
        thread.join(120)
        door.close()
    assert not thread.is_alive()
