"""Bounds on bodies and on work, driven through a real server."""

from __future__ import annotations

import select
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx
import pytest
from serving import Clips, Start

from gaitkeeper import models
from gaitkeeper.service.errors import Overloaded
from gaitkeeper.service.http.limits import LINGER_BYTES, SMALL, WorkQueue
from gaitkeeper.service.http.uploads import GRACE_SECONDS, SLOW, Uploads

LIMIT = 200_000


def blocks(count: int, sent: list[int]) -> Iterator[bytes]:
    """A body of unknown length; notes how much of it was taken."""
    for _ in range(count):
        sent.append(65536)
        yield bytes(65536)


def test_a_body_over_the_limit_is_refused_by_its_declared_length(start: Start) -> None:
    service = start(max_upload_bytes=LIMIT)
    reply = httpx.post(f"{service.url}/identify", files={"clip": bytes(LIMIT + 1)}, timeout=60)
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
    assert str(LIMIT) in reply.json()["detail"]


def test_a_body_of_unknown_length_is_counted_as_it_streams(start: Start) -> None:
    service = start(max_upload_bytes=LIMIT)
    sent: list[int] = []
    head = b'--x\r\nContent-Disposition: form-data; name="clip"; filename="a.mp4"\r\n\r\n'

    def body() -> Iterator[bytes]:
        yield head
        yield from blocks(4000, sent)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    reply = httpx.post(f"{service.url}/identify", content=body(), headers=headers, timeout=60)
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
    assert sum(sent) < 4000 * 65536 // 4  # the rest was never asked for, apart from what sockets hold


