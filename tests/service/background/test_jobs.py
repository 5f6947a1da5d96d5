"""Clips that are worked on after their request was answered."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Clips, Service, Start
from websockets.sync.client import connect

from gaitkeeper.gallery.errors import ClipOfOtherSubject, LooksLikeOtherSubject, NotFound, StoreUnavailable
from gaitkeeper.pipelines.errors import NoPerson
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.background.jobs import LISTENERS, Jobs
from gaitkeeper.service.client import Client
from gaitkeeper.service.errors import JobCancelled, Overloaded
from gaitkeeper.service.http.openapi.examples import EXAMPLES
from gaitkeeper.service.http.sockets import KEY_PREFIX, PROTOCOL
from gaitkeeper.service.schemas import EnrollReply, JobReply
from gaitkeeper.service.state import State

REPLY = EnrollReply.model_validate(EXAMPLES["EnrollReply"])
Open = Callable[..., Jobs]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State(tmp_path / "gallery.service.db")
    yield made
    made.close()


@pytest.fixture
def open_jobs(state: State) -> Iterator[Open]:
    """Jobs whose work is a function of the test's."""
    with ExitStack() as stack:

        def opened(work: Callable[..., Any], there: bool = True, **given: Any) -> Jobs:
            settings = {"bound": 3, "keep": 60, "retry_after": 7} | given
            jobs = Jobs(state, work, lambda *_: there, **settings)
            stack.callback(jobs.close)
            return jobs

        yield opened


def submit(jobs: Jobs, clip: bytes = b"clip") -> str:
    return jobs.submit("enroll", io.BytesIO(clip), {"subject": "alice"}, "default").id


def ended(jobs: Jobs, job: str) -> JobReply:
    end = time.monotonic() + 60
    while (reply := jobs.show(job)).ended is None and time.monotonic() < end:
        time.sleep(0.02)
    return reply


def gone(jobs: Jobs, job: str) -> bool:
    """Whether a job that is to go has gone, once it has."""
    end = time.monotonic() + 60
    with suppress(NotFound):
        while jobs.show(job) and time.monotonic() < end:
            time.sleep(0.02)
        return False
    return True


def left(state: State, count: int = 0) -> list[Path]:
    """The clips that lie there, once they are so many."""
    end = time.monotonic() + 60
    while len(clips := list(state.path.with_suffix(".clips").iterdir())) != count and time.monotonic() < end:
        time.sleep(0.02)
    return clips


def test_a_job_is_done_and_its_clip_is_gone(open_jobs: Open, state: State) -> None:
    seen = []

    def work(kind: str, clip: Path, fields: dict[str, Any], tell: Callable[[str, float], None]) -> Any:
        assert clip.stat().st_mode & 0o77 == 0
        seen.append((kind, clip.read_bytes(), fields))
        tell("looking", 0.5)
        return 201, REPLY

    jobs = open_jobs(work)
    done = ended(jobs, submit(jobs))
    assert seen == [("enroll", b"clip", {"subject": "alice"})]
    assert (done.state, done.status, done.progress, done.result, done.problem) == ("done", 201, 1.0, REPLY, None)
    assert left(state) == []


def test_what_goes_wrong_is_told_as_the_request_would_have_been(open_jobs: Open, state: State) -> None:
    errors: list[Exception] = [NoPerson("Nobody walks."), ValueError("/srv/secret")]

    def work(*_: Any) -> Any:
        raise errors.pop(0)

    counted: list[str] = []
    jobs = open_jobs(work, on_problem=counted.append)
    for status, code in ((422, "no_person"), (500, "internal")):
        failed = ended(jobs, submit(jobs))
        assert (failed.state, failed.status, failed.result) == ("failed", status, None)
        assert failed.problem is not None and failed.problem["code"] == code and "secret" not in str(failed.problem)
    assert counted == ["no_person", "internal"]
    assert left(state) == []


def test_progress_cancelling_and_the_bound(open_jobs: Open, state: State) -> None:
    begun, go = threading.Event(), threading.Event()

    def work(kind: str, clip: Path, fields: dict[str, Any], tell: Callable[[str, float], None]) -> Any:
        tell("looking", 0.25)
        begun.set()
        go.wait(60)
        if not given_up:
            given_up.append(clip)
            with pytest.raises(JobCancelled):
                tell("looking", 0.5)
        tell("looking", 0.75)
        return 201, REPLY

    given_up: list[Path] = []
    jobs = open_jobs(work)
    running = submit(jobs)
    assert begun.wait(60)
    assert (jobs.show(running).state, jobs.show(running).progress) == ("running", 0.25)
    waiting = [submit(jobs) for _ in range(3)]
    with pytest.raises(Overloaded) as caught:
        submit(jobs)
    assert caught.value.extra["retry_after"] == 7
    assert jobs.cancel(waiting[0]).state == "cancelled"
    assert jobs.cancel(running).state == "running"  # until its next frame
    go.set()
    assert [ended(jobs, job).state for job in (running, *waiting)] == ["cancelled", "cancelled", "done", "done"]
    assert jobs.cancel(waiting[1]).state == "done"
    assert left(state) == []


