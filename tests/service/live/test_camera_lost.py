"""A camera that is lost and comes back is watched on, and one that stays away is told of; clocks that jump back."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rtsp_camera import camera
from serving import Clips, Service
from streaming import access_units, in_step, jpegs
from typer.testing import CliRunner

from gaitkeeper.service.cli import app
from gaitkeeper.service.errors import SourceUnavailable
from gaitkeeper.service.live import watching
from gaitkeeper.service.live.events import Event, SourceEvent, VerdictEvent
from gaitkeeper.service.live.sources import Shot
from gaitkeeper.service.live.watching import Watching


class Recorded:
    """A stream that takes every frame and says nothing."""

    def __init__(self) -> None:
        self.shots: list[tuple[int, float]] = []
        self._over = threading.Event()

    @contextmanager
    def opened(self) -> Iterator[Recorded]:
        self._over.clear()
        yield self

    def shoot(self, seq: int, shot: Shot) -> bool:
        self.shots.append((seq, shot.t))
        return True

    def finish(self) -> None:
        self._over.set()

    def events(self) -> Iterator[Event]:
        assert self._over.wait(60)
        yield from ()


class Camera:
    """A source that is opened again and again: each time it plays, is not there, or breaks off."""

    def __init__(self, *script: str) -> None:
        self.script = list(script)

    def __call__(self) -> Iterator[Shot]:
        act = self.script.pop(0) if self.script else "away"
        if act == "away":
            raise SourceUnavailable("The camera does not answer.")
        yield from (Shot(i / 10, "jpeg", b"x") for i in range(5))
        if act == "breaks":
            raise SourceUnavailable("It broke off.")
        if act == "fails":
            raise ZeroDivisionError


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "FIRST_PAUSE", 0.01)


def watched(camera: Camera, retry_for: float | None) -> tuple[Recorded, list[Event], Exception | None]:
    """What was sent, the events, and what ended it."""
    stream, events = Recorded(), []
    try:
        for event in Watching(camera, stream.opened, retry_for).events():
            events.append(event)  # noqa: PERF402 - those before an error count, too
    except Exception as error:
        return stream, events, error
    return stream, events, None


def test_a_camera_that_comes_back_is_watched_on_with_growing_pauses() -> None:
    stream, events, error = watched(Camera("ends", "away", "away", "breaks", "ends"), 1.0)
    assert [seq for seq, _ in stream.shots] == list(range(15))
    times = [t for _, t in stream.shots]
    assert times == sorted(times)
    told = [event for event in events if isinstance(event, SourceEvent)]
    assert [event.state for event in told[:6]] == ["lost", "lost", "lost", "back", "lost", "back"]
    pauses = [event.wait for event in told if event.wait is not None]
    assert pauses[:3] == [0.01, 0.02, 0.04]
    assert pauses[3] == 0.08  # it did not stay for long
    assert isinstance(error, SourceUnavailable) and "within 1 s" in error.detail and "answer" in error.detail


def test_a_camera_that_is_not_there_at_first_is_told_of_at_once() -> None:
    stream, events, error = watched(Camera("away"), 600)
    assert (stream.shots, events, type(error)) == ([], [], SourceUnavailable)


def test_a_file_ends_when_it_ends_and_what_nobody_foresaw_is_no_lost_camera() -> None:
    assert [len(watched(Camera("ends"), None)[0].shots), watched(Camera("ends"), None)[2]] == [5, None]
    assert isinstance(watched(Camera("fails"), 600)[2], ZeroDivisionError)


def test_watch_finds_a_camera_again_that_was_restarted(
    clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FIRST_PAUSE", 0.5)
    frames = access_units(clip("ann-1"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    opened = []

    def play() -> None:
        for _ in range(2):
            with camera(frames, 0.01, port=port, until_left=True):
                opened.append(port)

    playing = threading.Thread(target=play, daemon=True)
    playing.start()
    address = f"rtsp://127.0.0.1:{port}/main"
    monkeypatch.setenv("GAITKEEPER_LIVE_SOURCES", json.dumps([address]))
    arguments = ["watch", address, "--store", f"sqlite:///{tmp_path}/gallery.db", "--retry-for", "4", "--json"]
    done = CliRunner().invoke(app, arguments)
    playing.join(60)
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    states = [event["state"] for event in events if event["event"] == "source"]
    assert "back" in states and states[-1] == "lost", states
    back = next(i for i, event in enumerate(events) if event.get("state") == "back")
    assert any(event["event"] in ("tracks", "dropped") for event in events[back:])
    assert isinstance(done.exception, SourceUnavailable)


def test_a_clock_that_jumps_back_begins_a_new_segment_and_drops_nothing_for_it(service: Service, clip: Clips) -> None:
    pictures = jpegs(clip("ann-1"))[:30]
    frames = [(5000 + t, data) for t, data in pictures] + [(1 + t, data) for t, data in pictures]
    with service.client.stream() as live:
        events = list(in_step(live, frames))
    (segment,) = [event for event in events if event.event == "segment"]
    assert (segment.seq, segment.t, segment.before) == (30, frames[30][0], pytest.approx(frames[29][0], abs=0.2))
    dropped = {seq: event.reason for event in events if event.event == "dropped" for seq in event.frames}
    seen = {event.seq for event in events if event.event == "tracks"}
    assert seen | dropped.keys() == set(range(60)) and not seen & dropped.keys()
    assert "not_rising" not in dropped.values()
    first, second = (
        {p.track for e in events if e.event == "tracks" and (e.seq < 30) is early for p in e.people}
        for early in (True, False)
    )
    assert not first & second  # nobody's gait goes on over the jump
    ended = {event.track for event in events if isinstance(event, VerdictEvent) and event.final}
    assert first | second <= ended


def test_a_frame_a_little_out_of_order_is_no_jump(service: Service, clip: Clips) -> None:
    pictures = jpegs(clip("ann-1"))[:6]
    times = [0.0, 0.1, 0.05, 0.1, 0.2, 0.3]
    with service.client.stream() as live:
        events = list(in_step(live, [(t, data) for t, (_, data) in zip(times, pictures, strict=True)]))
    assert not [event for event in events if event.event == "segment"]
    assert {seq for e in events if e.event == "dropped" and e.reason == "not_rising" for seq in e.frames} >= {2, 3}


@pytest.mark.parametrize("progressive", [False, True])
def test_a_picture_that_is_cut_short_is_not_looked_at(service: Service, progressive: bool) -> None:
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8), (9, 9), 3)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()
    cut = [data[: int(len(data) * share)] for share in (0.1, 0.5, 0.9, 0.999)] + [data[: len(data) // 2] + data[-2:]]
    whole = [data, data + bytes(16)]  # a camera may fill its messages up
    with service.client.stream() as live:
        events = list(in_step(live, [(i / 10, one) for i, one in enumerate([*cut, *whole])]))
    dropped = {seq: event.reason for event in events if event.event == "dropped" for seq in event.frames}
    assert dropped == dict.fromkeys(range(5), "undecodable")
    assert [event.seq for event in events if event.event == "tracks"] == [5, 6]
