"""Annotated clips and tables of jobs: who gets them, how long they are kept, and what they count towards."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from serving import Clips, Service, Start

from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.client import Client
from gaitkeeper.service.schemas import JobReply
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State


def ask(service: Service, clip: Path, key: str | None = None, **fields: Any) -> httpx.Response:
    with clip.open("rb") as file:
        return httpx.post(
            f"{service.url}/identify",
            data={"annotate": "true", **fields},
            files={"clip": ("walk.mp4", file)},
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=120,
        )


def get(service: Service, path: str, key: str | None = None, **headers: str) -> httpx.Response:
    return httpx.get(
        service.url + path, headers=headers | ({"Authorization": f"Bearer {key}"} if key else {}), timeout=60
    )


def ended(service: Service, job: str, key: str | None = None) -> JobReply:
    until = time.monotonic() + 120
    with Client(service.url, key=key) as client:
        while (reply := client.job(job)).ended is None and time.monotonic() < until:
            time.sleep(0.1)
    return reply


def files(service: Service) -> set[str]:
    return {file.suffix for file in service.store.with_name("gallery.service.clips").iterdir()}


def frames(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_job_keeps_the_annotated_clip_for_its_callers_alone(start: Start, clip: Clips) -> None:
    service = start(network="gei")
    service.client.enroll(clip("ann-1"), "ann")
    keys = Keys(State(Settings(store=f"sqlite:///{service.store}").state_path))
    (_, own), (_, other), (_, admin), (_, elsewhere) = (
        keys.create([Scope.IDENTIFY]),
        keys.create([Scope.IDENTIFY]),
        keys.create([Scope.ADMIN], ["default"]),
        keys.create([Scope.ADMIN], ["door"]),
    )
    asked = ask(service, clip("ann-2"), own)
    assert asked.status_code == 202
    place = asked.headers["location"]
    done = ended(service, asked.json()["id"], own)
    assert (done.state, done.annotated) == ("done", True)
    assert done.ended is not None and done.expires is not None and (done.expires - done.ended).total_seconds() == 3600
    for key in (own, admin):
        video = get(service, f"{place}/annotated.mp4", key)
        assert (video.status_code, video.headers["content-type"]) == (200, "video/mp4")
        assert video.headers["cache-control"] == "no-store" and "attachment" in video.headers["content-disposition"]
        assert frames(video.content) == 48
    part = get(service, f"{place}/annotated.mp4", own, Range="bytes=4-7")
    assert (part.status_code, part.content) == (206, b"ftyp")
    for key in (other, elsewhere):
        for end in ("", "/annotated.mp4", "/people.csv"):
            refused = get(service, place + end, key)
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert get(service, f"{place}/annotated.mp4").status_code == 401
    [row] = csv.DictReader(io.StringIO(get(service, f"{place}/people.csv", own).text, newline=""))
    assert row["candidate"] == "ann"
    assert files(service) == {".mp4"}

    with Client(service.url, key=admin) as client:
        client.erase("ann")
    assert files(service) == set(), "erased with her, at once"
    assert get(service, f"{place}/annotated.mp4", own).status_code == 404


def test_a_job_without_it_has_none_and_a_table_is_also_a_reply(start: Start, clip: Clips) -> None:
    service = start(network="gei")
    with clip("ann-1").open("rb") as file:
        sent = httpx.post(
            f"{service.url}/identify", files={"clip": file}, headers={"Prefer": "respond-async"}, timeout=120
        )
    done = ended(service, sent.json()["id"])
    assert (done.state, done.annotated) == ("done", False)
    assert get(service, f"/jobs/{done.id}/annotated.mp4").json()["code"] == "not_found"
    replies = {}
    for accept in ("text/csv", "text/csv;q=0.9, */*", "*/*", "application/json, text/csv"):
        with clip("ann-1").open("rb") as file:
            found = httpx.post(f"{service.url}/identify", files={"clip": file}, headers={"Accept": accept}, timeout=120)
        assert found.status_code == 200
        replies[accept] = found.headers["content-type"]
    assert list(replies.values()) == [*["text/csv; charset=utf-8"] * 2, *["application/json"] * 2]
    enrolled = service.client
    with clip("ann-1").open("rb") as file:
        sent = httpx.post(
            f"{service.url}/enroll",
            data={"subject": "ann"},
            files={"clip": file},
            headers={"Prefer": "respond-async"},
            timeout=120,
        )
    assert ended(service, sent.json()["id"]).state == "done"
    assert get(service, f"/jobs/{sent.json()['id']}/people.csv").json()["code"] == "not_found"
    assert enrolled.health().status == "ok"


def test_an_annotated_clip_expires_with_its_job_and_with_its_collection(start: Start, clip: Clips) -> None:
    service = start(network="gei", keep_jobs=600)
    service.client.create_collection("door")
    done = ended(service, ask(service, clip("ann-1"), collection="door").json()["id"])
    assert done.annotated and files(service) == {".mp4"}
    service.client.delete_collection("door")
    assert files(service) == set()

    done = ended(service, ask(service, clip("ann-1")).json()["id"])
    assert done.annotated and done.ended is not None
    state = State(Settings(store=f"sqlite:///{service.store}").state_path)
    state.expire_jobs(done.ended.timestamp() - 1)
    assert files(service) == {".mp4"}
    state.expire_jobs(done.ended.timestamp() + 1)
    assert files(service) == set()
    assert get(service, f"/jobs/{done.id}/annotated.mp4").status_code == 404


def test_annotated_clips_count_towards_a_limit(start: Start, clip: Clips) -> None:
    service = start(network="gei", annotated_bytes=1000)
    failed = ended(service, ask(service, clip("ann-1")).json()["id"])
    assert failed.problem is not None and (failed.state, failed.problem["code"]) == ("failed", "too_large")
    assert files(service) == set(), "nothing of it is left"


def test_a_full_store_of_annotated_clips_is_overloaded(start: Start, clip: Clips) -> None:
    size = clip("ann-1").stat().st_size
    service = start(network="gei", annotated_bytes=3 * size)
    taken = 0
    until = time.monotonic() + 240
    while (asked := ask(service, clip("ann-1"))).status_code == 202 and time.monotonic() < until:
        taken += ended(service, asked.json()["id"]).annotated
    assert (asked.status_code, asked.json()["code"]) == (503, "overloaded") and taken
    assert "retry-after" in asked.headers
    with clip("ann-1").open("rb") as file:
        plain = httpx.post(f"{service.url}/identify", files={"clip": file}, timeout=120)
    assert plain.status_code == 200, "clips without one are still taken"


def test_files_without_a_job_are_tidied_away(start: Start, clip: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gaitkeeper.service.background.jobs.PAUSE", 0.1)
    service = start(network="gei")
    folder = service.store.with_name("gallery.service.clips")
    for name in ("gone.mp4", "gone.mp4.part"):
        (folder / name).write_bytes(b"picture")
    until = time.monotonic() + 60
    while files(service) and time.monotonic() < until:
        time.sleep(0.05)
    assert files(service) == set()
