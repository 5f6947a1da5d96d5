"""The REST service, driven through a real server with real clips."""

from __future__ import annotations

import base64
import io
import sqlite3
import tempfile
from pathlib import Path

import av
import httpx
import pytest
from serving import Clips, Service, Start

from gaitkeeper import models
from gaitkeeper.gallery.errors import BadStore, ClipOfOtherSubject, FingerprintMismatch, NotFound, StoreUnavailable
from gaitkeeper.pipelines.errors import MultiplePeople, TrackNotFound
from gaitkeeper.service.errors import NotReady


def test_a_walker_is_enrolled_named_listed_and_erased(service: Service, clip: Clips) -> None:
    client = service.client
    for subject, name in (("ann", "ann-1"), ("bob", "bob-1")):
        assert client.enroll(clip(name), subject).template.subject == subject

    reply = client.identify(clip("ann-2"))

    (person,) = reply.people
    assert [c.subject for c in person.candidates] == ["ann", "bob"]
    assert [c.rank for c in person.candidates] == [1, 2]
    assert person.candidates[0].distance < person.candidates[1].distance
    assert person.verdict in ("match", "unknown") and person.reason is None
    assert (person.verdict == "match") == (person.candidates[0].distance <= person.threshold.value)
    assert (person.threshold.source, person.threshold.extrapolated) == ("calibration", True)
    assert (person.threshold.fpir, person.threshold.gallery_size) == (0.01, 2)
    assert 0 <= person.candidates[1].confidence <= person.candidates[0].confidence <= 1
    assert str(person.fingerprint) == f"fusion:{models.load('fusion').weights_id}:1:blazepose-full/1"
    assert person.quality.frames > 40 and 0 <= person.start < person.end <= reply.clip.duration
    assert {"decode", "perception", "embed", "search", "total"} <= reply.timings.keys()
    assert (reply.clip.width, reply.clip.height, reply.clip.codec) == (480, 360, "h264")

    assert [s.subject for s in client.subjects().subjects] == ["ann", "bob"]
    assert [t.track for t in client.subject("ann").templates] == [1]
    assert client.erase("ann").templates == 1
    assert [s.subject for s in client.subjects().subjects] == ["bob"]
    assert [c.subject for c in client.identify(clip("ann-2")).people[0].candidates] == ["bob"]
    with pytest.raises(NotFound):
        client.erase("ann")


def test_an_enrolment_is_in_the_file_when_the_reply_comes(service: Service, clip: Clips) -> None:
    reply = httpx.post(
        f"{service.url}/enroll", data={"subject": "ann"}, files={"clip": clip("ann-1").open("rb")}, timeout=60
    )
    assert reply.status_code == 201
    with sqlite3.connect(service.store) as other:
        assert other.execute("SELECT id FROM templates").fetchall() == [(reply.json()["template"]["id"],)]


def test_the_same_walk_again_is_the_same_template(service: Service, clip: Clips) -> None:
    def enroll(subject: str) -> httpx.Response:
        files = {"clip": clip("ann-1").open("rb")}
        return httpx.post(f"{service.url}/enroll", data={"subject": subject}, files=files, timeout=60)

    first, second, other = enroll("ann"), enroll("ann"), enroll("eve")
    assert (first.status_code, second.status_code, other.status_code) == (201, 200, 409)
    assert second.json()["template"] == first.json()["template"] | {"duplicate": True}
    assert other.json()["code"] == "clip_of_other_subject"
    with pytest.raises(ClipOfOtherSubject):
        service.client.enroll(clip("ann-1"), "eve")


def test_of_two_walkers_one_must_be_chosen(service: Service, clip: Clips) -> None:
    with pytest.raises(MultiplePeople) as caught:
        service.client.enroll(clip("two"), "ann")
    tracks = caught.value.extra["tracks"]
    assert [t["track"] for t in tracks] == [1, 2]
    for track in tracks:
        with av.open(io.BytesIO(base64.b64decode(track["thumbnail"])), format="jpeg_pipe") as picture:
            assert next(picture.decode(video=0)).height == 160
        assert track["quality"]["frames"] > 30
    assert service.client.subjects().subjects == []

    assert service.client.enroll(clip("two"), "bob", track=2).template.track == 2
    with pytest.raises(TrackNotFound):
        service.client.enroll(clip("two"), "eve", track=3)
    reply = service.client.identify(clip("two"), top_k=1)
    assert [p.track for p in reply.people] == [1, 2]
    assert reply.people[1].candidates[0].distance == pytest.approx(0, abs=1e-3)


def test_collections_are_apart_and_made_by_enrolling(service: Service, clip: Clips) -> None:
    service.client.enroll(clip("ann-1"), "ann", collection="door")
    assert [s.subject for s in service.client.subjects(collection="door").subjects] == ["ann"]
    assert service.client.subjects().subjects == []
    assert service.client.identify(clip("ann-2")).people[0].reason == "empty_gallery"
    for ask in (
        service.client.subjects,
        lambda collection: service.client.identify(clip("ann-2"), collection=collection),
    ):
        with pytest.raises(NotFound):
            ask(collection="nowhere")


