"""Two collections with two keys: whatever the one does, the other's owner sees no difference, and loses nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from serving import Clips, Service, Start
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gaitkeeper.gallery.names import COMPANIONS
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.client import Client
from gaitkeeper.service.http.sockets import KEY_PREFIX, PROTOCOL
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State

WALKS = ("ann-1", "bob-1")
NAMES = ("ann", "bob")
OWNERS = ("north", "south")
MOST_LOOKS = 2  # at clips, which takes a second each
OTHER = {"north": "south", "south": "north"}
TAILS = (
    "",
    "/",
    "/subjects",
    "/subjects/ann",
    "/subjects/ann/templates",
    "/subjects/ann/templates/1",
    "/subjects/ann/templates/1/pictures",
    "/strangers",
    "/strangers/3f1c9a0b7d5e2468",
    f"/strangers/{'0' * 32}/pictures",
    "/cameras",
    "/cameras/door",
)
SPELLINGS = ("{}", "%{:x}", "x/../{}", "{}%00", "{}/", "{}~strangers", "{}%7Estrangers", "{}~passers-by")


class Apart(RuleBasedStateMachine):
    """Each owner uses the own collection, and tries the other's by every address and field that names one."""

    url: ClassVar[str]
    texts: ClassVar[dict[str, str]]
    clip: ClassVar[Clips]
    jobs: ClassVar[dict[str, str]]
    seen: ClassVar[dict[tuple[Any, ...], tuple[int, bytes]]]

    def __init__(self) -> None:
        super().__init__()
        self.clients = {owner: Client(self.url, key=self.texts[owner]) for owner in OWNERS}
        self.looked = 0
        self.enrolled: dict[str, dict[str, str]] = {owner: {} for owner in OWNERS}
        self.kept: dict[str, float | None] = dict.fromkeys(OWNERS)
        self.passing: dict[str, float | None] = dict.fromkeys(OWNERS)
        for owner in OWNERS:  # what the last run left
            self.clients[owner].keep_strangers(None, collection=owner)
            self.clients[owner].keep_passers_by(None, collection=owner)
            for name in self.names(owner):
                self.clients[owner].erase(name, collection=owner)

    def teardown(self) -> None:
        for client in self.clients.values():
            client.close()

    def names(self, owner: str) -> list[str]:
        return [s.subject for s in self.clients[owner].subjects(collection=owner).subjects]

    @precondition(lambda self: self.looked < MOST_LOOKS)
    @rule(owner=st.sampled_from(OWNERS), name=st.sampled_from(NAMES), walk=st.sampled_from(WALKS))
    def enrol(self, owner: str, name: str, walk: str) -> None:
        if walk in self.enrolled[owner].values():
            return  # of whom this walk is, the own collection knows: a conflict that tests of the gallery cover
        self.looked += 1
        self.clients[owner].enroll(self.clip(walk), name, collection=owner)
        self.enrolled[owner][name] = walk

    @precondition(lambda self: any(self.enrolled.values()))
    @rule(owner=st.sampled_from(OWNERS), name=st.sampled_from(NAMES))
    def erase(self, owner: str, name: str) -> None:
        if self.enrolled[owner].pop(name, None):
            self.clients[owner].erase(name, collection=owner)

    @precondition(lambda self: self.looked < MOST_LOOKS)
    @rule(owner=st.sampled_from(OWNERS))
    def identify(self, owner: str) -> None:
        self.looked += 1
        people = self.clients[owner].identify(self.clip("ann-2"), collection=owner).people
        assert {c.subject for c in people[0].candidates} == set(self.enrolled[owner])
        assert people[0].threshold.gallery_size == len(self.enrolled[owner])

    @rule(
        owner=st.sampled_from(OWNERS),
        method=st.sampled_from(("GET", "DELETE", "PATCH", "PUT", "POST")),
        tail=st.sampled_from(TAILS),
        spelling=st.sampled_from(SPELLINGS),
    )
    def trespass(self, owner: str, method: str, tail: str, spelling: str) -> None:
        other = OTHER[owner]
        name = f"%{ord(other[0]):x}{other[1:]}" if spelling == "%{:x}" else spelling.format(other)
        given = {} if method in {"GET", "DELETE"} else {"json": {"keep_seconds": None, "subject": "ann"}}
        self.same((owner, method, tail, spelling), self.ask(owner, method, f"/collections/{name}{tail}", **given))

    @rule(owner=st.sampled_from(OWNERS), method=st.sampled_from(("GET", "DELETE")), kind=st.sampled_from(COMPANIONS))
    def trespass_on_companion(self, owner: str, method: str, kind: str) -> None:
        """Where the own strangers and passers-by lie is no collection to anybody."""
        self.same((owner, method, kind), self.ask(owner, method, f"/collections/{owner}~{kind}"))

    @rule(owner=st.sampled_from(OWNERS), keep=st.sampled_from((None, 3600.0)))
    def keep_strangers(self, owner: str, keep: float | None) -> None:
        self.kept[owner] = self.clients[owner].keep_strangers(keep, collection=owner).keep_seconds

    @rule(owner=st.sampled_from(OWNERS), keep=st.sampled_from((None, 3600.0)))
    def keep_passers_by(self, owner: str, keep: float | None) -> None:
        self.passing[owner] = self.clients[owner].keep_passers_by(keep, collection=owner).keep_seconds

    @rule(owner=st.sampled_from(OWNERS), method=st.sampled_from(("GET", "DELETE")))
    def trespass_on_jobs(self, owner: str, method: str) -> None:
        theirs, nobodys = (self.ask(owner, method, f"/jobs/{job}") for job in (self.jobs[OTHER[owner]], "0" * 32))
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.text.replace(self.jobs[OTHER[owner]], "0" * 32) == nobodys.text
        self.same((owner, "jobs"), self.ask(owner, "GET", "/jobs", params={"collection": OTHER[owner]}))
        assert [job["id"] for job in self.ask(owner, "GET", "/jobs").json()["jobs"]] == [self.jobs[owner]]

    @rule(owner=st.sampled_from(OWNERS))
    def trespass_by_socket(self, owner: str) -> None:
        with self.dial(owner, f"/jobs/{self.jobs[OTHER[owner]]}/events") as socket:
            assert json.loads(socket.recv(60))["code"] == "not_found"
        for name in (OTHER[owner], f"{OTHER[owner]}~strangers", f"{owner}~strangers"):
            with pytest.raises(InvalidStatus) as refused:
                self.dial(owner, f"/stream?collection={name}")
            reply = refused.value.response
            known = self.seen.setdefault((owner, "stream", name), (reply.status_code, bytes(reply.body)))
            assert known == (403, bytes(reply.body))

    @rule(owner=st.sampled_from(OWNERS), path=st.sampled_from(("/enroll", "/identify", "/verify", "/learn")))
    def trespass_by_form(self, owner: str, path: str) -> None:
        fields = {"collection": OTHER[owner]}
        if path in ("/enroll", "/verify"):
            fields["subject"] = "ann"
        if path == "/learn":
            fields["camera"] = "door"
        with self.clip("bob-1").open("rb") as file:
            reply = self.ask(owner, "POST", path, data=fields, files={"clip": file})
        self.same((owner, path), reply)

    @rule(
        owner=st.sampled_from(OWNERS),
        path=st.sampled_from(("/metrics", "/stream", "/jobs/1", "/system")),
    )
    def look_around(self, owner: str, path: str) -> None:
        self.same((owner, path), self.ask(owner, "GET", path))

    @invariant()
    def nothing_is_lost(self) -> None:
        for owner in OWNERS:
            assert self.names(owner) == sorted(self.enrolled[owner])
            assert [one.name for one in self.clients[owner].collections().collections] == [owner]
            assert self.clients[owner].strangers(collection=owner).keep_seconds == self.kept[owner]
            assert self.clients[owner].cameras(owner).keep_seconds == self.passing[owner]
            assert self.clients[owner].job(self.jobs[owner]).state == "failed"

    def dial(self, owner: str, place: str) -> ClientConnection:
        protocols = [Subprotocol(PROTOCOL), Subprotocol(KEY_PREFIX + self.texts[owner])]
        return connect(f"ws{self.url.removeprefix('http')}{place}", subprotocols=protocols)

    def ask(self, owner: str, method: str, path: str, **content: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.texts[owner]}"}
        return httpx.request(method, self.url + path, headers=headers, timeout=60, **content)

    def same(self, what: tuple[Any, ...], reply: httpx.Response) -> None:
        """Refused, and by the very same bytes whatever state the other collection is in."""
        assert reply.status_code in {403, 404, 405}, (what, reply.text)
        assert self.seen.setdefault(what, (reply.status_code, reply.content)) == (reply.status_code, reply.content)


