"""What the scopes that read alone may do, for every operation of the service."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from serving import Clips, Run, Service, Start, running

from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.service.app import create_app
from gaitkeeper.service.auth.access import rule_of
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.client import Client
from gaitkeeper.service.errors import Forbidden
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State


def keys_of(service: Service) -> Keys:
    return Keys(State(Settings(store=f"sqlite:///{service.store}").state_path))


def test_a_viewer_reads_everything_and_a_reader_of_metrics_these_alone(tmp_path: Path) -> None:
    store = tmp_path / "gallery.db"
    settings = Settings(store=f"sqlite:///{store}", rate="10000/minute")
    document = create_app(settings).openapi()
    operations = [(method.upper(), path) for path, item in document["paths"].items() for method in item]
    with running(settings, store) as service:
        keys = keys_of(service)
        (_, viewer), (_, metrics) = keys.create([Scope.VIEWER]), keys.create([Scope.METRICS])
        refused: dict[str, set[tuple[str, str]]] = {}
        for name, key in (("viewer", viewer), ("metrics", metrics)):
            for method, path in [*operations, ("GET", "/metrics"), ("GET", "/nowhere")]:
                if path == "/readyz" or rule_of(path).public:
                    continue
                place = path.replace("{collection}", "default")
                reply = httpx.request(
                    method, service.url + place, headers={"Authorization": f"Bearer {key}"}, timeout=60
                )
                assert reply.status_code not in (401, 500)
                if reply.status_code == 403:
                    refused.setdefault(name, set()).add((method, path))
        locked = {(method, path) for method, path in operations if not rule_of(path).public}
        changing = {(method, path) for method, path in locked if method != "GET"}
        assert {("POST", "/enroll"), ("POST", "/identify"), ("DELETE", "/jobs/{job}")} <= changing
        assert refused["viewer"] == changing | {("GET", "/nowhere"), ("GET", "/walkers/{handle}")}
        assert refused["metrics"] == locked | {("GET", "/nowhere")}
        assert httpx.get(
            f"{service.url}/metrics", headers={"Authorization": f"Bearer {metrics}"}, timeout=60
        ).text.startswith("# HELP")


def test_a_viewer_of_a_collection_sees_its_people_and_jobs_and_ends_none(start: Start, clip: Clips) -> None:
    service = start(network="gei")
    service.client.enroll(clip("ann-1"), "ann", collection="door")
    keys = keys_of(service)
    (_, admin), (_, viewer), (_, other), (_, both) = (
        keys.create([Scope.ADMIN]),
        keys.create([Scope.VIEWER], ["door"]),
        keys.create([Scope.VIEWER], ["hall"]),
        keys.create([Scope.VIEWER, Scope.IDENTIFY], ["door"]),
    )
    with clip("ann-1").open("rb") as file:
        job = httpx.post(
            f"{service.url}/identify",
            data={"collection": "door"},
            files={"clip": file},
            headers={"Prefer": "respond-async", "Authorization": f"Bearer {admin}"},
            timeout=120,
        ).json()["id"]
    with Client(service.url, key=viewer) as client:
        assert [one.subject for one in client.subjects(collection="door").subjects] == ["ann"]
        assert [one.name for one in client.collections().collections] == ["door"]
        assert [one.id for one in client.jobs().jobs] == [job] and client.job(job).collection == "door"
        for change in (
            lambda: client.erase("ann", collection="door"),
            lambda: client.update_subject("ann", display_name="Ann", collection="door"),
            lambda: client.keep_strangers(60, collection="door"),
            lambda: client.enroll(clip("ann-1"), "bob", collection="door"),
            lambda: client.identify(clip("ann-1"), collection="door"),
            lambda: client.verify(clip("ann-1"), "ann", collection="door"),
            lambda: client.learn(clip("ann-1"), "north", collection="door"),
            lambda: client.walkers(clip("ann-1"), collection="door"),
            lambda: client.show_walkers("Xr3nB0oJ9yQm1vTz5cLk7w"),
            lambda: client.erase_walkers("Xr3nB0oJ9yQm1vTz5cLk7w"),
            lambda: client.cancel(job),
            lambda: client.system(),
        ):
            with pytest.raises(Forbidden):
                change()
    with Client(service.url, key=other) as client:
        assert client.jobs().jobs == []
        with pytest.raises(NotFound):
            client.job(job)
    with Client(service.url, key=both) as client:
        assert client.job(job).id == job
        with pytest.raises(NotFound):
            client.cancel(job)
    with Client(service.url, key=admin) as client:
        assert [one.subject for one in client.subjects(collection="door").subjects] == ["ann"]


def test_a_key_for_metrics_is_of_the_whole_service(command: Run, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'gallery.db'}"
    told = command("keys", "create", "--scope", "metrics", "--collection", "door", "--store", store)
    assert told.code == 2 and "whole service" in told.err
    assert command("keys", "create", "--scope", "metrics", "--store", store).out.startswith("gk_")
    told = command("keys", "create", "--scope", "reader", "--store", store)
    assert told.code == 2 and "viewer" in told.err and "metrics" in told.err
