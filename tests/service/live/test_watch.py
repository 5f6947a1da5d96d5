"""`gaitkeeper watch`: a file as if it were a camera, a camera on the network, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rtsp_camera import camera
from serving import Clips, Service
from streaming import access_units
from typer.testing import CliRunner

from gaitkeeper.service.cli import app
from gaitkeeper.service.errors import SourceNotAllowed, SourceUnavailable

BRIEFLY = ("--retry-for", "0.5")
"""A camera that hangs up is looked for again."""


def watch(*arguments: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["watch", *arguments, "--json"])
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    is_lost = isinstance(done.exception, SourceUnavailable) and any(event["event"] == "source" for event in events)
    if done.exception is not None and not isinstance(done.exception, SystemExit) and not is_lost:
        raise done.exception
    return events


def accounted_for(events: list[dict[str, Any]]) -> int:
    """Frames that were seen, or are told to have been dropped."""
    return sum(1 if event["event"] == "tracks" else len(event.get("frames", [])) for event in events)


def test_a_file_is_watched_here(clip: Clips, tmp_path: Path) -> None:
    events = watch(str(clip("ann-1")), "--store", f"sqlite:///{tmp_path}/gallery.db")
    assert accounted_for(events) == 48
    assert {event["event"] for event in events} <= {"tracks", "verdict", "dropped"}


def test_a_file_is_watched_through_a_service(clip: Clips, service: Service) -> None:
    events = watch(str(clip("ann-1")), "--server", service.url)
    assert accounted_for(events) == 48


def test_a_camera_on_the_list_is_watched(clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = access_units(clip("ann-1"))
    with camera(frames, 0.04) as address:
        monkeypatch.setenv("GAITKEEPER_LIVE_SOURCES", json.dumps([address]))
        events = watch(address.replace("//", "//user:word@"), "--store", f"sqlite:///{tmp_path}/gallery.db", *BRIEFLY)
    assert accounted_for(events) >= len(frames) - 2
    assert events[-1]["state"] == "lost"
    assert any(event["event"] == "tracks" for event in events)


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://127.0.0.1:1/other",
        "rtsp://127.0.0.1:2/main",
        "http://127.0.0.1:1/main",
        "file:///etc/passwd",
        "concat://a|b",
    ],
)
def test_a_camera_that_is_not_on_the_list_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("GAITKEEPER_LIVE_SOURCES", '["rtsp://127.0.0.1:1/main"]')
    with pytest.raises(SourceNotAllowed):
        watch(address)


def test_a_camera_that_does_not_answer_is_told_of_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAITKEEPER_LIVE_SOURCES", '["rtsp://127.0.0.1:1/main"]')
    with pytest.raises(SourceUnavailable) as told:
        watch("rtsp://user:word@127.0.0.1:1/main", "--store", f"sqlite:///{tmp_path}/gallery.db")
    assert "word" not in told.value.detail


@pytest.mark.parametrize("source", ["nothing.mp4", "/dev/video99"])
def test_what_is_not_there_is_told_of(tmp_path: Path, source: str) -> None:
    with pytest.raises(SourceUnavailable):
        watch(source, "--store", f"sqlite:///{tmp_path}/gallery.db")
