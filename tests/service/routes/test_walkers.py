"""One look, many names: the walkers of a clip are enrolled, identified and verified without looking again."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path

import httpx
import pytest
from looks import Looks, counted_looks
from serving import Clips, Run, Service, Start

from gaitkeeper.gallery.errors import LooksLikeOtherSubject, NotFound, PoorQuality
from gaitkeeper.pipelines.errors import MultiplePeople, NotUpright, TrackNotFound
from gaitkeeper.service.errors import InvalidRequest, UnknownHandle
from gaitkeeper.service.operations.demo import CLIPS

PATIENCE = 60.0


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return counted_looks(monkeypatch)


def test_18_four_people_of_a_real_clip_are_enrolled_by_one_look(
    service: Service, shared_data: Path, looks: Looks
) -> None:
    client = service.client
    look = client.walkers(shared_data / "videos" / "quartet-gallery.mp4")
    assert len(look.walkers) == 4 and [one.unfit for one in look.walkers] == [None] * 4
    names = dict(zip((one.track for one in look.walkers), ("ann", "bob", "cid", "dora"), strict=True))
    reply = client.enroll(handle=look.handle, subjects=names)
    made = [one.template for one in (reply, *reply.others)]
    assert {one.track: one.subject for one in made} == names and not any(one.duplicate for one in made)
    assert [one.subject for one in client.subjects().subjects] == ["ann", "bob", "cid", "dora"]
    people = client.identify(handle=look.handle, top_k=1).people
    assert {one.track: one.candidates[0].subject for one in people} == names
    assert looks() == 1


def test_a_clip_that_ships_is_looked_at_once_for_everything(service: Service, looks: Looks) -> None:
    client, clip = service.client, CLIPS / "person-1-gallery.mp4"
    look = client.walkers(clip, camera="door", pictures=True, boxes=True)
    (walker,) = look.walkers
    assert walker.quality.frames > 30 and walker.unfit is None and walker.same_as is None
    assert walker.trail is not None and len(walker.trail.times) == walker.quality.frames
    assert walker.thumbnail is not None and base64.b64decode(walker.thumbnail)[:2] == b"\xff\xd8"
    assert walker.strips is not None and look.timings["perception"] > 0
    assert client.show_walkers(str(look.handle)) == look

    done = client.enroll(subject="alice", handle=look.handle)
    assert (done.template.subject, done.template.camera, done.clip) == ("alice", "door", look.clip)
    assert set(done.timings) == {"enroll", "total"} and not done.template.duplicate
    assert client.enroll(clip, "alice").template == done.template.model_copy(update={"duplicate": True})
    person = client.identify(handle=look.handle, pictures=True, boxes=True, explain=True).people[0]
    assert person.candidates[0].subject == "alice" and person.candidates[0].distance == pytest.approx(0, abs=1e-3)
    assert person.trail == walker.trail and person.pictures and person.pictures.thumbnail == walker.thumbnail
    found = client.verify(None, "alice", handle=look.handle, track=walker.track).person
    assert found.distance == pytest.approx(0, abs=1e-3)
    assert looks() == 2, "once for the look, once for the clip that was sent again"

    once = client.enroll(subject="bea", handle=look.handle, collection="hall", idempotency_key="once")
    assert client.erase_walkers(str(look.handle)).walkers == 1
    assert client.enroll(subject="bea", handle=look.handle, collection="hall", idempotency_key="once") == once
    for ask in (
        lambda: client.show_walkers(str(look.handle)),
        lambda: client.erase_walkers(str(look.handle)),
        lambda: client.enroll(subject="bob", handle=look.handle),
        lambda: client.identify(handle=look.handle),
        lambda: client.verify(None, "alice", handle=look.handle),
    ):
        with pytest.raises(UnknownHandle, match="look at the clip again"):
            ask()


def test_identify_keeps_the_walkers_if_asked(service: Service, clip: Clips, looks: Looks) -> None:
    client = service.client
    assert client.identify(clip("two")).handle is None
    reply = client.identify(clip("two"), track=2, keep=True)
    assert [one.track for one in reply.people] == [2] and reply.handle is not None and reply.expires is not None
    again = client.identify(handle=reply.handle)
    assert [one.track for one in again.people] == [1, 2], "all walkers are kept, not only the chosen one"
    assert (again.handle, again.expires) == (reply.handle, reply.expires)
    with pytest.raises(MultiplePeople) as caught:
        client.enroll(subject="ann", handle=reply.handle)
    assert [bool(one["thumbnail"]) for one in caught.value.extra["tracks"]] == [True, True]
    client.enroll(subject="ann", handle=reply.handle, track=2)
    left, right = (one.box for one in client.show_walkers(reply.handle).walkers)
    point = f"{(left[0] + left[2]) / 2:.0f},{(left[1] + left[3]) / 2:.0f}@0.8"
    found = client.identify(handle=reply.handle, point=point, top_k=1)
    assert 1 in [one.track for one in found.people] and left != right
    assert looks() == 2


def test_several_walkers_of_a_clip_are_enrolled_all_or_none(service: Service, clip: Clips, looks: Looks) -> None:
    url, client = f"{service.url}/enroll", service.client

    def send(subjects: object, **fields: object) -> httpx.Response:
        with clip("two").open("rb") as file:
            return httpx.post(url, data={"subjects": subjects, **fields}, files={"clip": file}, timeout=300)

    for wrong in ('{"1": "ann", "1": "bob"}', '{"0": "ann"}', '{"1": 2}', "[1]", "ann", "1", "{", '{"1": {"2": "x"}}'):
        refused = send(wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request"), wrong
        assert refused.json()["errors"][0]["field"] == "subjects"
    assert send('{"1": "ann"}', subject="bob").json()["code"] == "invalid_request"
    assert send('{"1": "ann"}', track="1").json()["code"] == "invalid_request"
    assert send('{"1": "a/b"}').json()["code"] == "bad_subject"
    assert looks() == 0, "nothing of this needs the clip"

    missing = send('{"1": "ann", "3": "bob"}').json()
    assert (missing["code"], missing["track"]) == ("track_not_found", 3) and "there is 1, 2" in missing["detail"]
    same = send('{"1": "ann", "2": "ann"}').json()
    assert same["code"] == "invalid_request" and "cannot both be 'ann'" in same["detail"]
    poor = send('{"1": "ann", "2": "bob"}', min_quality="1").json()
    assert (poor["code"], poor["track"]) == ("poor_quality", 1)
    assert [(one["track"], one["subject"], one["code"]) for one in poor["tracks"]] == [
        (1, "ann", "poor_quality"),
        (2, "bob", "poor_quality"),
    ]
    assert client.subjects().subjects == []

    first = send(["1=ann", "2=bob"], collection="hall")
    assert first.status_code == 201
    body = first.json()
    assert [(one["template"]["track"], one["template"]["subject"]) for one in (body, *body["others"])] == [
        (1, "ann"),
        (2, "bob"),
    ]
    assert body["timings"]["perception"] > 0 and set(body["others"][0]["timings"]) == {"enroll", "total"}
    again = send('{"2": "bob", "1": "ann"}', collection="hall")
    assert again.status_code == 200 and all(
        one["template"]["duplicate"] for one in (again.json(), *again.json()["others"])
    )
    other = send('{"1": "ann", "2": "eve"}', collection="hall").json()
    assert (other["code"], other["track"], other["undone"]) == ("clip_of_other_subject", 2, ["ann"])
    assert [(one.subject, one.templates) for one in client.subjects(collection="hall").subjects] == [
        ("ann", 1),
        ("bob", 1),
    ]


@pytest.mark.usefixtures("calibrated")
def test_what_was_enrolled_before_a_refusal_is_undone(start: Start, clip: Clips) -> None:
    client = start(network="gei").client  # by the test's calibration everybody resembles everybody
    look = client.walkers(clip("two"))
    client.enroll(clip("cid-1"), "bob")
    for subjects in ({1: "bob", 2: "ann"}, {1: "bob", 2: "bobby"}):
        with pytest.raises(LooksLikeOtherSubject) as caught:
            client.enroll(handle=look.handle, subjects=subjects, strict=True)
        assert caught.value.extra["track"] == 2 and caught.value.extra["undone"] == ["bob"]
        assert [(one.subject, one.templates) for one in client.subjects().subjects] == [("bob", 1)]
    reply = client.enroll(handle=look.handle, subjects={1: "ann", 2: "eve"})
    assert reply.warning is not None and reply.others[0].warning is not None


def test_a_person_who_comes_back_is_enrolled_twice_by_one_look(service: Service, clip: Clips, looks: Looks) -> None:
    client = service.client
    look = client.walkers(clip("returns"))
    first, second = (one.track for one in look.walkers)
    assert [one.same_as for one in look.walkers] == [None, first]
    reply = client.enroll(handle=look.handle, subjects={first: "ann", second: "ann"})
    assert [one.template.subject for one in (reply, *reply.others)] == ["ann", "ann"]
    assert client.subject("ann").subject.templates == 2 and looks() == 1


def test_a_look_makes_no_collection_and_needs_none(service: Service, clip: Clips) -> None:
    client = service.client
    look = client.walkers(clip("ann-1"), collection="not-there-yet")
    assert (look.collection, look.walkers[0].unfit) == ("not-there-yet", None)
    with pytest.raises(NotFound):
        client.collection("not-there-yet")
    assert client.enroll(subject="ann", handle=look.handle, collection="not-there-yet").template.subject == "ann"
    with pytest.raises(NotUpright):
        client.walkers(clip("ann-side"))
    assert client.walkers(clip("ann-side"), rotate=90).clip.rotated == 90


def test_a_clip_or_a_handle_and_nothing_in_two_ways(service: Service, clip: Clips, tmp_path: Path) -> None:
    client = service.client
    handle = client.walkers(clip("ann-1")).handle
    for ask in (
        lambda: client.enroll(clip("ann-1"), "ann", handle=handle),
        lambda: client.enroll(subject="ann"),
        lambda: client.enroll(handle=handle),
        lambda: client.enroll(subject="ann", handle=handle, rotate=90),
        lambda: client.identify(clip("ann-1"), handle=handle),
        lambda: client.identify(),
        lambda: client.identify(handle=handle, annotate=tmp_path / "film.mp4"),
        lambda: client.verify(None, "ann"),
        lambda: client.verify(clip("ann-1"), "ann", handle=handle),
    ):
        with pytest.raises(InvalidRequest):
            ask()
    with pytest.raises(TrackNotFound):
        client.enroll(subject="ann", handle=handle, track=7)
    with pytest.raises(PoorQuality):
        client.enroll(subject="ann", handle=handle, min_quality=1.0)
    assert httpx.post(f"{service.url}/walkers", timeout=60).json()["code"] == "invalid_request"
    assert httpx.post(f"{service.url}/walkers", json={}, timeout=60).json()["code"] == "not_multipart"


def test_a_handle_is_not_annotated_and_a_clip_is_for_all_that_is_kept(
    service: Service, clip: Clips, command: Run, tmp_path: Path, looks: Looks
) -> None:
    client, film = service.client, tmp_path / "film.mp4"
    reply = client.identify(clip("two"), track=2, keep=True, annotate=film)
    assert [one.track for one in reply.people] == [2] and reply.timings["annotate"] > 0
    assert b"ftyp" in film.read_bytes()[:16]
    assert [one.track for one in client.identify(handle=reply.handle).people] == [1, 2]
    film.unlink()
    refused = httpx.post(f"{service.url}/identify", data={"handle": reply.handle, "annotate": "true"}, timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert refused.json()["detail"] == (
        "`annotate` draws into the clip, and a handle keeps no clip: send the clip again."
    )
    assert [one["field"] for one in refused.json()["errors"]] == ["handle", "annotate"]
    for where in (("--server", service.url), ("--store", f"sqlite:///{tmp_path / 'own.db'}")):
        told = command("identify", "--handle", reply.handle, "--annotate", film, *where)
        assert told.code == 2 and "a handle keeps no clip" in told.err
    assert not film.exists() and looks() == 1


def test_several_are_enrolled_by_a_job(service: Service, clip: Clips) -> None:
    headers = {"Prefer": "respond-async", "Idempotency-Key": "both"}
    for _ in range(2):
        with clip("two").open("rb") as file:
            sent = httpx.post(
                f"{service.url}/enroll",
                data={"subjects": '{"1": "ann", "2": "bob"}'},
                files={"clip": file},
                headers=headers,
                timeout=60,
            )
        assert sent.status_code == 202
    end = time.monotonic() + 5 * PATIENCE
    while (job := service.client.job(sent.json()["id"])).ended is None and time.monotonic() < end:
        time.sleep(0.05)
    assert job.outcome is not None and [one.subject for one in job.outcome] == ["ann", "bob"]
    service.client.erase("bob")
    with pytest.raises(NotFound):
        service.client.job(job.id)


def test_erasing_a_subject_erases_the_handles_of_its_clips(service: Service, clip: Clips) -> None:
    client = service.client
    theirs, other = client.walkers(clip("two")).handle, client.walkers(clip("cid-1")).handle
    client.enroll(handle=theirs, subjects={1: "ann", 2: "bob"})
    client.enroll(subject="cid", handle=other)
    client.delete_template("bob", client.subject("bob").templates[0].id)
    assert client.show_walkers(str(theirs)), "a template that was a mistake can be made again"
    client.erase("ann")
    with pytest.raises(UnknownHandle):
        client.show_walkers(str(theirs))
    assert client.show_walkers(str(other))


def test_a_handle_expires_and_is_counted(start: Start, clip: Clips) -> None:
    service = start(keep_handles=1.0)
    handle = str(service.client.walkers(clip("ann-1")).handle)
    end = time.monotonic() + PATIENCE
    while "gaitkeeper_handles 0.0" not in httpx.get(f"{service.url}/metrics", timeout=60).text:
        assert time.monotonic() < end
        time.sleep(0.1)
    with pytest.raises(UnknownHandle):
        service.client.show_walkers(handle)
    assert start(handles=0).client.walkers(clip("ann-1")).handle is None


def test_18_the_command_looks_and_enrols_several(service: Service, command: Run, clip: Clips, looks: Looks) -> None:
    server = ("--server", service.url)
    shown = command("look", clip("two"), *server)
    assert shown.code == 0 and shown.out.count("Hz") == 2
    handle = shown.out.split("handle ")[1].split(",")[0]
    done = command("enroll", "--handle", handle, "--subjects", "1=ann,2=bob", *server)
    assert done.code == 0 and "ann enrolled in default: track 1" in done.out and "bob enrolled" in done.out
    found = json.loads(command("identify", "--handle", handle, "--track", 2, "--json", *server).out)
    assert [one["candidates"][0]["subject"] for one in found["people"]] == ["bob"]
    assert "ann: " in command("verify", "--handle", handle, "--track", 1, "--subject", "ann", *server).out
    assert command("forget", handle, *server).out.strip() == "2 walkers erased"
    refused = command("enroll", clip("two"), "--subjects", "1=eve,2=dan", "--min-quality", 1, *server)
    assert refused.code == 2 and re.search(r"^error: .*\[poor_quality\]", refused.err, re.MULTILINE)
    assert len(re.findall(r"^track [12], (?:eve|dan): .* \[poor_quality\]$", refused.err, re.MULTILINE)) == 2
    gone = command("identify", "--handle", handle, *server)
    assert gone.code == 2 and "[unknown_handle]" in gone.err
    assert looks() == 2, "the look, and the clip that was refused"
    kept = command("identify", clip("two"), "--keep", *server)
    assert "handle " in kept.out


def test_18_the_command_enrols_several_without_a_service(
    command: Run, tmp_path: Path, clip: Clips, looks: Looks
) -> None:
    store = ("--store", f"sqlite:///{tmp_path / 'own.db'}")
    done = command("enroll", clip("two"), "--subjects", "1=ann", "--subjects", "2=bob", *store)
    assert done.code == 0 and "bob enrolled in default: track 2" in done.out
    shown = command("look", clip("two"), *store)
    assert shown.code == 0 and "handle" not in shown.out, "this process ends, and what it keeps with it"
    assert looks() == 2
    for wrong in (("--subjects", "ann"), ()):
        refused = command("enroll", clip("two"), *wrong, *store)
        assert refused.code == 2 and "[invalid_request]" in refused.err
