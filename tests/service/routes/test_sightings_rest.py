"""Sightings over REST: what is recorded, found, searched, taken away and erased."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from serving import Clips, Run, Service, Start

from gaitkeeper.gallery.decision import calibration
from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.types import Verdict
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.background.expiry import purge
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State


@pytest.fixture
def calibrated(start: Start, clip: Clips, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A service whose threshold lies half-way between two walks of one person and of two; it knows bob."""
    first = start(network="gei").client
    for subject, name in (("ann", "ann-1"), ("bob", "bob-1")):
        first.enroll(clip(name), subject, collection="measured")
    near, far = first.identify(clip("ann-2"), collection="measured").people[0].candidates
    found = {
        "fingerprint": "gei:none:1:blazepose-full/1",
        "thresholds": [{"fpir": 0.01, "gallery_sizes": [1], "distances": [(near.distance + far.distance) / 2]}],
        "confidence": {"distances": [0.0, far.distance], "confidences": [1.0, 0.0]},
    }
    (tmp_path / "calibration.json").write_text(json.dumps({"calibrations": [found]}))
    monkeypatch.setattr(calibration, "SHIPPED", tmp_path)
    calibration.shipped_calibrations.cache_clear()
    service = start(network="gei")
    service.client.delete_collection("measured")
    service.client.enroll(clip("bob-1"), "bob")
    yield service
    calibration.shipped_calibrations.cache_clear()


def get(service: Service, path: str, **given: Any) -> httpx.Response:
    return httpx.get(service.url + path, timeout=60, **given)


def listed(service: Service, **wanted: Any) -> list[dict[str, Any]]:
    reply = get(service, "/sightings", params=wanted)
    assert reply.status_code == 200, reply.text
    sightings: list[dict[str, Any]] = reply.json()["sightings"]
    return sightings


def keep(service: Service, seconds: float | None, collection: str = "default") -> dict[str, Any]:
    reply = httpx.patch(f"{service.url}/collections/{collection}", json={"sightings_seconds": seconds}, timeout=60)
    assert reply.status_code == 200, reply.text
    changed: dict[str, Any] = reply.json()
    return changed


def identify(service: Service, clip: Any, **fields: str) -> dict[str, Any]:
    reply = httpx.post(f"{service.url}/identify", data=fields, files={"clip": clip.read_bytes()}, timeout=120)
    assert reply.status_code == 200, reply.text
    [person] = reply.json()["people"]
    found: dict[str, Any] = person
    return found


def test_18_who_was_seen_when_and_whether_she_was_here_before_she_was_enrolled(
    calibrated: Service, clip: Clips
) -> None:
    service = calibrated
    assert identify(service, clip("bob-1"))["sighting"] is None
    assert get(service, "/sightings").json() == {
        "collection": "default",
        "keep_seconds": None,
        "sightings": [],
        "next": None,
    }
    assert keep(service, 86400)["sightings_seconds"] == 86400
    began = datetime.now(UTC)
    bob = identify(service, clip("bob-1"), camera="door")
    ann = identify(service, clip("ann-1"), camera="hall")
    assert (bob["verdict"], ann["verdict"]) == ("match", "unknown")
    newest, oldest = listed(service)
    assert (newest["id"], oldest["id"]) == (ann["sighting"], bob["sighting"])
    assert (oldest["subject"], oldest["camera"], oldest["source"]) == ("bob", "door", "request")
    assert oldest["distance"] == pytest.approx(bob["candidates"][0]["distance"])
    assert (newest["subject"], newest["distance"], newest["searchable"]) == (None, None, True)
    assert abs(datetime.fromisoformat(oldest["time"]) - began) < timedelta(minutes=30)
    assert datetime.fromisoformat(oldest["expires"]) - datetime.fromisoformat(oldest["time"]) == timedelta(days=1)

    picture = get(service, f"/sightings/{ann['sighting']}/thumbnail")
    assert (picture.headers["content-type"], picture.headers["cache-control"]) == ("image/jpeg", "no-store")
    image = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None and min(image.shape[:2]) > 16
    assert get(service, f"/sightings/{ann['sighting']}").json() == newest

    # The same clip again is the same sighting, at its time.
    assert identify(service, clip("ann-1"), camera="hall")["sighting"] == ann["sighting"]
    assert listed(service) == [newest, oldest]

    # She is enrolled from another walk, and found in what was kept of her.
    enrolled = httpx.post(
        f"{service.url}/enroll", data={"subject": "ann"}, files={"clip": clip("ann-2").read_bytes()}, timeout=120
    )
    assert enrolled.status_code == 201
    place = "/collections/default/subjects/ann"
    found = get(service, f"{place}/earlier").json()
    assert (found["searched"], found["incomparable"], found["subject"]) == (1, 0, "ann")
    [earlier] = found["found"]
    assert earlier["sighting"] == newest and earlier["match"] is True
    assert earlier["distance"] <= earlier["threshold"]
    assert get(service, f"{place}/earlier", params={"before": began.isoformat()}).json()["searched"] == 0
    [other] = get(
        service, "/collections/default/subjects/bob/earlier", params={"before": "2100-01-01T00:00:00Z"}
    ).json()["found"]
    assert other["match"] is False

    # A picture of her, and when she was last seen.
    subject = get(service, place).json()["subject"]
    assert (subject["picture"], subject["last_seen"]) == (True, None)
    assert get(service, f"{place}/picture").content.startswith(b"\xff\xd8")
    identify(service, clip("ann-2"), camera="door")
    subject = get(service, place).json()["subject"]
    assert subject["last_seen"]["camera"] == "door"
    assert subject["last_seen"]["time"] == listed(service, subject="ann")[0]["time"]
    people = {one["subject"]: one for one in get(service, "/collections/default/subjects").json()["subjects"]}
    assert people["ann"] == subject
    assert people["bob"]["picture"] is False  # enrolled before the collection kept any
    assert get(service, "/collections/default/subjects/bob/picture").json()["code"] == "not_found"

    # Erased with her: what is named, and the unknown walker whom her templates resemble.
    erased = httpx.delete(service.url + place, timeout=60).json()
    assert erased["sightings"] == 2
    assert [one["subject"] for one in listed(service)] == ["bob"]
    assert get(service, f"/sightings/{ann['sighting']}").json()["code"] == "not_found"


