"""A camera that is not mounted upright: `rotate` and the camera's setting turn its pictures, in each interface."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from serving import Clips, Service, running
from streaming import in_step, jpegs, waited_for
from typer.testing import CliRunner

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.cli import app
from gaitkeeper.service.live.events import Tracks
from gaitkeeper.service.settings import Settings

PATIENCE = 60.0
TURNS = {"side": 90, "over": 180}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, clip: Clips) -> Iterator[Service]:
    """A service that knows Ann by an upright walk, and has two cameras that hang otherwise."""
    store = tmp_path_factory.mktemp("rotate") / "gallery.db"
    with running(Settings(store=f"sqlite:///{store}", camera_rotate=TURNS), store) as made:
        made.client.enroll(clip("ann-2"), "ann")
        yield made


@pytest.mark.parametrize(("name", "camera"), [("ann-side", "side"), ("ann-over", "over")])
def test_rest_and_client_turn_a_clip_as_asked_or_as_the_camera_is_set(
    service: Service, clip: Clips, name: str, camera: str
) -> None:
    client, turn = service.client, TURNS[camera]
    upright = client.identify(clip("ann-1"), boxes=True)
    for given in ({"rotate": turn}, {"camera": camera}):
        reply = client.identify(clip(name), boxes=True, **given)  # type: ignore[arg-type]
        assert (reply.clip.width, reply.clip.height, reply.clip.rotated) == (480, 360, turn)
        [person], [expected] = reply.people, upright.people
        assert (person.verdict, person.candidates[0].subject) == ("match", "ann")
        assert person.trail is not None and expected.trail is not None
        for time_, box in zip(person.trail.times, person.trail.boxes, strict=True):
            if time_ in expected.trail.times:
                there = expected.trail.boxes[expected.trail.times.index(time_)]
                assert box == pytest.approx(there, abs=12), "boxes are of the turned picture"
    verified = client.verify(clip(name), "ann", rotate=turn)
    assert verified.person.verdict == "match" and verified.clip.rotated == turn
    enrolled = client.enroll(clip(name), "eve", collection=camera, rotate=turn)
    assert enrolled.template.quality.upright > 0.9
    client.keep_passers_by(600, collection=camera)
    assert client.learn(clip(name), "unset", collection=camera, rotate=turn).clip.rotated == turn


def test_a_request_that_says_0_has_the_last_word(service: Service, clip: Clips) -> None:
    """An upright clip in the name of a camera that is set to hang on its side."""
    reply = service.client.identify(clip("ann-1"), camera="side", rotate=0)
    assert reply.clip.rotated == 0 and reply.people[0].candidates[0].subject == "ann"
    with pytest.raises(GaitkeeperError) as refused:
        service.client.enroll(clip("ann-1"), "eve", collection="lying", camera="side")
    assert refused.value.code in ("not_upright", "no_person", "too_short", "poor_quality")
    with service.client.stream(camera="side", rotate=0) as live:
        first = jpegs(clip("ann-1"))[0][1]
        waited_for(live, first, "jpeg")


@pytest.mark.parametrize("route", ["enroll", "identify", "verify", "walkers", "learn"])
@pytest.mark.parametrize("value", ["45", "-90", "left", "360"])
def test_other_turns_are_refused(service: Service, route: str, value: str) -> None:
    fields = {"subject": "ann", "camera": "door", "rotate": value}
    if route in ("identify", "walkers", "learn"):
        del fields["subject"]
    reply = httpx.post(f"{service.url}/{route}", data=fields, files={"clip": b"none"}, timeout=PATIENCE)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
    assert reply.json()["errors"][0]["field"].endswith("rotate")


def test_a_job_is_turned(service: Service, clip: Clips) -> None:
    reply = httpx.post(
        f"{service.url}/identify",
        data={"rotate": "90"},
        files={"clip": clip("ann-side").read_bytes()},
        headers={"prefer": "respond-async"},
        timeout=PATIENCE,
    )
    assert reply.status_code == 202
    end = time.monotonic() + PATIENCE
    while (job := service.client.job(reply.json()["id"])).ended is None:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert job.result is not None and job.result.clip.rotated == 90
    assert job.result.people[0].candidates[0].subject == "ann"


@pytest.mark.parametrize("given", [{"rotate": 90}, {"camera": "side"}])
def test_a_stream_is_turned(service: Service, clip: Clips, given: dict[str, object]) -> None:
    pictures = jpegs(clip("ann-side"))[:10]
    with service.client.stream(**given) as live:  # type: ignore[arg-type]
        sent = waited_for(live, pictures[0][1], "jpeg")
        timed = [((sent + i) / 30, data) for i, (_, data) in enumerate(pictures)]
        events = [one for one in in_step(live, timed, "jpeg", sent) if isinstance(one, Tracks) and one.people]
    assert events and {(one.width, one.height) for one in events} == {(480, 360)}
    for one in events:
        x1, y1, x2, y2 = one.people[0].box
        assert y2 - y1 > x2 - x1, "the person stands"


@pytest.mark.parametrize("with_server", [True, False])
def test_the_command_line_turns(
    service: Service, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_server: bool
) -> None:
    monkeypatch.setenv("GAITKEEPER_CAMERA_ROTATE", json.dumps({} if with_server else TURNS))
    place = ["--server", service.url] if with_server else ["--store", f"sqlite:///{tmp_path / 'own.db'}"]

    def run(*arguments: object) -> list[dict[str, object]]:
        done = CliRunner().invoke(app, [*map(str, arguments), *place, "--json"])
        assert done.exit_code == 0, done.exception
        text = done.stdout if arguments[0] == "watch" else json.dumps(json.loads(done.stdout))
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    run("enroll", clip("ann-side"), "-s", "ann", "-c", "turned", "--rotate", 90)
    for choice in (("--rotate", 90), ("--camera", "side")):
        [found] = run("identify", clip("ann-2-side"), "-c", "turned", *choice)
        assert found["clip"]["rotated"] == 90 and found["people"][0]["candidates"][0]["subject"] == "ann"  # type: ignore[index]
        [claim] = run("verify", clip("ann-2-side"), "-s", "ann", "-c", "turned", *choice)
        assert claim["clip"]["rotated"] == 90  # type: ignore[index]
        events = [one for one in run("watch", clip("ann-side"), "-c", "turned", *choice) if one["event"] == "tracks"]
        assert {(one["width"], one["height"]) for one in events} == {(480, 360)}


def test_a_batch_turns(
    clip: Clips,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gaitkeeper_batch: Callable[..., tuple[int, dict[str, object]]],
) -> None:
    (folder := tmp_path / "clips" / "ann").mkdir(parents=True)
    shutil.copy(clip("ann-side"), folder)
    code, report = gaitkeeper_batch("enroll", tmp_path / "clips", "--rotate", 90)
    assert (code, report["done"]) == (0, 1)
    monkeypatch.setenv("GAITKEEPER_CAMERA_ROTATE", '{"side": 90}')
    code, report = gaitkeeper_batch("identify", folder, "--camera", "side")
    assert (code, report["done"]) == (0, 1)
    [line] = [
        one for one in map(json.loads, Path(str(report["results"])).read_text().splitlines()) if one.get("people")
    ]
    assert line["people"][0]["candidates"][0]["subject"] == "ann"
