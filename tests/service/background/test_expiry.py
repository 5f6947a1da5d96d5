"""What the service does unasked, and under whose name all is logged."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from serving import Clips, Service, Start

from gaitkeeper.gallery.errors import BadStore, NotFound
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.types import AuditEntry, Removal
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.background.expiry import purge
from gaitkeeper.service.client import Client
from gaitkeeper.service.recognition import canary
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State


def logged(service: Service, collection: str = "default") -> list[AuditEntry]:
    store = open_store(f"sqlite:///{service.store}")
    try:
        return list(store.audit(collection).entries)
    finally:
        store.close()


def test_what_has_expired_goes_with_the_replies_that_name_it(start: Start, clip: Clips) -> None:
    service = start(network="gei", purge_seconds=0.2)
    client = service.client
    client.create_collection("brief", ttl_seconds=1.5)
    client.enroll(clip("bob-1"), "bob")
    made = client.enroll(clip("ann-1"), "ann", collection="brief", idempotency_key="once").template
    state = State(Settings(store=f"sqlite:///{service.store}").state_path)
    end = time.monotonic() + 60
    while client.collection("brief").subjects and time.monotonic() < end:
        time.sleep(0.1)
    with pytest.raises(NotFound):
        client.subject("ann", collection="brief")
    while state.named("brief") and time.monotonic() < end:
        time.sleep(0.1)
    assert state.named("brief") == set()
    state.close()
    assert [s.subject for s in client.subjects().subjects] == ["bob"]
    purged = [(entry.action, entry.actor, entry.templates) for entry in logged(service, "brief")][-1]
    assert purged == ("purge", "expiry", 1)
    assert made.expires is not None


def test_a_collection_that_cannot_be_purged_keeps_no_other_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}", network="gei")) as engine:
        for name in ("a", "b"):
            engine.create_collection(name, ttl_seconds=1)
            engine.gallery(name).enroll("ann", canary.sequence("blazepose-full/1", frames=20))
        with engine.state.transaction() as db:  # as where another process erased her, or this one ended too soon
            db.execute("INSERT INTO messages VALUES ('m', 'https://x', 'b', 'gone', x'00', 0, 0)")
        real = engine.store.purge

        def purged(name: str, now: datetime) -> Removal:
            if name == "a":
                raise BadStore("Damaged.")
            return real(name, now)

        monkeypatch.setattr(engine.store, "purge", purged)
        time.sleep(1.1)
        assert purge(engine) == 1
        assert (engine.collection("a").templates, engine.collection("b").templates) == (1, 0)
        assert engine.state.named("b") == set()


def test_the_log_names_the_key_of_requests_and_jobs(start: Start, clip: Clips, tmp_path: Path) -> None:
    state = State(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}").state_path)
    camera, text = Keys(state).create([Scope.ADMIN], name="camera 1")
    nameless, other = Keys(state).create([Scope.ADMIN])
    state.close()
    service = start(network="gei")
    with Client(service.url, key=text) as client:
        client.enroll(clip("ann-1"), "ann")
    with clip("bob-1").open("rb") as file:
        later = httpx.post(
            f"{service.url}/enroll",
            data={"subject": "bob"},
            files={"clip": file},
            headers={"Prefer": "respond-async", "Authorization": f"Bearer {text}"},
            timeout=60,
        )
    with Client(service.url, key=text) as client:
        client._result(client.job(later.json()["id"]))
    with Client(service.url, key=other) as client:
        client.erase("bob")
    acted = [(entry.action, entry.actor) for entry in logged(service) if entry.subject]
    assert acted == [
        ("enroll", f"camera 1 ({camera.id})"),
        ("enroll", f"camera 1 ({camera.id})"),
        ("erase", nameless.id),
    ]


def test_without_keys_it_was_anybody(service: Service, clip: Clips) -> None:
    service.client.create_collection("door")
    assert [(e.action, e.actor) for e in logged(service, "door")] == [("create", "anybody here")]


def test_collections_and_templates_come_in_pages(start: Start, clip: Clips) -> None:
    service = start(network="gei")
    client = service.client
    for name in ("a", "b", "c"):
        client.create_collection(name)
    first = httpx.get(f"{service.url}/collections", params={"limit": 2}, timeout=60).json()
    assert ([c["name"] for c in first["collections"]], first["next"]) == (["a", "b"], "b")
    rest = httpx.get(f"{service.url}/collections", params={"limit": 2, "after": "b"}, timeout=60).json()
    assert ([c["name"] for c in rest["collections"]], rest["next"]) == (["c", "default"], None)
    assert len(client.collections().collections) == 4
    slip = httpx.get(f"{service.url}/collections", params={"limt": 2}, timeout=60)
    assert (slip.status_code, slip.json()["errors"][0]["field"]) == (422, "limt")
    twice = httpx.get(f"{service.url}/collections?limit=1&limit=2", timeout=60)
    assert (twice.status_code, twice.json()["errors"][0]["field"]) == (422, "limit")

    ids = [client.enroll(clip(name), "ann").template.id for name in ("ann-1", "ann-2")]
    assert [t.id for t in client.templates("ann").templates] == ids
    place = f"{service.url}/collections/default/subjects/ann/templates"
    page = httpx.get(place, params={"limit": 1}, timeout=60).json()
    assert ([t["id"] for t in page["templates"]], page["next"]) == (ids[:1], ids[0])
    page = httpx.get(place, params={"limit": 1, "after": ids[0]}, timeout=60).json()
    assert ([t["id"] for t in page["templates"]], page["next"]) == (ids[1:], None)
    assert httpx.get(place, params={"after": "gone"}, timeout=60).json()["templates"] == []