def test_filters_tables_and_deletion(calibrated: Service, clip: Clips) -> None:
    service = calibrated
    keep(service, 3600)
    httpx.post(
        f"{service.url}/enroll", data={"subject": "=cmd()"}, files={"clip": clip("cid-1").read_bytes()}, timeout=120
    )
    for name, camera in (("bob-1", "door"), ("cid-1", "door"), ("ann-1", "hall"), ("dora-1", "door")):
        identify(service, clip(name), camera=camera)
    everything = listed(service)
    assert len(everything) == 4
    assert listed(service, subject="bob") == [everything[3]]
    assert listed(service, camera="hall") == [everything[1]]
    assert listed(service, verdict="unknown", camera="door") == [everything[0]]
    assert listed(service, since=everything[1]["time"]) == everything[:2]
    assert listed(service, until=everything[1]["time"]) == everything[2:]
    assert listed(service, camera="hall", subject="bob") == listed(service, subject="nobody") == []
    page = get(service, "/sightings", params={"limit": 3}).json()
    assert page["sightings"] == everything[:3]
    assert listed(service, limit=3, after=page["next"]) == everything[3:]
    assert get(service, "/sightings", params={"limit": 4}).json()["next"] is None

    table = get(service, "/sightings", params={"limit": 3}, headers={"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["id"] for row in rows] == [one["id"] for one in everything[:3]]
    assert rows[2]["subject"] == "'=cmd()"
    assert (rows[0]["subject"], rows[0]["distance"], rows[0]["time"]) == ("", "", everything[0]["time"])
    whole = get(service, "/sightings", headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in whole.text.splitlines()] == everything
    assert get(service, "/sightings", headers={"Accept": "text/csv, application/json"}).json()["next"] is None

    def delete(path: str, **params: str) -> dict[str, Any]:
        reply: dict[str, Any] = httpx.delete(service.url + path, params=params, timeout=60).json()
        return reply

    assert delete(f"/sightings/{everything[0]['id']}")["sightings"] == 1
    assert delete(f"/sightings/{everything[0]['id']}")["code"] == "not_found"
    assert delete("/sightings", camera="hall")["sightings"] == 1
    assert delete("/sightings")["sightings"] == 2
    assert listed(service) == []
    identify(service, clip("bob-1"))
    assert keep(service, None)["sightings_seconds"] is None
    keep(service, 3600)
    assert listed(service) == []


def test_hostile_input_is_refused(service: Service) -> None:
    keep(service, 3600)
    for params, code, field in (
        ({"after": "1"}, "invalid_request", "after"),
        ({"after": f"9999-99-99T00:00:00.000000Z_{'0' * 32}"}, "invalid_request", "after"),
        ({"since": "yesterday"}, "invalid_request", "since"),
        ({"since": "2025-01-01T00:00:00"}, "invalid_request", "since"),  # without a zone
        ({"until": "0"}, "invalid_request", "until"),
        ({"verdict": "maybe"}, "invalid_request", "verdict"),
        ({"limit": "0"}, "invalid_request", "limit"),
        ({"cameras": "door"}, "unknown_field", "cameras"),
        ({"camera": "a b"}, "bad_camera", None),
        ({"subject": "a/b"}, "bad_subject", None),
        ({"collection": "../x"}, "bad_collection", None),
        ({"collection": "default~strangers"}, "bad_collection", None),
        ({"collection": "cellar"}, "not_found", None),
    ):
        reply = get(service, "/sightings", params=params).json()
        assert reply["code"] == code, (params, reply)
        assert field is None or [error["field"] for error in reply["errors"]] == [field]
    for extreme in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert listed(service, since=extreme) == listed(service, until=extreme) == []
    for sighting in ("0" * 32, "..%2F..", "%00", "a" * 5000, "' OR 1=1"):
        assert get(service, f"/sightings/{sighting}").status_code in (400, 404, 422)
        assert get(service, f"/sightings/{sighting}/thumbnail").status_code in (400, 404, 422)
    place = f"{service.url}/collections/default"
    for change in ({"sightings_seconds": 0}, {"sightings_seconds": "60"}, {"sightings_seconds": 1e12}, {"name": "x"}):
        assert httpx.patch(place, json=change, timeout=60).status_code == 422
    assert httpx.patch(f"{service.url}/collections/cellar", json={}, timeout=60).json()["code"] == "not_found"


def test_settings_that_are_left_out_keep_their_value(service: Service) -> None:
    place = f"{service.url}/collections"
    made = httpx.post(place, json={"name": "door", "ttl_seconds": 60, "sightings_seconds": 90}, timeout=60).json()
    assert (made["ttl_seconds"], made["sightings_seconds"]) == (60, 90)

    def change(**fields: float | None) -> tuple[float | None, float | None]:
        reply = httpx.patch(f"{place}/door", json=fields, timeout=60).json()
        return reply["ttl_seconds"], reply["sightings_seconds"]

    assert change(ttl_seconds=None) == (None, 90)
    assert change() == (None, 90)
    assert change(sightings_seconds=None, ttl_seconds=5) == (5, None)


def test_keys_see_only_the_sightings_of_their_collections(start: Start, clip: Clips) -> None:
    service = start(network="gei")
    keys = Keys(State(Settings(store=f"sqlite:///{service.store}").state_path))
    _, admin = keys.create([Scope.ADMIN])
    _, door = keys.create([Scope.VIEWER], ["door"])
    _, sender = keys.create([Scope.IDENTIFY], ["door"])
    _, owner = keys.create([Scope.ADMIN], ["door"])

    def ask(method: str, path: str, key: str, **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.request(method, service.url + path, headers=headers, timeout=120, **given)

    for collection in ("door", "hall"):
        made = {"name": collection, "sightings_seconds": 600}
        assert ask("POST", "/collections", admin, json=made).status_code == 201
        for key in (sender, admin):
            files = {"clip": clip("ann-1").read_bytes()}
            done = ask("POST", "/identify", key, data={"collection": collection}, files=files)
            assert done.status_code == (403 if (key, collection) == (sender, "hall") else 200)
    of_hall = ask("GET", "/sightings?collection=hall", admin).json()["sightings"][0]["id"]
    own = ask("GET", "/sightings?collection=door", door).json()["sightings"]
    assert [one["verdict"] for one in own] == ["inconclusive"]
    for path in (
        "/sightings",
        "/sightings?collection=hall",
        f"/sightings/{of_hall}?collection=hall",
        f"/sightings/{of_hall}/thumbnail?collection=hall",
        "/collections/hall/subjects/ann/earlier",
        "/collections/hall/subjects/ann/picture",
    ):
        assert ask("GET", path, door).json()["code"] == "forbidden", path
        assert ask("GET", path, sender).json()["code"] == "forbidden", path
    assert ask("GET", f"/sightings/{own[0]['id']}/thumbnail?collection=door", door).status_code == 200
    for key in (door, sender):
        assert ask("DELETE", "/sightings?collection=door", key).json()["code"] == "forbidden"
        assert ask("PATCH", "/collections/door", key, json={}).json()["code"] == "forbidden"
    assert ask("DELETE", "/sightings?collection=hall", owner).json()["code"] == "forbidden"
    assert ask("DELETE", "/sightings?collection=door", owner).json()["sightings"] == 1
    assert httpx.get(f"{service.url}/sightings", timeout=60).status_code == 401


def test_a_job_records_what_it_says(start: Start, clip: Clips) -> None:
    service = start(network="gei")
    keep(service, 3600)
    with clip("ann-1").open("rb") as file:
        job = httpx.post(
            f"{service.url}/identify", files={"clip": file}, headers={"Prefer": "respond-async"}, timeout=120
        ).json()
    end = time.monotonic() + 120
    while (state := get(service, f"/jobs/{job['id']}").json())["ended"] is None and time.monotonic() < end:
        time.sleep(0.1)
    [one] = listed(service)
    assert (one["source"], one["verdict"], one["reason"]) == ("job", "inconclusive", "empty_gallery")
    assert state["result"]["people"][0]["sighting"] == one["id"]


def test_with_a_filter_unknown_walkers_are_not_recorded(calibrated: Service, clip: Clips) -> None:
    keep(calibrated, 3600)
    assert identify(calibrated, clip("ann-1"), where="site=north")["sighting"] is None
    assert listed(calibrated) == []


def test_a_handle_and_the_limit_on_their_number(start: Start, clip: Clips) -> None:
    service = start(network="gei", sightings=2)
    keep(service, 3600)
    for name in ("ann-1", "bob-1", "cid-1"):
        looked = httpx.post(
            f"{service.url}/walkers", files={"clip": clip(name).read_bytes()}, data={"camera": "door"}, timeout=120
        ).json()
        done = httpx.post(f"{service.url}/identify", data={"handle": looked["handle"]}, timeout=60)
        assert done.status_code == 200, done.text
    found = listed(service)
    assert len(found) == 2 and {one["camera"] for one in found} == {"door"}
    assert found[0]["clip_sha256"] == done.json()["clip"]["sha256"]


def test_what_is_too_old_goes_by_itself(tmp_path: Any, clip: Clips) -> None:
    with Engine(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}", network="gei")) as engine:
        engine.update_collection("default", sightings_seconds=1)
        assert engine.identify(clip("ann-1")).people[0].sighting
        end = time.monotonic() + 60
        while engine.sightings().sightings and time.monotonic() < end:
            time.sleep(0.1)
        purge(engine)
        assert engine.store.purge("default", datetime.now(UTC)).sightings == 0  # purged before
        engine.update_collection("default", sightings_seconds=86400)
        assert engine.sightings().sightings == []


@pytest.mark.parametrize("with_server", [True, False])
def test_the_client_and_the_command_line_do_the_same(
    calibrated: Service, clip: Clips, command: Run, tmp_path: Path, with_server: bool
) -> None:
    place = ("--server", calibrated.url) if with_server else ("--store", f"sqlite:///{calibrated.store}")

    def run(*args: object) -> str:
        done = command("sightings", *args, *place)
        assert done.code == 0, done.err
        return done.out

    client = calibrated.client
    assert "keeps no sightings" in run("list")
    assert "kept for 3600 s" in run("keep", 3600)
    seen = {name: client.identify(clip(name), camera="door").people[0].sighting for name in ("bob-1", "ann-1")}
    client.enroll(clip("ann-2"), "ann")

    shown = run("list")
    assert "bob" in shown and "unknown" in shown and seen["ann-1"] in shown
    page = json.loads(run("list", "--limit", 1, "--json"))
    assert [one["id"] for one in page["sightings"]] == [seen["ann-1"]]
    found = client.sightings()
    assert [one.id for one in found.sightings] == [seen["ann-1"], seen["bob-1"]]
    assert client.sightings(limit=1, after=page["next"]).sightings == found.sightings[1:]
    assert client.sightings(subject="bob", since=found.sightings[1].time, verdict=Verdict.MATCH).sightings == [
        client.sighting(seen["bob-1"])
    ]
    rows = list(csv.DictReader(io.StringIO(run("list", "--csv", "--verdict", "match", "--since", "2020-01-01"))))
    assert [(row["subject"], row["id"]) for row in rows] == [("bob", seen["bob-1"])]
    assert run("list", "--until", "2020-01-01", "--json").count('"id"') == 0

    assert "match" in run("earlier", "ann")
    assert client.earlier("ann").found[0].sighting.id == seen["ann-1"]
    assert client.earlier("ann", before=found.sightings[1].time).searched == 0
    assert "written" in run("picture", seen["ann-1"], tmp_path / "ann.jpg")
    assert (tmp_path / "ann.jpg").read_bytes() == client.sighting_thumbnail(seen["ann-1"])
    assert (tmp_path / "ann.jpg").stat().st_mode & 0o077 == 0
    assert client.subject_picture("ann").startswith(b"\xff\xd8")

    refused = command("sightings", "forget", seen["ann-1"], "--camera", "door", *place)
    assert refused.code == 2 and "not both" in refused.err
    assert "1 sighting(s) deleted" in run("forget", seen["ann-1"])
    assert client.forget_sightings(camera="hall").sightings == 0
    assert "1 sighting(s) deleted" in run("forget", "--camera", "door")
    with pytest.raises(NotFound):
        client.forget_sighting(seen["bob-1"])
    assert "No sightings are kept" in run("keep")
    assert client.collection("default").sightings_seconds is None
    assert client.create_collection("door", sightings_seconds=60).sightings_seconds == 60
    assert client.update_collection("door", ttl_seconds=5.0).ttl_seconds == 5
    with pytest.raises(NotFound):
        client.subject_picture("ann")