def test_a_job_survives_the_end_of_the_service_once(open_jobs: Open, state: State) -> None:
    begun, runs = threading.Event(), []

    def endless(kind: str, clip: Path, fields: dict[str, Any], tell: Callable[[str, float], None]) -> Any:
        runs.append(clip.read_bytes())
        begun.set()
        while True:
            tell("looking", 0.1)
            time.sleep(0.01)

    first = open_jobs(endless)
    job, other = submit(first, b"first"), submit(first, b"other")
    assert begun.wait(60)
    first.close()
    assert (first.show(job).state, first.show(other).state, len(left(state, 2))) == ("queued", "queued", 2)

    with state.transaction() as db:  # as if the end had not been an orderly one
        db.execute("UPDATE jobs SET state = 'running', runs = 1 WHERE id = ?", (job,))

    second = open_jobs(lambda *a: (runs.append(a[1].read_bytes()), (201, REPLY))[1])
    assert [ended(second, one).state for one in (job, other)] == ["done", "done"]
    assert runs == [b"first", b"first", b"other"]


def test_a_job_that_ends_the_service_twice_is_given_up(open_jobs: Open, state: State) -> None:
    with state.transaction() as db:
        db.execute(
            "INSERT INTO jobs (id, owner, kind, collection, fields, state, runs, created) "
            "VALUES ('j', '', 'enroll', 'default', '{}', 'running', 2, 1)"
        )
    (state.path.with_suffix(".clips")).mkdir()
    (state.path.with_suffix(".clips") / "j.clip").write_bytes(b"clip")
    counted: list[str] = []
    jobs = open_jobs(lambda *_: pytest.fail("run a third time"), on_problem=counted.append)
    assert (jobs.show("j").state, jobs.show("j").status) == ("failed", 500)
    assert counted == ["internal"]
    assert left(state) == []


def test_results_go_with_time_and_with_whom_they_name(open_jobs: Open, state: State) -> None:
    jobs = open_jobs(lambda *_: (201, REPLY))
    named = submit(jobs)
    ended(jobs, named)
    state.forget("other", "alice")
    assert jobs.show(named).state == "done"
    state.forget("default", "alice")
    with pytest.raises(NotFound):
        jobs.show(named)
    jobs.close()
    erased = open_jobs(lambda *_: (201, REPLY), there=False)  # while it was being looked for
    assert gone(erased, submit(erased))
    erased.close()
    brief = open_jobs(lambda *_: (201, REPLY), keep=0.2)
    assert gone(brief, submit(brief))


def test_an_erasure_takes_jobs_that_would_enrol_the_subject_again_or_tell_of_it(open_jobs: Open, state: State) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(*_: Any) -> Any:
        begun.set()
        go_on.wait(60)
        raise NoPerson("Nobody walks here.")

    jobs = open_jobs(work)
    running = submit(jobs)
    assert begun.wait(60)
    fields = {"subject": unicodedata.normalize("NFD", "zoë")}
    waiting = jobs.submit("enroll", io.BytesIO(b"clip"), fields, "default").id
    elsewhere = jobs.submit("enroll", io.BytesIO(b"clip"), fields, "other").id
    told = threading.Event()
    with jobs.listening(waiting, told.set):
        state.forget("default", "zoë")  # as when one template of hers is deleted
        assert jobs.show(waiting).state == "queued"
        state.withdraw("default", "zoë")
        with pytest.raises(NotFound):
            jobs.show(waiting)
        assert jobs.show(elsewhere).state == "queued"
        go_on.set()
        assert told.wait(60)  # whoever follows it learns that it is gone
    assert [ended(jobs, job).state for job in (running, elsewhere)] == ["failed", "failed"]
    assert left(state) == []
    state.withdraw("default", "alice")
    with pytest.raises(NotFound):
        jobs.show(running)  # it failed, and said for whom it was


@pytest.mark.parametrize("kind", [ClipOfOtherSubject, LooksLikeOtherSubject])
def test_a_refusal_goes_with_whom_it_names(
    open_jobs: Open, state: State, kind: type[ClipOfOtherSubject | LooksLikeOtherSubject]
) -> None:
    def work(*_: Any) -> Any:
        raise kind("This is bob.", subject="bob", template="t")

    jobs = open_jobs(work)
    job = submit(jobs)
    assert ended(jobs, job).state == "failed"
    state.forget("default", "bob")
    with pytest.raises(NotFound):
        jobs.show(job)


