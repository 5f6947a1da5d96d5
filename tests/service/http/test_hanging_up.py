"""Callers who hang up leave no work behind: what waits is dropped at once, and what runs is given up."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from serving import Clips, Service, Start
from streaming import jpegs

from gaitkeeper.pipelines.live import LiveWatch, Sight
from gaitkeeper.service.errors import CallerGone, Overloaded
from gaitkeeper.service.http.callers import Caller
from gaitkeeper.service.http.limits import WorkQueue
from gaitkeeper.service.live.session import Session
from gaitkeeper.service.recognition.engine import Engine

PATIENCE = 60.0
FIELDS: dict[str, dict[str, str]] = {
    "/enroll": {"subject": "bob"},
    "/identify": {},
    "/verify": {"subject": "ann"},
    "/walkers": {},
    "/learn": {"camera": "door"},
}


class Held:
    """Has the first work that is begun wait, in the middle of its clip, until its caller has gone."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    def tell(self, caller: Caller, share: float, then: Callable[[Caller, str, float], None]) -> None:
        first = not self.begun.is_set() and share > 0
        if first:
            self.begun.set()
            caller._gone.wait(PATIENCE)
        try:
            then(caller, "", share)
        except CallerGone:
            self.ended.set()
            raise


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held, tell = Held(), Caller.tell
    monkeypatch.setattr(Caller, "tell", lambda self, stage, share: held.tell(self, share, tell))
    yield held


def asked(service: Service, path: str, clip: Path, headers: dict[str, str] | None = None) -> socket.socket:
    """The open line of a caller who has sent a request whole, and waits."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    request = httpx.Request(
        "POST", service.url + path, data=FIELDS[path], files={"clip": clip.read_bytes()}, headers=headers
    )
    head = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    line = socket.create_connection((host, int(port)), PATIENCE)
    line.sendall("\r\n".join([*head, "", ""]).encode() + request.read())
    return line


def figure(service: Service, name: str) -> float:
    """A figure of the metrics; 0 where it is not there yet."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", httpx.get(f"{service.url}/metrics", timeout=PATIENCE).text, re.M)
    return float(found[1]) if found else 0.0


def wait_for(service: Service, name: str, value: float) -> None:
    """Wait until a figure of the metrics has a value."""
    end = time.monotonic() + PATIENCE
    while figure(service, name) != value:
        assert time.monotonic() < end, f"{name} is {figure(service, name)}, not {value}"
        time.sleep(0.02)


PENDING, GONE = "gaitkeeper_clips_pending", 'gaitkeeper_problems_total{code="caller_gone"}'


@pytest.mark.parametrize("path", FIELDS)
def test_work_of_those_who_hung_up_is_dropped_and_the_next_one_answered(
    start: Start, clip: Clips, held: Held, path: str
) -> None:
    service = start(workers=1, deadline=600)
    if path == "/verify":
        held.begun.set()  # that is no work to be held
        service.client.enroll(clip("ann-1"), "ann")
        held.begun.clear()
    if path == "/learn":
        service.client.keep_passers_by(600)
    walk = clip("ann-2")
    running = asked(service, path, walk)
    assert held.begun.wait(PATIENCE)
    waiting = [asked(service, path, walk) for _ in range(3)]
    wait_for(service, PENDING, 4)
    for line in waiting:
        line.close()
    wait_for(service, PENDING, 1)  # at once, though the one before them still runs
    assert not held.ended.is_set()
    running.close()
    assert held.ended.wait(PATIENCE)
    wait_for(service, PENDING, 0)
    wait_for(service, GONE, 4)
    if path == "/enroll":
        assert service.client.subjects().subjects == []
    if path == "/walkers":
        assert figure(service, "gaitkeeper_handles") == 0
    if path == "/learn":
        assert service.client.cameras().views == []
    assert service.client.identify(walk).people


def test_a_job_outlives_its_caller(start: Start, clip: Clips) -> None:
    service = start()
    reply = httpx.post(
        f"{service.url}/identify",
        files={"clip": clip("ann-1").read_bytes()},
        headers={"prefer": "respond-async"},
        timeout=PATIENCE,
    )
    end = time.monotonic() + PATIENCE
    while service.client.job(reply.json()["id"]).ended is None:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert service.client.job(reply.json()["id"]).state == "done"


