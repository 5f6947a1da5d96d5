"""Matches and unknown walkers of a live stream reach webhooks; a short passage gets its name at the end."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from serving import Clips, Service, Start
from streaming import in_step, jpegs, waited_for

from gaitkeeper.gallery.types import Verdict
from gaitkeeper.service.live.events import VerdictEvent

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"


class Target:
    """Takes messages, and keeps their bodies."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.news = threading.Condition()
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with target.news:
                    target.got.append(json.loads(body))
                    target.news.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def wait(self, count: int) -> list[dict[str, Any]]:
        with self.news:
            assert self.news.wait_for(lambda: len(self.got) >= count, 120)
            return self.got[:count]


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.server.shutdown()
    made.server.server_close()


def walked(service: Service, clip: Clips, film: str, seconds: float) -> list[VerdictEvent]:
    """The verdicts of a stream that shows so much of a clip."""
    frames = jpegs(clip(film))[: round(30 * seconds)]
    with service.client.stream(camera="door") as live:
        sent = waited_for(live, frames[0][1], "jpeg")
        events = list(in_step(live, [(sent / 30 + t, data) for t, data in frames], "jpeg", sent))
    return [event for event in events if isinstance(event, VerdictEvent)]


def test_18_short_passages_are_named_at_their_end_and_told_to_webhooks(
    start: Start, clip: Clips, target: Target
) -> None:
    hooks = [{"url": target.url, "events": ["match", "unknown"]}]
    service = start(webhooks=hooks, webhook_secret=SECRET)
    for name in ("ann", "bob"):
        service.client.enroll(clip(f"{name}-1"), name)
    # 2.1 s: the window of 1.5 s fills once, and is not full of new gait a second time.
    told = walked(service, clip, "ann-long", 2.1)
    assert [event.final for event in told].count(True) == 1 and told[-1].final
    assert (told[-1].shown.verdict, told[-1].shown.subject, told[-1].shown.reason) == (Verdict.MATCH, "ann", None)
    assert told[-1].person is not None and told[-1].person.verdict is Verdict.MATCH
    [match] = target.wait(1)
    assert (match["type"], match["data"]["subject"]) == ("match", "ann")
    assert (match["data"]["clip_sha256"], match["data"]["camera"], match["data"]["track"]) == (None, "door", 1)
    assert match["data"]["distance"] <= match["data"]["threshold"] and match["data"]["stream"]

    service.client.erase("ann")
    told = walked(service, clip, "ann-long", 3.2)
    assert told[-1].final and told[-1].shown.verdict is Verdict.UNKNOWN
    *_, unknown = target.wait(2)
    assert (unknown["type"], unknown["data"]["subject"], unknown["data"]["confidence"]) == ("unknown", None, None)
    assert unknown["data"]["distance"] > unknown["data"]["threshold"]
    assert unknown["data"]["stream"] not in (None, match["data"]["stream"])

    # A request and a job are told of alike.
    reply = service.client.identify(clip("ann-1"))
    with clip("ann-1").open("rb") as file:
        job = httpx.post(
            f"{service.url}/identify", files={"clip": file}, headers={"Prefer": "respond-async"}, timeout=120
        )
    assert job.status_code == 202
    *_, asked, later = target.wait(4)
    assert [one["type"] for one in (asked, later)] == ["unknown"] * 2
    assert [one["data"]["clip_sha256"] for one in (asked, later)] == [reply.clip.sha256] * 2
    assert [one["data"]["stream"] for one in (asked, later)] == [None] * 2
    assert len(target.got) == 4
    figures = httpx.get(f"{service.url}/metrics", timeout=60).text
    assert 'gaitkeeper_verdicts_total{reason="",verdict="unknown"} 3.0' in figures
    assert 'gaitkeeper_verdicts_total{reason="",verdict="match"} 1.0' in figures
