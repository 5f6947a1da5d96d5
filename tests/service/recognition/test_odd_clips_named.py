"""Clips as phones, recorders and browsers make them, sent to a service: each is answered as the plain one is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from serving import Service, running

from gaitkeeper.service.schemas import IdentifyReply
from gaitkeeper.service.settings import Settings

PATIENCE = 600.0
FRAMES = {
    "plain.mp4": 90,
    "mirrored.mp4": 90,
    "flipped.mp4": 90,
    "trimmed.mp4": 78,
    "null_frames.avi": 81,
    "anamorphic.mp4": 90,
    "joined.webm": 195,
    "second_stream.mkv": 90,
    "first_is_a_still.mov": 90,
}
"""Frames that each shows."""
STREAM = {"second_stream.mkv": 1, "first_is_a_still.mov": 1}
APART = 0.15
"""How far a wrapping may move the distance to the right person; the next person is farther away by more."""


@pytest.fixture(scope="module")
def odd(shared_data: Path) -> Path:
    folder = shared_data / "odd-clips"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, odd: Path) -> Iterator[Service]:
    """A service that knows both people of the clips."""
    store = tmp_path_factory.mktemp("odd") / "gallery.db"
    with running(Settings(store=f"sqlite:///{store}"), store) as made:
        for subject, name in (("one", "gallery.mp4"), ("two", "gallery2.mp4")):
            assert sent(made, "enroll", odd / name, subject=subject).status_code == 201
        yield made


@pytest.fixture(scope="module")
def plain(service: Service, odd: Path) -> float:
    """How far the plain clip is from the person who walks in it."""
    reply = IdentifyReply.model_validate(sent(service, "identify", odd / "plain.mp4").json())
    return reply.people[0].candidates[0].distance


def sent(service: Service, route: str, clip: Path, **fields: str) -> httpx.Response:
    with clip.open("rb") as file:
        return httpx.post(f"{service.url}/{route}", data=fields, files={"clip": file}, timeout=PATIENCE)


@pytest.mark.parametrize("name", FRAMES)
def test_each_is_named_as_the_plain_one(service: Service, odd: Path, plain: float, name: str) -> None:
    reply = sent(service, "identify", odd / name)
    assert reply.status_code == 200, reply.text
    found = IdentifyReply.model_validate(reply.json())
    [person] = found.people
    first, second = person.candidates
    assert (person.verdict, first.subject) == ("match", "one")
    assert abs(first.distance - plain) <= APART < second.distance - first.distance
    assert (found.clip.frames, found.clip.stream) == (FRAMES[name], STREAM.get(name, 0))
    assert (found.clip.width, found.clip.height) == (848, 480)
    assert 0 <= person.start < person.end <= found.clip.duration + 1e-6


@pytest.mark.parametrize("name", [name for name in FRAMES if name != "plain.mp4"])
def test_each_is_enrolled(service: Service, odd: Path, name: str) -> None:
    reply = sent(service, "enroll", odd / name, subject="one", collection=f"by-{name}")
    assert reply.status_code == 201, reply.text
    assert reply.json()["clip"]["frames"] == FRAMES[name]


def test_an_upside_down_camera_enrols_nobody_until_it_is_righted(service: Service, odd: Path) -> None:
    clip = odd / "upside_down.mp4"
    refused = sent(service, "enroll", clip, subject="one", collection="hanging")
    assert (refused.status_code, refused.json()["code"], refused.json()["rotate"]) == (422, "not_upright", 180)
    asked = sent(service, "identify", clip)
    if asked.status_code == 200:
        assert {(one["verdict"], one["reason"]) for one in asked.json()["people"]} == {("inconclusive", "not_upright")}
    else:
        assert (asked.status_code, asked.json()["code"]) == (422, "not_upright")
    righted = sent(service, "identify", clip, rotate="180").json()["people"]
    assert [(one["verdict"], one["candidates"][0]["subject"]) for one in righted] == [("match", "one")]
    assert sent(service, "enroll", clip, subject="one", collection="hanging", rotate="180").status_code == 201


def test_a_cut_to_somebody_else_is_never_one_template(service: Service, odd: Path) -> None:
    refused = sent(service, "enroll", odd / "cut.mp4", subject="one", collection="cut")
    assert refused.status_code == 422 and refused.json()["code"] in ("multiple_people", "likeness_changed")
    people = sent(service, "identify", odd / "cut.mp4").json()["people"]
    if len(people) == 1:
        assert (people[0]["verdict"], people[0]["reason"]) == ("inconclusive", "likeness_changed")
    else:
        assert [one["same_as"] for one in people] == [None, None], "two people who do not return"
