"""RTSP servers, and no hurry."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_cameras import SYSTEM, Server

from gaitkeeper.service.cameras import running
from gaitkeeper.service.live import session, watching


@pytest.fixture(scope="session")
def _gstreamer() -> None:
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); gi.require_version('Gst', '1.0')"
    if not Path(SYSTEM).exists() or subprocess.run([SYSTEM, "-c", probe], capture_output=True, timeout=60).returncode:
        pytest.skip("GStreamer's RTSP server is not installed: apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi")


@pytest.fixture
def rtsp(_gstreamer: None) -> Iterator[Callable[..., Server]]:
    """Start RTSP servers, with a clip and, if wanted, a user and a password; killed after the test."""
    servers: list[Server] = []

    def serve(clip: Path, *credentials: str) -> Server:
        servers.append(Server(clip, *credentials))
        return servers[-1]

    yield serve
    for server in servers:
        server.kill()


@pytest.fixture(autouse=True)
def _slow_machines_see_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine, all frames of a short clip are looked at; and a lost camera is looked for soon."""
    monkeypatch.setattr(session, "LAG", 600.0)
    monkeypatch.setattr(session, "CREDITS", 400)
    monkeypatch.setattr(watching, "FIRST_PAUSE", 0.2)
    monkeypatch.setattr(watching, "LONGEST_PAUSE", 2.0)
    monkeypatch.setattr(running, "AGAIN", 2.0)
