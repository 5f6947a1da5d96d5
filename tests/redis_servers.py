"""Redis servers of the tests' own: real processes, on loopback, each in a folder that is thrown away."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import redis

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


class RedisServer:
    """A redis-server process; :meth:`start` again after :meth:`kill` finds what was on disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        if shutil.which("redis-server") is None:
            pytest.skip("no redis-server here: apt-get install redis-server")
        self.folder, self.options = folder, options
        folder.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(port=self.port, **options)

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            # "save" with nothing after it must come last of its kind: no snapshots unless an option asks for them.
            self.process = subprocess.Popen([*command, "--save", "", *self.options], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except (redis.AuthenticationError, redis.exceptions.NoPermissionError):
                return
            except redis.RedisError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.01)

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.wait()


def _free_port() -> int:
    """A free port whose cluster bus (10000 above) is a port, too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < 55000:
            return port