def test_a_job_is_done_while_the_store_is_gone(state: State) -> None:
    def there(*_: str) -> bool:
        raise StoreUnavailable("Gone.")

    jobs = Jobs(state, lambda *_: (201, REPLY), there, bound=3, keep=60, retry_after=7)
    try:
        assert ended(jobs, submit(jobs)).state == "done"
        assert left(state) == []
    finally:
        jobs.close()


def test_a_clip_that_cannot_be_kept_leaves_nothing(open_jobs: Open, state: State) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError("no space")
            return super().read(10)

    with pytest.raises(OSError, match="no space"):
        open_jobs(lambda *_: (201, REPLY)).submit("enroll", Broken(bytes(100)), {"subject": "alice"}, "default")
    assert list(state.path.with_suffix(".clips").iterdir()) == []


def later(service: Service, path: str, clip: Path, key: str | None = None, **headers: str) -> httpx.Response:
    headers |= {"Prefer": "respond-async"} | ({"Authorization": f"Bearer {key}"} if key else {})
    fields = {"subject": "ann"} if path == "/enroll" else {}
    with clip.open("rb") as file:
        return httpx.post(service.url + path, data=fields, files={"clip": file}, headers=headers, timeout=60)


def test_a_failed_job_counts_among_the_problems(start: Start, tmp_path: Path) -> None:
    service = start()
    (tmp_path / "no.mp4").write_bytes(b"no clip")
    job = JobReply.model_validate(later(service, "/enroll", tmp_path / "no.mp4").json())
    end = time.monotonic() + 60
    while (job := service.client.job(job.id)).ended is None and time.monotonic() < end:
        time.sleep(0.1)
    assert job.problem is not None and job.problem["code"] == "unsupported_media"
    figures = httpx.get(f"{service.url}/metrics", timeout=60).text
    assert 'gaitkeeper_problems_total{code="unsupported_media"} 1.0' in figures


def test_over_rest_a_clip_is_enrolled_later(start: Start, clip: Clips) -> None:
    service = start()
    reply = later(service, "/enroll", clip("ann-1"), **{"Idempotency-Key": "a"})
    assert reply.status_code == 202 and reply.headers["location"] == f"/jobs/{reply.json()['id']}"
    again = later(service, "/enroll", clip("ann-1"), **{"Idempotency-Key": "a"})
    assert (again.status_code, again.headers["location"]) == (202, reply.headers["location"])
    job = JobReply.model_validate(reply.json())
    end = time.monotonic() + 60
    while (job := service.client.job(job.id)).ended is None and time.monotonic() < end:
        time.sleep(0.1)
    assert job.status == 201 and isinstance(job.result, EnrollReply) and job.result.template.subject == "ann"
    assert [s.subject for s in service.client.subjects().subjects] == ["ann"]
    service.client.erase("ann")
    assert httpx.get(service.url + reply.headers["location"], timeout=60).json()["code"] == "not_found"


def test_what_can_be_refused_at_once_is(start: Start, clip: Clips) -> None:
    service = start()
    reply = httpx.post(
        f"{service.url}/identify",
        data={"collection": "nowhere"},
        files={"clip": b"x"},
        headers={"Prefer": "respond-async"},
        timeout=60,
    )
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")


def test_a_long_clip_becomes_a_job_and_the_client_waits_for_it(start: Start, clip: Clips, tmp_path: Path) -> None:
    service = start(async_seconds=0.5)
    path = tmp_path / "long.mp4"
    path.write_bytes(clip("empty").read_bytes() + (3 * 2**20).to_bytes(4, "big") + b"free" + bytes(3 * 2**20 - 8))
    with path.open("rb") as file:
        assert httpx.post(f"{service.url}/identify", files={"clip": file}, timeout=60).status_code == 202
    with pytest.raises(NoPerson):
        service.client.identify(path)


def test_a_job_is_seen_by_the_key_that_it_was_made_with(start: Start, clip: Clips, state: State) -> None:
    one, other = (Keys(state).create([Scope.IDENTIFY])[1] for _ in range(2))
    service = start()
    place = service.url + later(service, "/identify", clip("empty"), one).headers["location"]
    for method in ("GET", "DELETE"):
        assert httpx.request(method, place, headers={"Authorization": f"Bearer {other}"}, timeout=60).status_code == 404
        assert httpx.request(method, place, headers={"Authorization": f"Bearer {one}"}, timeout=60).status_code == 200


