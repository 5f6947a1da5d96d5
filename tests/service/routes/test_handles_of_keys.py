"""A handle is its key's alone: what other keys see of it, and what of a look that became a job."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest
from looks import Looks, counted_looks
from serving import Clips, Start

from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.background import work
from gaitkeeper.service.client import Client
from gaitkeeper.service.errors import Forbidden, UnknownHandle
from gaitkeeper.service.schemas import IdentifyReply, WalkersReply
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State

PATIENCE = 60.0


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return counted_looks(monkeypatch)


def test_the_handle_of_a_job_is_told_to_its_key_alone(start: Start, tmp_path: Path, clip: Clips) -> None:
    keys = Keys(State(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}").state_path))
    own, viewer, admin = (keys.create([scope])[1] for scope in (Scope.IDENTIFY, Scope.VIEWER, Scope.ADMIN))
    service = start()
    for operation, fields in (("identify", {"keep": "true", "annotate": "true"}), ("walkers", {})):
        with Client(service.url, key=admin) as client, clip("ann-1").open("rb") as file:
            client.enroll(clip("ann-1"), "ann")
            sent = httpx.post(
                f"{service.url}/{operation}",
                data=fields,
                files={"clip": file},
                headers={"Authorization": f"Bearer {own}", "Prefer": "respond-async"},
                timeout=60,
            )
        assert sent.status_code == 202
        seen = {}
        for name, key in (("own", own), ("viewer", viewer), ("admin", admin)):
            with Client(service.url, key=key) as client:
                end = time.monotonic() + 5 * PATIENCE
                while (job := client.job(sent.json()["id"])).ended is None and time.monotonic() < end:
                    time.sleep(0.05)
            assert isinstance(job.result, (IdentifyReply, WalkersReply)), job.problem
            seen[name] = job.result
        assert seen["own"].handle is not None and seen["own"].expires is not None
        hidden = seen["own"].model_copy(update={"handle": None, "expires": None})
        assert seen["viewer"] == seen["admin"] == hidden
        with Client(service.url, key=own) as client:
            assert client.show_walkers(seen["own"].handle).handle == seen["own"].handle


def test_another_key_cannot_use_a_handle(start: Start, tmp_path: Path, clip: Clips) -> None:
    keys = Keys(State(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}").state_path))
    texts = [keys.create([scope])[1] for scope in (Scope.ENROL, Scope.ADMIN, Scope.IDENTIFY)]
    door = keys.create([Scope.ENROL, Scope.IDENTIFY], ["door"])[1]
    service = start()
    enrols, admin, identifies, bound = (Client(service.url, key=key) for key in (*texts, door))
    handle = enrols.walkers(clip("ann-1")).handle
    for ask in (
        lambda: admin.show_walkers(str(handle)),
        lambda: admin.erase_walkers(str(handle)),
        lambda: admin.enroll(subject="ann", handle=handle),
        lambda: identifies.identify(handle=handle),
        lambda: identifies.show_walkers(str(handle)),
    ):
        with pytest.raises(UnknownHandle):
            ask()
    with pytest.raises(Forbidden, match="scope identify"):
        enrols.identify(handle=handle)
    assert enrols.enroll(subject="ann", handle=handle).template.subject == "ann"
    own = identifies.walkers(clip("ann-1"))
    with pytest.raises(Forbidden, match="scope enrol"):
        identifies.enroll(subject="eve", handle=own.handle)
    assert identifies.identify(handle=own.handle).people[0].candidates[0].subject == "ann"
    with pytest.raises(Forbidden, match="not for that collection"):
        bound.walkers(clip("ann-1"))
    inside = bound.walkers(clip("ann-1"), collection="door")
    with pytest.raises(Forbidden, match="not for that collection"):
        bound.enroll(subject="ann", handle=inside.handle)
    assert bound.enroll(subject="ann", handle=inside.handle, collection="door").template.collection == "door"
    for client in (enrols, admin, identifies, bound):
        client.close()


def test_a_look_that_becomes_a_job_stores_no_picture_and_belongs_to_its_key(
    start: Start, tmp_path: Path, clip: Clips, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(State(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}").state_path))
    key, text = keys.create([Scope.ENROL])
    service = start()
    headers = {"Authorization": f"Bearer {text}", "Prefer": "respond-async"}
    with clip("two").open("rb") as file:
        sent = httpx.post(f"{service.url}/walkers", files={"clip": ("two.mp4", file)}, headers=headers, timeout=60)
    assert (sent.status_code, sent.json()["kind"]) == (202, "walkers")
    with Client(service.url, key=text) as client:
        end = time.monotonic() + 5 * PATIENCE
        while (job := client.job(sent.json()["id"])).ended is None and time.monotonic() < end:
            time.sleep(0.05)
        assert job.outcome is not None and [one.track for one in job.outcome] == [1, 2]
        stored = json.loads(job.model_dump_json())["result"]
        assert [one["thumbnail"] for one in stored["walkers"]] == [None, None]
        look = client.show_walkers(stored["handle"])
        assert all(one.thumbnail for one in look.walkers)
        both = {1: "ann", 2: "bob"}
        # A handle is answered at once, whatever the caller prefers: there is nothing to wait for.
        fields = {"handle": stored["handle"], "subjects": json.dumps({str(t): s for t, s in both.items()})}
        done = httpx.post(f"{service.url}/enroll", data=fields, headers=headers, timeout=60)
        assert done.status_code == 201 and done.json()["others"][0]["template"]["subject"] == "bob"
        assert looks() == 1 and key.id == job.key
        monkeypatch.setattr(work, "SHORT_BYTES", 0)
    with Client(start(async_seconds=0.5).url, key=text) as client:
        look = client.walkers(clip("two"), boxes=True)  # waits for the job, and fetches the pictures
        assert all(one.thumbnail and one.trail for one in look.walkers)
        assert [one.kind for one in client.jobs(limit=1).jobs] == ["walkers"]
