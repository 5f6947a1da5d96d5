"""The live stream on a real server: frames in, tracks, verdicts and every dropped frame out."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import httpx
import psutil
import pytest
from serving import Clips, Service, Start, running
from starlette.websockets import WebSocketDisconnect
from streaming import access_units, in_step, jpegs, waited_for
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.types import Verdict
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.errors import TooLarge
from gaitkeeper.pipelines.pictures import Codec
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.client import Client
from gaitkeeper.service.client.live import LiveStream
from gaitkeeper.service.errors import (
    BadMessage,
    Forbidden,
    InvalidRequest,
    Overloaded,
    ServerUnreachable,
    StreamTimeout,
    Unauthorised,
)
from gaitkeeper.service.http.sockets import Channel
from gaitkeeper.service.live import conversation
from gaitkeeper.service.live.conversation import BACKLOG, Conversation
from gaitkeeper.service.live.events import Credit, Dropped, ErrorEvent, Event, Tracks, VerdictEvent
from gaitkeeper.service.live.session import Session, Tell
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State

Frames = list[tuple[float, bytes]]


@pytest.fixture(scope="module")
def pictures(clip: Clips) -> Frames:
    """A second of a walk, as JPEG files."""
    return jpegs(clip("ann-1"))[:30]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, clip: Clips) -> Iterator[Service]:
    """A service that knows four people, with more places than a test needs: each is given back a moment later."""
    store = tmp_path_factory.mktemp("stream") / "gallery.db"
    with running(Settings(store=f"sqlite:///{store}", streams=8), store) as made:
        for name in ("ann", "bob", "cid", "dora"):
            made.client.enroll(clip(f"{name}-1"), name)
        yield made


@pytest.fixture(autouse=True)
def _no_decoder_is_left() -> Iterator[None]:
    def forks() -> list[psutil.Process]:
        return psutil.Process().children(recursive=True)

    before = len(forks())
    yield
    end = time.monotonic() + 60
    while len(forks()) > before and time.monotonic() < end:
        time.sleep(0.05)
    assert len(forks()) <= before


def verdicts(events: list[Event]) -> list[VerdictEvent]:
    return [event for event in events if isinstance(event, VerdictEvent)]


def dropped(events: list[Event]) -> Counter[str]:
    return Counter(
        reason for event in events if isinstance(event, Dropped) for reason in [event.reason] * len(event.frames)
    )


def seen(events: list[Event]) -> list[int]:
    return [event.seq for event in events if isinstance(event, Tracks)]


@pytest.mark.parametrize(("codec", "frames_of"), [("jpeg", jpegs), ("h264", access_units)])
def test_another_walk_gets_the_right_name_and_no_other(
    service: Service, clip: Clips, codec: Codec, frames_of: Callable[..., Frames]
) -> None:
    frames = frames_of(clip("ann-long"))
    service.client.keep_passers_by(3600)
    with service.client.stream(camera="door") as live:
        # However slow the machine, the walk begins when she has been found.
        sent = waited_for(live, frames[0][1], codec)
        events = list(in_step(live, [(sent / 30 + t, data) for t, data in frames], codec, sent))
    told = verdicts(events)
    assert told[-1].final and (told[-1].shown.verdict, told[-1].shown.subject) == (Verdict.MATCH, "ann")
    assert {event.shown.subject for event in told} <= {"ann", None}
    assert all(event.gait >= 1.4 for event in told if event.person is not None)
    # Of what was sent, everything was seen or is told to have been dropped.
    assert len(seen(events)) + sum(dropped(events).values()) == len(frames)
    people = [event for event in events if isinstance(event, Tracks) and event.people]
    assert all(0 <= one.box[0] < one.box[2] <= event.width for event in people for one in event.people)
    assert {one.track for event in people for one in event.people} == {1}
    assert people[-1].people[0].shown.subject == "ann"
    assert {event.person.seen.camera for event in told if event.person and event.person.seen} == {"door"}
    assert [view.walks for view in service.client.cameras().views] == [1], "of all windows of a track one"
    service.client.keep_passers_by(None)


def test_too_short_a_look_is_no_verdict(service: Service, pictures: Frames) -> None:
    with service.client.stream() as live:
        sent = waited_for(live, pictures[0][1], "jpeg")
        told = verdicts(list(in_step(live, [(sent / 30 + t, data) for t, data in pictures], "jpeg", sent)))
    assert [(one.final, one.shown.verdict, one.shown.reason) for one in told] == [(True, "inconclusive", "too_short")]
    assert told[0].person is None


@pytest.fixture
def locked(start: Start) -> tuple[Service, Keys]:
    service = start()
    return service, Keys(State(service.store.with_name("gallery.service.db")))


def test_keys_and_scopes_are_checked_before_the_stream_is_accepted(locked: tuple[Service, Keys]) -> None:
    service, keys = locked
    _, wrong = keys.create([Scope.ENROL])
    _, elsewhere = keys.create([Scope.IDENTIFY], ["door"])
    _, good = keys.create([Scope.IDENTIFY], ["default"])
    for key, kind in ((None, Unauthorised), ("gk_" + "0" * 16 + "_" + "a" * 43, Unauthorised), (wrong, Forbidden)):
        with pytest.raises(kind):
            Client(service.url, key=key).stream()
    with pytest.raises(Forbidden):
        Client(service.url, key=elsewhere).stream()
    with Client(service.url, key=good).stream() as live:
        assert next(live.events(60)).event == "credit"


def test_a_key_that_is_revoked_ends_its_stream(
    locked: tuple[Service, Keys], pictures: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "CHECK_SECONDS", 0.0)
    service, keys = locked
    key, text = keys.create([Scope.IDENTIFY])
    with Client(service.url, key=text).stream() as live:
        assert next(live.events(60)).event == "credit"
        keys.revoke(key.id)
        live.send(pictures[0][1], seq=0, t=0.0)
        with pytest.raises(Unauthorised):
            list(live.events(60))


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"collection": "nowhere"}, NotFound),
        ({"fpir": 7}, InvalidRequest),
        ({"top_k": 0}, InvalidRequest),
        ({"where": {"": ""}}, GaitkeeperError),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_the_stream_is_accepted(
    service: Service, query: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        service.client.stream(**query)


def patiently(service: Service) -> LiveStream:
    """A stream, as soon as there is a place for it: one that ended gives its own back a moment later."""
    end = time.monotonic() + 60
    while True:
        try:
            return service.client.stream()
        except Overloaded:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_there_are_so_many_streams_and_no_more(start: Start) -> None:
    service = start(streams=1)
    with service.client.stream():
        with pytest.raises(Overloaded) as refused:
            service.client.stream()
        assert refused.value.extra["retry_after"] == 5
    patiently(service).close()


def bare(service: Service) -> ClientConnection:
    """A stream without the client's manners."""
    return connect(f"ws{service.url.removeprefix('http')}/stream", max_size=None)