@pytest.mark.parametrize("rest", [LIMIT, LINGER_BYTES + 2**20])
def test_a_refused_body_may_go_on_for_a_while_so_that_the_answer_is_not_lost(start: Start, rest: int) -> None:
    host, _, port = start(max_upload_bytes=LIMIT).url.removeprefix("http://").partition(":")
    head = (
        f"POST /identify HTTP/1.1\r\nhost: {host}\r\ncontent-type: multipart/form-data; boundary=x\r\n"
        f"content-length: {LIMIT + rest}\r\n\r\n"
    ).encode()
    with socket.create_connection((host, int(port)), timeout=60) as line:
        line.sendall(head + bytes(LIMIT))
        answer = line.recv(65536)
        assert b" 413 " in answer.splitlines()[0] and b'"too_large"' in answer
        if rest == LIMIT:
            for _ in range(4):
                line.sendall(bytes(rest // 4))
                time.sleep(0.05)
            assert line.recv(65536) == b""  # closed in order, not reset
        else:
            with pytest.raises(ConnectionError):  # but not for ever
                for _ in range(200):
                    line.sendall(bytes(rest // 100))
                    time.sleep(0.01)


def test_a_body_at_the_limit_passes(start: Start) -> None:
    form = httpx.Request("POST", "http://x", files={"clip": b"no clip"})
    size = int(form.headers["content-length"])
    assert (
        httpx.post(f"{start(max_upload_bytes=size).url}/identify", files={"clip": b"no clip"}, timeout=60).status_code
        == 415
    )
    assert (
        httpx.post(
            f"{start(max_upload_bytes=size - 1).url}/identify", files={"clip": b"no clip"}, timeout=60
        ).status_code
        == 413
    )


def test_what_is_held_in_memory_is_short_however_large_clips_may_be(start: Start) -> None:
    service = start()
    keep = f"{service.url}/collections/default/strangers"
    asked = [
        httpx.put(keep, content=b" " * (SMALL + 1), headers={"content-type": "application/json"}, timeout=60),
        httpx.put(keep, files={"clip": bytes(SMALL)}, timeout=60),
    ]
    assert [(reply.status_code, reply.json()["code"]) for reply in asked] == [(413, "too_large")] * 2
    for fields in ({"subject": "a" * 2**15}, {f"field{i}": "a" for i in range(200)}):
        for reply in (
            httpx.post(f"{service.url}/enroll", data=fields, files={"clip": b"no clip"}, timeout=60),
            httpx.post(f"{service.url}/enroll", data=fields, timeout=60),
        ):
            assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")
            assert "could not be read" in reply.json()["detail"], reply.text


def test_uploads_leave_no_file_behind(
    start: Start, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.load("gaitpart")  # torch makes a folder of its own where the first network is loaded
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    service = start(max_upload_bytes=8 * 2**20)
    # Over a megabyte, so that the upload goes to disk; one is used, one refused, one too large.
    padded = clip("ann-1").read_bytes() + b"\0\0\0\x08free" + bytes(2 * 2**20)
    for data, status in ((padded, (200, 415, 422)), (b"x" * 2**21, (415,)), (b"x" * 2**24, (413,))):
        reply = httpx.post(f"{service.url}/identify", files={"clip": ("walk.mp4", data)}, timeout=60)
        assert reply.status_code in status
    assert list(folder.iterdir()) == []


def test_a_full_queue_is_overloaded_and_says_when_to_come_back(start: Start, clip: Clips) -> None:
    service = start(workers=1, queue=0, retry_after=7)
    path = clip("ann-1")

    def identify() -> httpx.Response:
        return httpx.post(f"{service.url}/identify", files={"clip": path.open("rb")}, timeout=60)

    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: identify(), range(4)))
    refused = [reply for reply in replies if reply.status_code == 503]
    assert {reply.status_code for reply in replies} == {200, 503}
    for reply in refused:
        assert (reply.json()["code"], reply.headers["retry-after"]) == ("overloaded", "7")
    assert identify().status_code == 200


def test_probes_answer_while_the_queue_is_full(start: Start, clip: Clips) -> None:
    service = start(workers=1, queue=0)
    path = clip("ann-1")
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(service.client.identify, path)
        while not busy.done():
            assert httpx.get(f"{service.url}/livez", timeout=60).status_code == 200
            assert httpx.get(f"{service.url}/readyz", timeout=60).status_code == 200
    assert busy.result().people


def test_a_clip_that_is_not_answered_by_the_deadline_is_given_up(start: Start, clip: Clips) -> None:
    service = start(deadline=0.3, workers=1)
    path = clip("ann-1")
    with ThreadPoolExecutor(3) as pool:  # one is being looked at, the others wait
        replies = list(
            pool.map(
                lambda _: httpx.post(f"{service.url}/identify", files={"clip": path.read_bytes()}, timeout=60), "abc"
            )
        )
    assert {(reply.status_code, reply.json()["code"]) for reply in replies} == {(504, "deadline")}


def test_a_body_that_does_not_come_is_given_up_and_stops_nobody_else(start: Start) -> None:
    service = start(deadline=5)
    host, _, port = service.url.removeprefix("http://").partition(":")
    head = (
        f"POST /identify HTTP/1.1\r\nhost: {host}\r\ncontent-type: multipart/form-data; boundary=x\r\n"
        "content-length: 100000\r\n\r\n--x\r\n"
    ).encode()
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(20)]
        for line in slow:
            line.sendall(head)
        assert httpx.post(f"{service.url}/identify", data={"clip": "no file"}, timeout=60).status_code == 422
        for line in slow:
            line.settimeout(60)
            reply = answered(line)
            assert b"408" in reply.splitlines()[0] and b'"upload_timeout"' in reply


def test_the_work_queue_runs_so_many_at_a_time_and_admits_no_more_than_its_bound() -> None:
    async def scene() -> tuple[int, int]:
        queue, running, most, refused = WorkQueue(workers=2, waiting=3, retry_after=1), [0], [0], 0
        lock, go = threading.Lock(), threading.Event()

        def work() -> None:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            go.wait(60)
            with lock:
                running[0] -= 1

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(queue.run, work)
            await anyio.sleep(0.2)
            for _ in range(3):
                try:
                    await queue.run(work)
                except Overloaded as error:
                    refused += error.extra["retry_after"]
            go.set()
        assert queue.pending == 0
        await queue.run(work)
        return most[0], refused

    assert anyio.run(scene) == (2, 3)


def test_the_work_queue_gives_back_the_place_of_work_that_failed() -> None:
    async def scene() -> None:
        queue = WorkQueue(workers=1, waiting=0, retry_after=1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await queue.run(lambda: 1 // 0)

    anyio.run(scene)


def test_of_more_uploads_than_places_the_last_ones_come_again_later(start: Start) -> None:
    service = start(uploads=1, retry_after=7)
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 60) as first, socket.create_connection((host, int(port))) as other:
        first.sendall(begun(200_000_000))
        for _ in range(64):
            first.sendall(bytes(2**16))
        time.sleep(GRACE_SECONDS + 0.2)
        first.sendall(bytes(2**20))
        other.sendall(begun(2_000_000))
        reply = answered(other)
        assert b" 503 " in reply and b"retry-after: 7" in reply.lower() and b"overloaded" in reply
        assert service.client.health().status == "ok"


def test_a_slow_upload_makes_room_for_another(start: Start, clip: Clips) -> None:
    service = start(uploads=2)
    host, _, port = service.url.removeprefix("http://").partition(":")
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection((host, int(port)), 60)) for _ in range(2)]
        for one in slow:
            one.sendall(begun(2_000_000))
        time.sleep(GRACE_SECONDS + 0.5)
        # Larger than what comes in one piece, so that it needs a place.
        data = padded_bytes(clip("empty").read_bytes(), 3_000_000)
        reply = httpx.post(f"{service.url}/identify", files={"clip": data}, timeout=60)
        assert reply.json()["code"] == "no_person"
        (left,) = select.select(slow, [], [], 60)[0]
        answer = answered(left)
        assert b" 408 " in answer and b"upload_timeout" in answer
        assert select.select([one for one in slow if one is not left], [], [], 0.5)[0] == []


def answered(connection: socket.socket) -> bytes:
    """A reply whole, which may come in pieces: its head, and the problem document."""
    reply = b""
    while not reply.endswith(b"}") and (piece := connection.recv(2**16)):
        reply += piece
    return reply


def begun(length: int) -> bytes:
    """The beginning of a form with a clip."""
    return (
        b"POST /identify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: %d\r\n\r\n--x\r\n"
        b'Content-Disposition: form-data; name="clip"; filename="a"\r\n\r\n' % length
    )


def padded_bytes(clip: bytes, size: int) -> bytes:
    """The clip with a box at its end that nobody reads."""
    free = size - len(clip)
    return clip + free.to_bytes(4, "big") + b"free" + bytes(free - 8)


def test_the_slowest_leaves_and_only_where_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("gaitkeeper.service.http.uploads.time.monotonic", lambda: now[0])
    left: list[str] = []
    uploads = Uploads(2)
    with ExitStack() as stack:
        quick = stack.enter_context(uploads.place(lambda: left.append("quick")))
        slow = stack.enter_context(uploads.place(lambda: left.append("slow")))
        assert quick is not None and slow is not None
        assert stack.enter_context(uploads.place(lambda: None)) is None, "both have just begun"
        now[0] += 10
        quick.came, slow.came = 20 * SLOW, 5 * SLOW
        new = stack.enter_context(uploads.place(lambda: left.append("new")))
        assert new is not None and left == ["slow"] and len(uploads) == 2
        assert stack.enter_context(uploads.place(lambda: None)) is None, "one is quick, one has just begun"
    assert len(uploads) == 0