def test_a_job_that_is_cancelled_while_it_waits_is_dropped_at_once(
    start: Start, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clip, too, though the job before it still runs, and that one ends at its next frame."""
    begun, go, looked = threading.Event(), threading.Event(), []
    see = Engine.see

    def held(engine: Engine, *args: object, **given: object) -> object:
        looked.append(1)
        begun.set()
        assert go.wait(PATIENCE)
        return see(engine, *args, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "see", held)
    service = start()
    folder = service.store.with_name("gallery.service.clips")
    data, later = clip("ann-1").read_bytes(), {"prefer": "respond-async"}

    def submitted() -> str:
        form = {"data": {"subject": "ann"}, "files": {"clip": data}, "headers": later, "timeout": PATIENCE}
        return str(httpx.post(f"{service.url}/enroll", **form).json()["id"])  # type: ignore[arg-type]

    first = submitted()
    assert begun.wait(PATIENCE)
    waiting = [submitted() for _ in range(2)]
    assert len(list(folder.iterdir())) == 3
    assert [service.client.cancel(job).state for job in waiting] == ["cancelled"] * 2
    assert [path.stem for path in folder.iterdir()] == [first]
    assert service.client.cancel(first).state == "running"
    go.set()
    end = time.monotonic() + PATIENCE
    while service.client.job(first).ended is None or list(folder.iterdir()):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert service.client.job(first).state == "cancelled" and len(looked) == 1
    assert service.client.subjects().subjects == []


def test_frames_of_a_stream_that_hung_up_are_not_looked_at(
    start: Start, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go, looked, sessions = threading.Event(), threading.Event(), [], []
    see, begin = LiveWatch.see, Session.start

    def held(watch: LiveWatch, image: Any, t: float) -> Sight:
        looked.append(t)
        begun.set()
        assert go.wait(PATIENCE)
        return see(watch, image, t)

    def known(session: Session) -> None:
        sessions.append(session)
        begin(session)

    monkeypatch.setattr(LiveWatch, "see", held)
    monkeypatch.setattr(Session, "start", known)
    service = start(streams=1)
    with service.client.stream() as live:
        for seq, (t, data) in enumerate(jpegs(clip("ann-1"))[:12]):
            assert live.send(data, seq=seq, t=t, wait=PATIENCE)
        assert begun.wait(PATIENCE)
    end = time.monotonic() + PATIENCE
    while not sessions[0]._stopped:
        assert time.monotonic() < end
        time.sleep(0.02)
    go.set()
    sessions[0]._thread.join(PATIENCE)
    assert not sessions[0]._thread.is_alive()
    assert len(looked) == 1, "the one that was being looked at, and nothing of the eleven that waited"
    while True:  # the only place is free again
        try:
            service.client.stream().close()
            break
        except Overloaded:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_what_was_given_up_can_be_asked_for_again_with_the_same_key(start: Start, clip: Clips, held: Held) -> None:
    service = start(workers=1, deadline=600)
    walk = clip("ann-2")
    with asked(service, "/enroll", walk, {"idempotency-key": "once"}):
        assert held.begun.wait(PATIENCE)
    wait_for(service, PENDING, 0)
    reply = service.client.enroll(walk, "bob", idempotency_key="once")
    assert reply.template.duplicate is False


def test_a_probe_that_hung_up_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go, parts = threading.Event(), threading.Event(), []
    check = Engine.check

    def slow(engine: Engine, wanted: Callable[[], None]) -> dict[str, float]:
        begun.set()
        assert go.wait(PATIENCE)

        def counted() -> None:
            parts.append(1)
            caller: Caller = wanted.__self__  # type: ignore[attr-defined]
            caller._gone.wait(PATIENCE if len(parts) == 1 else 0)
            wanted()

        return check(engine, counted)

    monkeypatch.setattr(Engine, "check", slow)
    service = start()
    host, _, port = service.url.removeprefix("http://").partition(":")
    lines = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(3)]
    for line in lines:
        line.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert begun.wait(PATIENCE)
    for line in lines:
        line.close()
    wait_for(service, GONE, 2)
    go.set()
    wait_for(service, GONE, 3)
    assert len(parts) == 1  # the first part of one, and nothing of the others
    assert service.client.ready().checks


def test_the_queue_gives_back_the_place_of_a_caller_who_has_gone() -> None:
    class Leaving:
        """A request whose caller goes when told."""

        def __init__(self) -> None:
            self.goes = anyio.Event()

        async def receive(self) -> dict[str, str]:
            await self.goes.wait()
            return {"type": "http.disconnect"}

    async def scene() -> None:
        queue, go = WorkQueue(workers=1, waiting=1, retry_after=1), threading.Event()
        leaving = Leaving()
        gone: list[str] = []

        async def wait_in_vain() -> None:
            try:
                await queue.run(lambda: gone.append("worked"), caller=Caller(leaving))  # type: ignore[arg-type]
            except CallerGone:
                gone.append("dropped")

        async with anyio.create_task_group() as group:
            group.start_soon(queue.run, lambda: go.wait(PATIENCE))
            await anyio.wait_all_tasks_blocked()
            group.start_soon(wait_in_vain)
            await anyio.wait_all_tasks_blocked()
            assert queue.pending == 2
            leaving.goes.set()
            await anyio.sleep(0)
            with anyio.fail_after(PATIENCE):
                while queue.pending == 2:
                    await anyio.sleep(0.01)
            assert (queue.pending, gone) == (1, ["dropped"])
            go.set()
        assert queue.pending == 0

    anyio.run(scene)