def header(seq: int, t: float, codec: str = "jpeg") -> str:
    return json.dumps({"t": t, "seq": seq, "codec": codec})


def until(socket: ClientConnection, *kinds: str) -> dict[str, Any]:
    while (event := json.loads(socket.recv(60)))["event"] not in kinds:
        pass
    return dict(event)


@pytest.mark.parametrize(
    "message",
    [
        b"a picture without its header",
        "no JSON",
        "[]",
        "{}",
        "[" * 20_000,
        header(0, -1.0),
        header(0, float("nan")),
        header(0, 1e300),
        header(-1, 0.0),
        header(0, 0.0, "gif"),
        '{"end": false}',
        '{"t": 0, "seq": 0, "codec": "jpeg", "more": 1}',
    ],
)
def test_a_malformed_message_is_told_of_and_the_stream_goes_on(
    service: Service, pictures: Frames, message: str | bytes
) -> None:
    with bare(service) as socket:
        until(socket, "credit")
        socket.send(message)
        event = until(socket, "error")
        assert (event["code"], event["fatal"]) == ("bad_message", False)
        socket.send(header(0, 0.0))
        socket.send(pictures[0][1])
        assert until(socket, "tracks")["seq"] == 0


def test_a_header_without_its_picture_and_another_codec_are_malformed(service: Service, pictures: Frames) -> None:
    with bare(service) as socket:
        until(socket, "credit")
        socket.send(header(0, 0.0))
        socket.send(header(1, 0.1))
        assert "frame 0" in until(socket, "error")["detail"]
        socket.send(header(2, 0.2))
        socket.send(pictures[0][1])
        assert until(socket, "tracks")["seq"] == 2
        socket.send(header(3, 0.3, "h264"))
        socket.send(b"\0\0\0\1")
        assert until(socket, "error")["code"] == BadMessage.code


