"""Cameras, through a real server."""

from __future__ import annotations

import httpx
import pytest
import torch
from serving import Clips, Start
from typer.testing import CliRunner

from gallery import Gallery
from gallery.errors import BadCamera, NotFound
from gallery.views import POOL, View, Views
from service.cli import app


def test_a_camera_is_named_learnt_listed_and_forgotten(start: Start, clip: Clips) -> None:
    service = start()
    client = service.client
    template = client.enroll(clip("ann-1"), "ann", camera="door").template
    assert (template.camera, template.heading) == ("door", "left")
    (person,) = client.identify(clip("ann-2"), camera="door").people
    assert person.seen.model_dump() == {"camera": "door", "heading": "left", "walks": 0, "applied": False}
    for _ in range(2):  # sent again: still one walk, and too few to keep anything of
        client.identify(clip("ann-2"), camera="door")
    assert client.cameras().views == []
    assert client.verify(clip("ann-2"), "ann", camera="door").person.seen.heading == "left"
    assert client.identify(clip("ann-2")).people[0].seen is None

    with Gallery.open(f"sqlite:///{service.store}") as gallery:  # another process that serves the same store
        for heading in ("right", "left"):
            walks = {str(i): torch.randn(template.shape, generator=torch.manual_seed(i)) for i in range(POOL)}
            Views(gallery.store, "default").learn(template.fingerprint, View("door", heading), walks)
    assert [(v.camera, v.heading, v.walks) for v in client.cameras().views] == [
        ("door", "left", POOL),
        ("door", "right", POOL),
    ]
    listed = CliRunner().invoke(app, ["collections", "cameras", "default", "--server", service.url])
    assert listed.exit_code == 0 and listed.output.count("door") == 2
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
        timeout=60,
    )
    assert (later.status_code, later.json()["code"]) == (422, "bad_camera")
    assert httpx.delete(f"{service.url}/collections/default/cameras/a%20b", timeout=60).json()["code"] == "bad_camera"
