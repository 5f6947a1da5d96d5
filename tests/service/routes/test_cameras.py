"""Cameras, through a real server."""

from __future__ import annotations

import httpx
import pytest
from serving import Clips, Run, Start
from typer.testing import CliRunner

from gaitkeeper.gallery.errors import BadCamera, Conflict, NotFound
from gaitkeeper.service.cli import app


def test_a_camera_is_named_learnt_listed_and_forgotten(start: Start, clip: Clips) -> None:
    service = start()
    client = service.client
    template = client.enroll(clip("ann-1"), "ann", camera="door").template
    assert (template.camera, template.heading) == ("door", "left")
    (person,) = client.identify(clip("ann-2"), camera="door").people
    assert person.seen.model_dump() == {"camera": "door", "heading": "left", "walks": 0, "applied": False}
    assert client.cameras().model_dump() == {"collection": "default", "keep_seconds": None, "views": []}
    assert client.keep_passers_by(3600).keep_seconds == 3600
    for _ in range(2):  # sent again: still one walk
        client.identify(clip("ann-2"), camera="door")
    client.enroll(clip("bob-1"), "bob", camera="door")
    assert [(v.camera, v.heading, v.walks) for v in client.cameras().views] == [("door", "left", 2)]
    assert client.verify(clip("ann-1"), "ann", camera="door").person.seen.walks == 2
    assert client.identify(clip("ann-2")).people[0].seen is None
    listed = CliRunner().invoke(app, ["cameras", "learnt", "--server", service.url])
    assert listed.exit_code == 0 and listed.output.count("door") == 1
    assert client.forget_camera("default", "door").views == []
    with pytest.raises(NotFound, match="door"):
        client.forget_camera("default", "door")


def test_passers_by_are_learnt_from_clips_and_kept_as_long_as_asked_for(
    start: Start, clip: Clips, command: Run
) -> None:
    service = start(network="gei")
    client = service.client

    def run(*args: str) -> str:
        outcome = command("cameras", *args, "--server", service.url)
        assert not outcome.code, outcome.err
        return outcome.out

    with pytest.raises(Conflict, match="keeps no passers-by"):
        client.learn(clip("ann-1"), "door")
    assert "keeps no passers-by" in run("learnt")
    assert "kept for 600 s" in run("keep", "600")
    learnt = client.learn(clip("ann-1"), "door")
    assert (learnt.collection, learnt.camera, learnt.walkers, learnt.kept) == ("default", "door", 1, 1)
    assert {"learn", "total"} <= set(learnt.timings) and learnt.clip.sha256
    assert "0 of 1 walker(s) kept" in run("learn", str(clip("ann-1")), "--camera", "door")
    assert client.identify(clip("ann-1"), camera="door").people[0].candidates == (), "nobody is enrolled by it"
    assert client.subjects().subjects == [] and client.strangers().groups == []
    client.enroll(clip("ann-1"), "ann")
    assert client.erase("ann").passers_by == 1, "the very same walk"
    client.learn(clip("bob-1"), "door")
    assert "door is forgotten" in run("forget", "door")
    client.learn(clip("bob-1"), "door")
    assert "No passers-by are kept" in run("keep")
    assert client.cameras().views == []
    client.keep_passers_by(600)
    client.learn(clip("bob-1"), "door")
    client.delete_collection("default")
    assert client.cameras().keep_seconds is None
    for given in ({"keep_seconds": 0}, {"keep_seconds": "600"}, {}):
        reply = httpx.put(f"{service.url}/collections/default/cameras", json=given, timeout=60)
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")


def test_a_camera_that_cannot_be_stored_is_refused_before_the_clip_is_looked_at(start: Start, clip: Clips) -> None:
    service = start()
    with pytest.raises(BadCamera):
        service.client.enroll(clip("ann-1"), "ann", camera="../door")
    with pytest.raises(BadCamera):
        service.client.learn(clip("ann-1"), "../door")
    with pytest.raises(BadCamera):
        service.client.stream(camera="../door")
    later = httpx.post(
        f"{service.url}/identify",
        data={"camera": "a b"},
        files={"clip": b"no clip at all"},
        headers={"Prefer": "respond-async"},
        timeout=60,
    )
    assert (later.status_code, later.json()["code"]) == (422, "bad_camera")
    assert httpx.delete(f"{service.url}/collections/default/cameras/a%20b", timeout=60).json()["code"] == "bad_camera"