def test_ten_malformed_messages_end_the_stream_and_nothing_else(service: Service) -> None:
    with bare(service) as socket:
        for _ in range(10):
            socket.send("?")
        codes = [until(socket, "error")["code"] for _ in range(10)]
        assert set(codes) == {"bad_message"}
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(60)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
    assert httpx.get(f"{service.url}/livez", timeout=60).status_code == 200


def test_who_sends_without_credit_learns_what_was_dropped(service: Service, pictures: Frames) -> None:
    count = 60
    with bare(service) as socket:
        until(socket, "credit")
        for seq in range(count):
            socket.send(header(seq, seq / 30))
            socket.send(pictures[0][1])
        socket.send('{"end": true}')
        looked_at, reasons = [], Counter[str]()
        with pytest.raises(ConnectionClosed):
            while event := json.loads(socket.recv(60)):
                looked_at += [event["seq"]] if event["event"] == "tracks" else []
                if event["event"] == "dropped":
                    reasons[event["reason"]] += len(event["frames"])
    assert looked_at and reasons["no_credit"] + reasons["late"] + reasons["rate"] > 0
    assert len(looked_at) + sum(reasons.values()) == count


def test_a_service_that_ends_ends_its_streams(tmp_path: Path) -> None:
    store = tmp_path / "gallery.db"
    with running(Settings(store=f"sqlite:///{store}"), store) as service:
        live = service.client.stream()
        assert next(live.events(60)).event == "credit"
    with live, pytest.raises(ServerUnreachable):
        list(live.events(60))


def test_frames_are_counted(start: Start, pictures: Frames) -> None:
    service = start()
    with service.client.stream() as live:
        list(in_step(live, [*pictures[:2], (1.0, b"broken")], finish=False))
        figures = httpx.get(f"{service.url}/metrics", timeout=60).text
    assert 'gaitkeeper_stream_frames_total{outcome="seen"} 2.0' in figures
    assert 'gaitkeeper_stream_frames_total{outcome="undecodable"} 1.0' in figures
    assert "gaitkeeper_streams 1.0" in figures


def test_broken_pictures_are_dropped_and_good_ones_seen(service: Service, pictures: Frames) -> None:
    good = pictures[0][1]
    broken = [good[:400], b"", b"\xff\xd8\xff", os.urandom(500), b"\x89PNG\r\n\x1a\n" + bytes(40)]
    frames = [(i / 30, data) for i, data in enumerate([*broken, good])]
    with service.client.stream() as live:
        events = list(in_step(live, frames))
    assert dropped(events) == {"undecodable": len(broken)}
    assert seen(events) == [len(broken)]


def test_a_stream_without_its_beginning_is_dropped_until_it_can_be_decoded(service: Service, clip: Clips) -> None:
    frames = access_units(clip("ann-1"))[:12]
    frames = [*frames[1:4], (frames[3][0], os.urandom(300)), *frames]
    with service.client.stream() as live:
        events = list(in_step(live, [(i / 30, data) for i, (_, data) in enumerate(frames)], "h264"))
    assert dropped(events)["undecodable"] >= 4
    assert len(seen(events)) >= 8
    assert len(seen(events)) + sum(dropped(events).values()) == len(frames)