def test_a_collection_keeps_its_network_when_the_setting_changes(start: Start, clip: Clips) -> None:
    start(network="gei").client.enroll(clip("ann-1"), "ann")
    other = start(network="gaitset").client
    assert str(other.identify(clip("ann-2")).people[0].fingerprint).startswith("gei:")
    fresh = other.enroll(clip("ann-1"), "ann", collection="fresh").template
    assert (fresh.fingerprint.network, fresh.trained, fresh.shape[0]) == ("gaitset", False, 62)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "route_not_found"),
        ("PUT", "/livez", 405, "method_not_allowed"),
        ("POST", "/enroll", 422, "invalid_request"),
        ("GET", "/collections/default/subjects/eve", 404, "not_found"),
        ("DELETE", "/collections/default/subjects/eve", 404, "not_found"),
        ("GET", "/collections/nowhere/subjects", 404, "not_found"),
        ("GET", "/collections/a%20b/subjects", 422, "bad_collection"),
        ("GET", "/collections/default/subjects/%00", 422, "bad_subject"),
    ],
)
def test_refusals_are_problem_documents(service: Service, method: str, path: str, status: int, code: str) -> None:
    reply = httpx.request(method, service.url + path, timeout=60)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    document = reply.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"urn:gaitkeeper:problem:{code}"
    assert document["title"].endswith(".") and document["detail"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"subject": "a/b"}, "bad_subject"),
        ({"subject": "al\u202eice"}, "bad_subject"),
        ({"subject": "ali\u200bce"}, "bad_subject"),
        ({"subject": "ann", "collection": "-"}, "bad_collection"),
        ({"subject": "ann", "track": "0"}, "invalid_request"),
        ({}, "invalid_request"),
    ],
)
def test_bad_fields_are_refused_before_the_clip_is_looked_at(
    service: Service, fields: dict[str, str], code: str
) -> None:
    reply = httpx.post(f"{service.url}/enroll", data=fields, files={"clip": b"not a clip at all"}, timeout=60)
    assert (reply.status_code, reply.json()["code"]) == (422, code)


def test_what_was_sent_is_not_sent_back(service: Service) -> None:
    files = {"clip": b"SECRET"}
    reply = httpx.post(f"{service.url}/identify", data={"top_k": "SECRET"}, files=files, timeout=60)
    assert reply.json()["code"] == "invalid_request" and "SECRET" not in reply.text
    assert {e["field"] for e in reply.json()["errors"]} == {"top_k"}
    reply = httpx.post(f"{service.url}/identify", data={"clip": "SECRET"}, timeout=60)
    assert reply.json()["code"] == "not_multipart" and "SECRET" not in reply.text


def test_a_broken_multipart_body_is_a_bad_request(service: Service) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    reply = httpx.post(f"{service.url}/identify", content=b"--y\r\nnonsense", headers=headers, timeout=60)
    assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")


def test_it_lives_and_is_ready(service: Service) -> None:
    assert service.client.health().status == "ok"
    assert service.client.ready().checks.keys() == {"decoder", "perception", "network", "store", "index"}


def test_it_is_not_ready_without_its_weights(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAITKEEPER_CACHE", str(tmp_path / "empty"))
    service = start()
    assert service.client.health().status == "ok"
    with pytest.raises(NotReady, match="weights_missing") as caught:
        service.client.ready()
    assert str(tmp_path) not in str(caught.value)


def test_a_store_that_fails_is_told_of_without_its_path(service: Service) -> None:
    with sqlite3.connect(service.store) as other:
        other.execute("DROP TABLE templates")
    reply = httpx.get(f"{service.url}/collections/default/subjects", timeout=60)
    assert reply.status_code in {500, 503}
    assert reply.json()["code"] in {"bad_store", "store_unavailable"}
    assert "gallery.db" not in reply.text and "sqlite" not in reply.text.lower()
    with pytest.raises((BadStore, StoreUnavailable)):
        service.client.subjects()


def test_what_nobody_foresaw_is_told_without_a_path(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Uploads over a megabyte go to a temporary file, and there is no folder for it.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    reply = httpx.post(f"{service.url}/identify", files={"clip": bytes(2**21)}, timeout=60)
    assert (reply.status_code, reply.json()["code"]) == (500, "internal")
    assert "gone" not in reply.text and "Traceback" not in reply.text
    assert "gone" in caplog.text


def test_another_fingerprint_is_a_conflict(start: Start, clip: Clips) -> None:
    service = start(network="gei")
    service.client.enroll(clip("ann-1"), "ann")
    with sqlite3.connect(service.store) as other:
        other.execute("UPDATE generations SET fingerprint = 'gei:none:0:blazepose-full/1'")
    with pytest.raises(FingerprintMismatch, match="gei:none:0"):
        start().client.identify(clip("ann-2"))
