"""Requests with an Idempotency-Key: done once, answered again, and forgotten with whom they name."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from serving import Clips, Service, Start

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.errors import StoreUnavailable
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.background.replay import Replays
from gaitkeeper.service.errors import IdempotencyMismatch, InProgress
from gaitkeeper.service.http.openapi.examples import EXAMPLES
from gaitkeeper.service.recognition import canary
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.schemas import EnrollReply
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "gallery.service.db")


def post(service: Service, path: str, clip: Path, token: str, key: str | None = None, **fields: str) -> httpx.Response:
    headers = {"Idempotency-Key": token} | ({"Authorization": f"Bearer {key}"} if key else {})
    with clip.open("rb") as file:
        return httpx.post(service.url + path, data=fields, files={"clip": file}, headers=headers, timeout=60)


def kept(store: Path) -> bytes:
    """Everything that lies in the service's own file."""
    return b"".join(path.read_bytes() for path in store.parent.glob("gallery.service.db*"))


def test_the_same_request_gets_the_same_reply_also_after_a_restart(start: Start, clip: Clips) -> None:
    service = start()
    first = post(service, "/enroll", clip("ann-1"), "a", subject="ann")
    again = post(service, "/enroll", clip("ann-1"), "a", subject="ann")
    assert (first.status_code, again.status_code) == (201, 201) and again.content == first.content
    assert post(service, "/enroll", clip("ann-1"), "b", subject="ann").status_code == 200  # done, and found to be there
    seen = post(service, "/identify", clip("ann-2"), "c")
    restarted = start()
    for token, path, walk, fields, reply in (
        ("a", "/enroll", "ann-1", {"subject": "ann"}, first),
        ("c", "/identify", "ann-2", {}, seen),
    ):
        assert post(restarted, path, clip(walk), token, **fields).content == reply.content
    assert len(restarted.client.subject("ann").templates) == 1


def test_another_request_with_the_same_key_is_refused(start: Start, clip: Clips) -> None:
    service = start()
    assert post(service, "/enroll", clip("ann-1"), "a", subject="ann").status_code == 201
    for path, walk, fields in (
        ("/enroll", "ann-1", {"subject": "eve"}),
        ("/enroll", "bob-1", {"subject": "ann"}),
        ("/enroll", "ann-1", {"subject": "ann", "collection": "other"}),
        ("/identify", "ann-1", {}),
    ):
        reply = post(service, path, clip(walk), "a", **fields)
        assert (reply.status_code, reply.json()["code"]) == (422, "idempotency_mismatch")
    with pytest.raises(IdempotencyMismatch):
        service.client.enroll(clip("bob-1"), "ann", idempotency_key="a")
    assert [s.subject for s in service.client.subjects().subjects] == ["ann"]


def test_a_refusal_is_not_kept(start: Start, clip: Clips, tmp_path: Path) -> None:
    service = start()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no clip")
    assert post(service, "/enroll", broken, "a", subject="ann").status_code == 415
    assert post(service, "/enroll", clip("two"), "a", subject="ann").json()["code"] == "multiple_people"
    assert b"thumbnail" not in kept(service.store)
    assert post(service, "/enroll", clip("ann-1"), "a", subject="ann").status_code == 201


@pytest.mark.parametrize("token", ["", "a b", "x" * 256, "a\tb"])
def test_what_is_no_key_is_refused(service: Service, clip: Clips, token: str) -> None:
    assert post(service, "/identify", clip("short"), token).json()["code"] == "invalid_request"


def test_erasing_a_subject_drops_every_reply_that_names_it(start: Start, clip: Clips) -> None:
    service = start()
    for walk, subject in (("ann-1", "ann-of-the-north"), ("bob-1", "bob-of-the-south")):
        post(service, "/enroll", clip(walk), subject, subject=subject)
    post(service, "/identify", clip("ann-2"), "both")
    assert b"ann-of-the-north" in kept(service.store)
    service.client.erase("ann-of-the-north")
    assert b"ann-of-the-north" not in kept(service.store) and b"bob-of-the-south" in kept(service.store)
    again = post(service, "/identify", clip("ann-2"), "both").json()
    assert [c["subject"] for c in again["people"][0]["candidates"]] == ["bob-of-the-south"]


def test_a_subject_is_erased_however_its_name_is_typed(start: Start, clip: Clips, tmp_path: Path) -> None:
    service = start()
    composed, typed = unicodedata.normalize("NFC", "zoë"), unicodedata.normalize("NFD", "zoë")
    assert post(service, "/enroll", clip("ann-1"), "once", subject=typed).status_code == 201
    service.client.erase(typed)
    state = State(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}").state_path)
    assert state.named("default") == set()
    assert state.rows("SELECT * FROM replies") == []
    state.close()
    assert composed not in kept(service.store).decode(errors="replace")