def test_jobs_are_listed_by_pages_newest_first_to_their_owner(open_jobs: Open, state: State) -> None:
    jobs = open_jobs(lambda *_: (201, REPLY), bound=9)
    made = [submit(jobs) for _ in range(5)]
    for job in made:
        ended(jobs, job)
    first = jobs.page(2)
    assert [job.id for job in first.jobs] == made[:2:-1] and first.next == made[3]
    second = jobs.page(3, first.next)
    assert [job.id for job in second.jobs] == made[2::-1] and second.next is None
    assert {job.state for job in second.jobs} == {"done"}
    assert jobs.page(9, collection="other").jobs == [] and len(jobs.page(9, collection="default").jobs) == 5
    assert jobs.page(9, after="unknown").jobs == []
    with state.transaction() as db:
        db.execute("UPDATE jobs SET owner = 'somebody' WHERE id = ?", (made[4],))
    assert [job.id for job in jobs.page(9).jobs] == made[3::-1]
    assert jobs.page(9, after=made[4]).jobs == [], "a job of somebody else's says nothing of when it was made"


def test_listeners_are_told_of_every_change_until_they_go(open_jobs: Open) -> None:
    go = threading.Event()

    def work(kind: str, clip: Path, fields: dict[str, Any], tell: Callable[[str, float], None]) -> Any:
        go.wait(60)
        for share in (0.25, 0.5):
            tell("looking", share)
        return 201, REPLY

    jobs, seen = open_jobs(work), []
    job = submit(jobs)
    with jobs.listening(job, lambda: seen.append(jobs.show(job).progress)):
        go.set()
        ended(jobs, job)
        end = time.monotonic() + 60
        while 1.0 not in seen and time.monotonic() < end:
            time.sleep(0.02)
    assert [share for share in seen if share] == [0.25, 0.5, 1.0]
    assert jobs._listeners == {}


def test_a_job_has_so_many_listeners_and_no_more(open_jobs: Open) -> None:
    jobs = open_jobs(lambda *_: (201, REPLY))
    with ExitStack() as stack:
        for _ in range(LISTENERS):
            stack.enter_context(jobs.listening("a", threading.Event().set))
        with pytest.raises(Overloaded), jobs.listening("a", threading.Event().set):
            pass
        stack.enter_context(jobs.listening("b", threading.Event().set))
    with jobs.listening("a", threading.Event().set):
        pass


def test_a_socket_tells_of_a_job_until_it_has_ended(
    start: Start, clip: Clips, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    halfway, tell = threading.Event(), Jobs._tell

    def waited(jobs: Jobs, job: str, stage: str, share: float) -> None:
        tell(jobs, job, stage, share)
        if 0 < share < 1:
            halfway.wait(60)  # or a quick machine would be done before the socket is open

    monkeypatch.setattr(Jobs, "_tell", waited)
    one, other = (Keys(state).create([Scope.ENROL])[1] for _ in range(2))
    service = start()
    place = later(service, "/enroll", clip("ann-1"), one).headers["location"]
    url = service.url.replace("http", "ws", 1) + place + "/events"
    with connect(url, subprotocols=[PROTOCOL, KEY_PREFIX + one]) as socket:  # type: ignore[list-item]
        events = []
        for text in socket:
            events.append(json.loads(text))
            if events[-1]["progress"]:
                halfway.set()
    assert {event["event"] for event in events} == {"job"} and {event["id"] for event in events} == {place[6:]}
    shares = [event["progress"] for event in events]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert any(0 < share < 1 for share in shares)
    assert events[-1]["result"]["template"]["subject"] == "ann"
    with connect(url, subprotocols=[PROTOCOL, KEY_PREFIX + one]) as socket:  # type: ignore[list-item]
        assert json.loads(socket.recv())["state"] == "done"
    with connect(url, subprotocols=[PROTOCOL, KEY_PREFIX + other]) as socket:  # type: ignore[list-item]
        assert json.loads(socket.recv())["code"] == "not_found"
    with Client(service.url, key=one) as client, Client(service.url, key=other) as stranger:
        assert [job.id for job in client.jobs().jobs] == [place[6:]]
        assert stranger.jobs().jobs == []


def test_whoever_leaves_a_socket_leaves_nothing_behind(start: Start, clip: Clips) -> None:
    service = start()
    place = later(service, "/identify", clip("ann-1")).headers["location"]
    for _ in range(3):
        with connect(service.url.replace("http", "ws", 1) + place + "/events") as socket:
            assert json.loads(socket.recv())["event"] == "job"
    assert service.client.health().status == "ok"


def test_a_file_of_jobs_that_fails_for_a_moment_ends_no_work(
    open_jobs: Open, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaitkeeper.service.background.jobs.PAUSE", 0.05)
    real, failures = State.transaction, [sqlite3.OperationalError("disk I/O error")]

    def failing(self: State) -> Any:
        if threading.current_thread().name == "jobs" and failures:
            raise failures.pop()
        return real(self)

    monkeypatch.setattr(State, "transaction", failing)
    jobs = open_jobs(lambda *_: (201, REPLY))
    assert ended(jobs, submit(jobs)).state == "done"
    assert not failures