@pytest.fixture
def owners(start: Start, tmp_path: Path) -> tuple[Service, dict[str, str]]:
    state = State(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}").state_path)
    texts = {owner: Keys(state).create([Scope.ADMIN], [owner])[1] for owner in OWNERS}
    state.close()
    return start(rate="1000000/minute"), texts


def job_that_fails(service: Service, key: str, collection: str) -> str:
    """The id of one that has ended."""
    headers = {"Authorization": f"Bearer {key}", "Prefer": "respond-async"}
    given = {"data": {"collection": collection}, "files": {"clip": b"no clip"}}
    job = httpx.post(f"{service.url}/identify", headers=headers, timeout=60, **given).json()["id"]  # type: ignore[arg-type]
    with Client(service.url, key=key) as client:
        while client.job(job).ended is None:
            time.sleep(0.05)
    return str(job)


def test_no_key_reads_infers_or_alters_the_others(owners: tuple[Service, dict[str, str]], clip: Clips) -> None:
    service, texts = owners
    Apart.url, Apart.texts, Apart.clip, Apart.seen = service.url, texts, staticmethod(clip), {}
    Apart.jobs = {}
    for owner in OWNERS:  # each collection is there from the start
        with Client(service.url, key=texts[owner]) as client:
            client.enroll(clip("ann-1"), "ann", collection=owner)
        Apart.jobs[owner] = job_that_fails(service, texts[owner], owner)
    run_state_machine_as_test(
        Apart,
        settings=settings(
            max_examples=4,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
