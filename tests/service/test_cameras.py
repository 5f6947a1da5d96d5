"""Cameras, through a real server."""

from __future__ import annotations

import httpx
import pytest
from serving import Clips, Start
from typer.testing import CliRunner

from gallery import Gallery
from gallery.errors import BadCamera, NotFound
from service.cli import app


def test_a_camera_is_named_learnt_listed_and_forgotten(start: Start, clip: Clips) -> None:
    service = start()
    client = service.client
    template = client.enroll(clip("ann-1"), "ann", camera="door").template
    assert (template.camera, template.heading) == ("door", "left")
    (person,) = client.identify(clip("ann-2"), camera="door").people
    assert person.seen.model_dump() == {"camera": "door", "heading": "left", "walks": 0, "applied": False}
    assert client.cameras().views == []
    with Gallery.open(f"sqlite:///{service.store}") as gallery:  # another process that serves the same store
        gallery.passers_by.keep(3600)
    for _ in range(2):  # sent again: still one walk
        client.identify(clip("ann-2"), camera="door")
    client.enroll(clip("bob-1"), "bob", camera="door")
    assert [(v.camera, v.heading, v.walks) for v in client.cameras().views] == [("door", "left", 2)]
    assert client.verify(clip("ann-1"), "ann", camera="door").person.seen.walks == 2
    assert client.identify(clip("ann-2")).people[0].seen is None
    listed = CliRunner().invoke(app, ["collections", "cameras", "default", "--server", service.url])
    assert listed.exit_code == 0 and listed.output.count("door") == 1
    assert client.forget_camera("default", "door").views == []
    with pytest.raises(NotFound, match="door"):
        client.forget_camera("default", "door")


def test_a_camera_that_cannot_be_stored_is_refused_before_the_clip_is_looked_at(start: Start, clip: Clips) -> None:
    service = start()
    with pytest.raises(BadCamera):
        service.client.enroll(clip("ann-1"), "ann", camera="../door")
    later = httpx.post(
        f"{service.url}/identify",
        data={"camera": "a b"},
        files={"clip": b"no clip at all"},
        headers={"Prefer": "respond-async"},
    )
    assert (later.status_code, later.json()["code"]) == (422, "bad_camera")
    assert httpx.delete(f"{service.url}/collections/default/cameras/a%20b").json()["code"] == "bad_camera"
