"""Real cameras: GStreamer's RTSP server in a process of its own. And patience."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().with_name("rtsp_server.py")
SYSTEM = "/usr/bin/python3"
PATIENCE = 240


def until(true: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true value; an assertion fails where there is none in time."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return value


class Server:
    """An RTSP server that plays a clip to everyone who comes, from its start. It can be killed and started again."""

    def __init__(self, clip: Path, *credentials: str) -> None:
        self._clip, self._credentials = clip, credentials
        self._port, self._process = "0", None
        self.start()

    @property
    def url(self) -> str:
        """Address, without credentials."""
        return f"rtsp://127.0.0.1:{self._port}/main"

    def start(self) -> None:
        """Start it, on the port that it had."""
        command = [SYSTEM, str(SCRIPT), self._port, str(self._clip), *self._credentials]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._port = self._process.stdout.readline().strip()
        assert self._port, "the RTSP server did not start"

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate(timeout=60)