def test_an_erasure_withdraws_what_would_enrol_the_subject_again(tmp_path: Path) -> None:
    with Engine(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}", network="gei")) as engine:
        engine.gallery("default").enroll("zoë", canary.sequence("blazepose-full/1", frames=20))
        with engine.state.transaction() as db:
            for job, collection in (("here", "default"), ("there", "other")):
                fields = json.dumps({"subject": unicodedata.normalize("NFD", "zoë")})
                row = (job, "", "enroll", collection, fields, "queued", 0, None, None, 0.0, None, None, None)
                db.execute(f"INSERT INTO jobs VALUES ({', '.join('?' * len(row))})", row)
        engine.erase(unicodedata.normalize("NFD", "zoë"))
        assert [row["id"] for row in engine.state.rows("SELECT id FROM jobs")] == ["there"]


def test_an_answer_from_memory_is_given_with_a_token_too(state: State) -> None:
    def there(_: str) -> bool:
        raise StoreUnavailable("Gone.")

    assert once(Replays(state, 60), there=there) == (200, REPLY)


def test_tokens_of_one_key_are_unknown_to_another(start: Start, clip: Clips, state: State) -> None:
    north, south = (Keys(state).create([Scope.ADMIN], [name])[1] for name in ("north", "south"))
    service = start()
    first = post(service, "/enroll", clip("ann-1"), "a", north, subject="ann", collection="north")
    other = post(service, "/enroll", clip("ann-1"), "a", south, subject="eve", collection="south")
    assert (first.status_code, other.status_code) == (201, 201)
    assert other.json()["template"]["subject"] == "eve"


REPLY = EnrollReply.model_validate(EXAMPLES["EnrollReply"])


def once(replays: Replays, token: str = "a", request: bytes = b"1", work=lambda: (200, REPLY), there=lambda _: True):
    return replays.once(token, request, "default", work, there, EnrollReply)


def test_while_one_is_worked_on_the_other_is_told_so(state: State) -> None:
    replays, go, begun = Replays(state, 60), threading.Event(), threading.Event()

    def work() -> tuple[int, EnrollReply]:
        begun.set()
        go.wait(60)
        return 200, REPLY

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(once, replays, work=work)
        begun.wait(60)
        with pytest.raises(InProgress) as caught:
            once(replays)
        assert caught.value.extra["retry_after"] == 1
        go.set()
        assert first.result() == once(replays, work=lambda: pytest.fail("done twice")) == (200, REPLY)


def test_what_the_end_of_the_service_cut_short_is_done_again(state: State) -> None:
    replays = Replays(state, 60)
    with pytest.raises(KeyboardInterrupt):
        once(replays, work=lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with sqlite3.connect(state.path) as other:  # as if it had been killed in the middle
        other.execute("INSERT INTO replies VALUES ('', 'a', x'31', 'default', 9e9, NULL, NULL)")
    with pytest.raises(InProgress):
        once(replays)
    assert once(Replays(state, 60)) == (200, REPLY)


def test_replies_are_kept_for_a_set_time(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    replays, done, now = Replays(state, 60), [], [time.time()]
    monkeypatch.setattr("gaitkeeper.service.background.replay.time", SimpleNamespace(time=lambda: now[0]))

    def work() -> tuple[int, EnrollReply]:
        done.append(1)
        return 200, REPLY

    for _ in range(2):
        once(replays, work=work)
    assert len(done) == 1
    now[0] += 61
    once(replays, work=work)
    assert len(done) == 2


def test_a_reply_that_names_somebody_erased_meanwhile_is_not_kept(state: State) -> None:
    replays = Replays(state, 60)
    once(replays, there=lambda _: False)
    assert state.rows("SELECT * FROM replies") == state.rows("SELECT * FROM named") == []

    def work() -> tuple[int, EnrollReply]:
        state.forget("default")
        return 200, REPLY

    assert once(replays, work=work) == (200, REPLY)
    assert state.rows("SELECT * FROM replies") == state.rows("SELECT * FROM named") == []


def test_lists_come_in_pages(start: Start, tmp_path: Path) -> None:
    with Gallery.open(f"sqlite:///{tmp_path / 'gallery.db'}", collection="c0") as gallery:
        for number in range(5):
            gallery.enroll(f"ann-{number}", canary.sequence("blazepose-full/1", frames=20))
    service = start()
    url, seen, after = f"{service.url}/collections/c0/subjects", [], None
    while True:
        page = httpx.get(url, params={"limit": 2} | ({"after": after} if after else {}), timeout=60).json()
        seen.append([s["subject"] for s in page["subjects"]])
        if (after := page["next"]) is None:
            break
    assert seen == [["ann-0", "ann-1"], ["ann-2", "ann-3"], ["ann-4"]]
    assert [s.subject for s in service.client.subjects(collection="c0").subjects] == [*chain(*seen)]
    for bad in ({"limit": 0}, {"limit": 1001}, {"limit": "x"}):
        assert httpx.get(url, params=bad, timeout=60).json()["code"] == "invalid_request"


def test_the_file_is_beside_the_store_unless_set(tmp_path: Path) -> None:
    assert Settings(store="sqlite:////srv/faces.db").state_path == Path("/srv/faces.service.db")
    assert Settings(store="redis://127.0.0.1/0").state_path == Path("gaitkeeper.service.db")
    assert Settings(state=str(tmp_path / "own.db")).state_path == tmp_path / "own.db"
