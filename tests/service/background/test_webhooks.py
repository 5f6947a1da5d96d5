"""Signed messages to a real receiver on loopback."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Clips, Start
from standardwebhooks import Webhook as Verifier

from gaitkeeper.gallery.decision import calibration
from gaitkeeper.gallery.types import Verdict
from gaitkeeper.service.background.webhooks import Webhooks, signature
from gaitkeeper.service.errors import BadSettings
from gaitkeeper.service.http.openapi.examples import EXAMPLES
from gaitkeeper.service.metrics import Metrics
from gaitkeeper.service.schemas import IdentifyReply, JobState
from gaitkeeper.service.settings import Webhook, load_settings
from gaitkeeper.service.state import State

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
JOB = JobState.model_validate({k: v for k, v in EXAMPLES["JobReply"].items() if k not in ("result", "problem")})


class Receiver:
    """Takes messages, and answers with the statuses that a test lists, the last one ever after."""

    def __init__(self, *statuses: int, location: str = "") -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        left, receiver = list(statuses), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                if location:
                    self.send_header("Location", location)
                self.end_headers()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def wait(self, count: int) -> list[dict[str, Any]]:
        """The first so many messages, their signatures verified."""
        until(lambda: len(self.got) >= count)
        return [Verifier(SECRET).verify(body, headers) for headers, body in self.got[:count]]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    assert true()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State(tmp_path / "gallery.service.db")
    yield made
    made.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def receiver(stack: ExitStack) -> Callable[..., Receiver]:
    def make(*statuses: int, **given: str) -> Receiver:
        made = Receiver(*statuses, **given)
        stack.callback(made.server.server_close)
        stack.callback(made.server.shutdown)
        return made

    return make


def opened(state: State, *targets: Webhook, there: bool = True, **given: Any) -> tuple[Webhooks, Metrics]:
    metrics = Metrics()
    return Webhooks(state, targets, KEY, metrics, lambda *_: there, **({"first_delay": 0.02} | given)), metrics


def counted(metrics: Metrics, outcome: str) -> float:
    return metrics.registry.get_sample_value("gaitkeeper_webhooks_total", {"outcome": outcome}) or 0.0


def match(subject: str = "alice", collection: str = "default") -> IdentifyReply:
    reply = IdentifyReply.model_validate(EXAMPLES["IdentifyReply"])
    candidate = reply.people[0].candidates[0].model_copy(update={"subject": subject})
    judged = {"verdict": Verdict.MATCH, "reason": None, "candidates": (candidate,), "collection": collection}
    person = reply.people[0].model_copy(update=judged)
    return reply.model_copy(update={"people": [person], "collection": collection})


def test_signatures_are_those_of_the_specification() -> None:
    # The example of the specification's reference libraries.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_job_and_a_match_are_told_once_and_without_what_came_of_them(
    state: State, receiver: Callable[..., Receiver]
) -> None:
    target = receiver(204)
    hooks, metrics = opened(state, Webhook(url=target.url))
    hooks.ended(JOB)
    hooks.identified(match())
    first, second = target.wait(2)
    assert (first["type"], first["data"]) == ("job.ended", JOB.model_dump(mode="json", exclude={"file", "outcome"}))
    assert second["type"] == "match" and second["data"].keys() == {
        *("collection", "subject", "distance", "confidence", "threshold", "fpir", "camera", "clip_sha256", "stream"),
        *("track", "start", "end"),
    }
    assert second["data"]["subject"] == "alice"
    hooks.identified(IdentifyReply.model_validate(EXAMPLES["IdentifyReply"]))  # inconclusive
    until(lambda: hooks.waiting() == 0)
    hooks.close()
    assert len(target.got) == 2 and counted(metrics, "delivered") == 2


def test_a_target_that_fails_is_tried_again_so_often_and_no_more(
    state: State, receiver: Callable[..., Receiver]
) -> None:
    better, worse, gone = receiver(500, 302, 200), receiver(503), receiver(410)
    hooks, metrics = opened(state, *(Webhook(url=r.url) for r in (better, worse, gone)), attempts=3, first_delay=0.01)
    hooks.ended(JOB)
    until(lambda: hooks.waiting() == 0)
    hooks.close()
    assert [len(r.got) for r in (better, worse, gone)] == [3, 3, 1]
    ids = {headers["webhook-id"] for headers, _ in better.got}
    assert len(ids) == 1, "by which the target knows that it is the same"
    assert (counted(metrics, "delivered"), counted(metrics, "given_up"), counted(metrics, "failed")) == (1, 2, 4)


def test_nobody_is_told_but_those_listed(state: State, receiver: Callable[..., Receiver]) -> None:
    elsewhere = receiver(200)
    target = receiver(307, location=elsewhere.url)
    hooks, _ = opened(state, Webhook(url=target.url), attempts=2)
    hooks.ended(JOB)
    until(lambda: hooks.waiting() == 0)
    assert (len(target.got), len(elsewhere.got)) == (2, 0), "no redirect is followed"
    hooks.close()

    door, jobs = receiver(200), receiver(200)
    hooks, _ = opened(state, Webhook(url=door.url, collections=["door"]), Webhook(url=jobs.url, events=["job.ended"]))
    hooks.identified(match("alice"))
    hooks.identified(match("bob", "door"))
    hooks.ended(JOB)
    until(lambda: hooks.waiting() == 0)
    hooks.close()
    assert [message["data"]["subject"] for message in door.wait(1)] == ["bob"] and len(door.got) == 1
    assert [message["type"] for message in jobs.wait(1)] == ["job.ended"] and len(jobs.got) == 1


def test_what_waits_outlives_the_service_and_not_its_subject(state: State, receiver: Callable[..., Receiver]) -> None:
    target = receiver(503, 200)
    hooks, _ = opened(state, Webhook(url=target.url), first_delay=3600)
    hooks.identified(match("alice"))
    until(lambda: len(target.got) == 1)
    hooks.close()
    assert hooks.waiting() == 1
    with state.transaction() as db:
        db.execute("UPDATE messages SET due = 0")
    hooks, _ = opened(state, Webhook(url=target.url))
    until(lambda: hooks.waiting() == 0)
    hooks.close()
    assert len(target.got) == 2

    silent = receiver(503)
    hooks, _ = opened(state, Webhook(url=silent.url), first_delay=3600)
    for subject in ("alice", "bob"):
        hooks.identified(match(subject))
    until(lambda: len(silent.got) == 2)
    state.forget("default", "alice")
    assert [row["subject"] for row in state.rows("SELECT subject FROM messages")] == ["bob"]
    state.forget("default")
    assert hooks.waiting() == 0
    hooks.identified(match("bob"))
    hooks.close()
    hooks, _ = opened(state, there=False)  # the target is on the list no more
    assert hooks.waiting() == 0
    hooks.close()


def test_whoever_was_erased_meanwhile_is_told_to_nobody(state: State, receiver: Callable[..., Receiver]) -> None:
    target = receiver(503)
    hooks, _ = opened(state, Webhook(url=target.url), there=False, first_delay=3600)
    hooks.identified(match())
    assert hooks.waiting() == 0
    hooks.close()


@pytest.mark.parametrize(
    ("hooks", "secret", "sentence"),
    [
        ([{"url": "http://example.org/hook"}], SECRET, "https"),
        ([{"url": "https://user:pass@example.org/"}], SECRET, "without user"),
        ([{"url": "ftp://example.org/"}], SECRET, "https"),
        ([{"url": "https://example.org/"}] * 2, SECRET, "twice"),
        ([{"url": "https://example.org/", "events": ["all"]}], SECRET, "events"),
        ([{"url": "https://example.org/"}], None, "webhook_secret"),
        ([{"url": "https://example.org/"}], "whsec_c2hvcnQ=", "24 to 64 bytes"),
        ([], "secret", "whsec_"),
    ],
)
def test_settings_that_would_not_be_safe_are_refused(hooks: Any, secret: str | None, sentence: str) -> None:
    with pytest.raises(BadSettings, match=sentence):
        load_settings(webhooks=hooks, webhook_secret=secret)


def test_the_service_tells_of_its_jobs_and_matches(
    start: Start, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Callable[..., Receiver]
) -> None:
    everybody = {
        "fingerprint": "gei:none:1:blazepose-full/1",
        "thresholds": [{"fpir": 0.01, "gallery_sizes": [1], "distances": [1e6]}],
        "confidence": {"distances": [0.0, 1e6], "confidences": [1.0, 0.0]},
    }
    (tmp_path / "calibration.json").write_text(json.dumps({"calibrations": [everybody]}))
    monkeypatch.setattr(calibration, "SHIPPED", tmp_path)
    calibration.shipped_calibrations.cache_clear()
    target = receiver(200)
    service = start(network="gei", webhooks=[{"url": target.url}], webhook_secret=SECRET)
    service.client.enroll(clip("ann-1"), "ann")
    service.client.identify(clip("ann-2"))
    (told,) = target.wait(1)
    assert (told["type"], told["data"]["subject"]) == ("match", "ann")
    with clip("empty").open("rb") as file:
        later = httpx.post(
            f"{service.url}/identify", files={"clip": file}, headers={"Prefer": "respond-async"}, timeout=60
        )
    _, job = target.wait(2)
    assert (job["type"], job["data"]["id"], job["data"]["state"]) == ("job.ended", later.json()["id"], "failed")
    calibration.shipped_calibrations.cache_clear()
