"""Conventions that hold for every operation: names, times, ids of operations, places of errors, the reference."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from serving import Clips, Service, Start

from gaitkeeper.service.app import create_app
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.client import Client
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State

NOT_TIMES = {("Person", "seen"), ("Verification", "seen"), ("Subject", "last_seen")}
"""The view of a walker; the newest sighting, with its time and its camera."""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    store = tmp_path_factory.mktemp("store") / "gallery.db"
    return create_app(Settings(store=f"sqlite:///{store}")).openapi()


def test_18_operations_have_plain_ids(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(ids)) == len(ids) and all(one.isidentifier() for one in ids)
    assert {"enroll", "identify", "verify", "walkers", "learn", "list_subjects", "show_job", "erase_walkers"} <= set(
        ids
    )
    assert not any(word in one for one in ids for word in ("_get", "_post", "_put", "_patch"))


def test_18_a_subject_has_one_name_and_times_are_iso_8601(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert "subject" in schemas["Subject"]["properties"] and "id" not in schemas["Subject"]["properties"]
    moments = {"created", "ended", "started", "expires", "seen", "first_seen", "last_seen", "revoked"}
    for name, schema in schemas.items():
        for field, about in schema.get("properties", {}).items():
            if field in moments and (name, field) not in NOT_TIMES:
                kinds = [about, *about.get("anyOf", ())]
                assert any(kind.get("format") == "date-time" for kind in kinds), (name, field)


def test_18_an_error_names_the_whole_path_of_its_field(service: Service) -> None:
    def told(method: str, path: str, **given: Any) -> list[dict[str, str]]:
        reply = httpx.request(method, service.url + path, timeout=60, **given)
        assert reply.json()["code"] == "invalid_request", reply.text
        errors: list[dict[str, str]] = reply.json()["errors"]
        assert all(one["field"] in reply.json()["detail"] for one in errors)
        return errors

    place = "/collections/default/subjects/ann"
    assert [e["field"] for e in told("PATCH", place, json={"metadata": {"site": 5}})] == ["metadata.site"]
    assert [e["field"] for e in told("PATCH", place, content=b"{", headers={"content-type": "application/json"})] == [
        "body"
    ]
    assert [e["field"] for e in told("GET", "/jobs?limit=0")] == ["limit"]


def test_18_an_administrator_sees_the_jobs_of_all_keys(start: Start, clip: Clips) -> None:
    service = start(network="gei")
    keys = Keys(State(Settings(store=f"sqlite:///{service.store}").state_path))
    _, everywhere = keys.create([Scope.ADMIN])
    sender, own = keys.create([Scope.IDENTIFY, Scope.ENROL], ["door"])
    _, door = keys.create([Scope.ADMIN], ["door"])
    _, hall = keys.create([Scope.ADMIN], ["hall"])
    _, other = keys.create([Scope.IDENTIFY])
    with clip("ann-1").open("rb") as file:
        sent = httpx.post(
            f"{service.url}/enroll",
            data={"collection": "door", "subject": "ann", "camera": "north"},
            files={"clip": ("first.mp4", file)},
            headers={"Prefer": "respond-async", "Authorization": f"Bearer {own}"},
            timeout=120,
        )
    assert sent.status_code == 202
    job = sent.json()["id"]
    seen = {}
    for name, key in (("all", everywhere), ("own", own), ("door", door), ("hall", hall), ("other", other)):
        with Client(service.url, key=key) as client:
            seen[name] = [one.id for one in client.jobs().jobs]
    assert seen == {"all": [job], "own": [job], "door": [job], "hall": [], "other": []}
    with Client(service.url, key=door) as client:
        until = time.monotonic() + 120
        while (state := client.job(job)).ended is None and time.monotonic() < until:
            time.sleep(0.1)
        assert (state.key, state.file, state.camera) == (sender.id, "first.mp4", "north")
        [listed] = client.jobs(collection="door").jobs
        assert listed.outcome is not None
        assert [(one.track, one.verdict, one.subject) for one in listed.outcome] == [(1, None, "ann")]
        assert state.ended is not None and timedelta() < state.ended - state.created < timedelta(hours=1)
        assert abs(datetime.now(UTC) - state.created) < timedelta(hours=1)
    with Client(service.url, key=everywhere) as client:
        assert client.cancel(job).state == "done"
        client.erase("ann", collection="door")
        assert client.jobs().jobs == []


def test_18_the_reference_is_served_by_the_service_itself(service: Service) -> None:
    reply = httpx.get(f"{service.url}/docs", timeout=60)
    assert (reply.status_code, reply.headers["location"]) == (307, "/#/api")