def test_messages_and_pictures_beyond_the_limits(start: Start, pictures: Frames) -> None:
    service = start(stream_message_bytes=100_000, stream_pixels=200_000)
    with service.client.stream() as live:
        events = list(in_step(live, [(0.0, bytes(100_001)), (0.1, pictures[0][1])]))
        assert dropped(events) == {"too_large": 1} and seen(events) == [1]
    with bare(service) as socket:
        socket.send(header(0, 0.0))
        socket.send(bytes(200_000))  # so large that it is not read at all
        with pytest.raises(ConnectionClosed) as closed:
            while socket.recv(60):
                pass
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
    small = start(stream_pixels=100_000)
    with small.client.stream() as live, pytest.raises(TooLarge):
        list(in_step(live, [(0.0, pictures[0][1])]))
    assert httpx.get(f"{small.url}/livez", timeout=60).status_code == 200


def test_who_sends_and_never_reads_piles_nothing_up() -> None:
    class Caller:
        """Sends frames without end, and takes no event."""

        app = SimpleNamespace(state=SimpleNamespace(keys=None, metrics=None))
        sent = 0

        async def receive(self) -> dict[str, Any]:
            await asyncio.sleep(0)
            self.sent += 1
            if self.sent % 2:
                return {"type": "websocket.receive", "text": header(self.sent, 0.0)}
            return {"type": "websocket.receive", "bytes": b"x"}

        async def send_text(self, text: str) -> None:
            await asyncio.sleep(3600)

    class Dropping:
        """A session that takes no frame."""

        def __init__(self, tell: Tell) -> None:
            self.tell = tell

        def start(self) -> None:
            self.tell(Credit(frames=16))

        def stop(self) -> None:
            """Nothing was begun."""

        def offer(self, seq: int, *_: object) -> None:
            self.tell(Dropped(reason="no_credit", frames=[seq]))

    caller = Caller()

    async def converse() -> None:
        channel = Channel(caller)  # type: ignore[arg-type]
        make = cast("Callable[[Tell], Session]", Dropping)
        await Conversation(channel, make, Settings(stream_idle=1.0)).run()

    with pytest.raises(WebSocketDisconnect):
        anyio.run(converse)
    assert caller.sent < 3 * BACKLOG


def test_silence_and_length_have_an_end(start: Start) -> None:
    for limits, word in (({"stream_idle": 0.3}, "silent"), ({"stream_seconds": 0.3}, "lasted")):
        with start(**limits).client.stream() as live, pytest.raises(StreamTimeout, match=word):
            list(live.events(60))


def test_a_decoder_that_dies_is_replaced(service: Service, pictures: Frames) -> None:
    def decoders() -> list[psutil.Process]:
        return [fork for child in psutil.Process().children() for fork in child.children()]

    with service.client.stream() as live:
        before = list(in_step(live, pictures[:2], finish=False))
        for fork in decoders():
            os.kill(fork.pid, signal.SIGKILL)
        after = list(in_step(live, [(t + 1, data) for t, data in pictures[:3]]))
    assert seen(before) == [0, 1] and dropped(after) == {"undecodable": 1} and seen(after) == [1, 2]


def test_two_streams_and_a_clip_at_once(service: Service, clip: Clips, pictures: Frames) -> None:
    with service.client.stream() as first, service.client.stream() as second:
        told: list[list[Event]] = [[], []]
        for seq, (t, data) in enumerate(pictures):
            for live, events in ((first, told[0]), (second, told[1])):
                events += in_step(live, [(t + seq / 1000, data)], finish=False)
            if seq == 10:
                assert service.client.identify(clip("ann-2")).people[0].candidates[0].subject == "ann"
        for live, events in ((first, told[0]), (second, told[1])):
            live.finish()
            events += live.events(60)
    for events in told:
        assert len(seen(events)) + sum(dropped(events).values()) == len(pictures)
        assert {one.track for event in events if isinstance(event, Tracks) for one in event.people} == {1}
        assert not any(isinstance(event, ErrorEvent) for event in events)


def test_a_caller_who_goes_gives_back_the_place(start: Start, pictures: Frames) -> None:
    service = start(streams=1)
    for _ in range(3):
        with patiently(service) as live:
            assert next(live.events(60)).event == "credit"
            live.send(pictures[0][1], seq=0, t=0.0)
    patiently(service).close()
    assert httpx.get(f"{service.url}/livez", timeout=60).status_code == 200
