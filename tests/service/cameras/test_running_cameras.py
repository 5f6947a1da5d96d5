"""Cameras that the service runs, of a real RTSP server, of a file, and such as are refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from real_cameras import Server, until
from serving import Clips, Service, Start, running

from gaitkeeper.gallery.errors import BadCamera, Conflict, NotFound
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.cameras import cameras as managing
from gaitkeeper.service.client import Client
from gaitkeeper.service.errors import BadSource, Forbidden, PasswordInSource, SecretMissing, SourceNotAllowed
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State

Rtsp = Callable[..., Server]
PASSWORD = "w:o/r@d#é"


def state_of(service: Service, name: str) -> str:
    return service.client.camera(name).state


@pytest.mark.usefixtures("calibrated")
def test_two_cameras_name_their_walkers_and_one_that_is_killed_comes_back(
    start: Start, clip: Clips, rtsp: Rtsp, tmp_path: Path
) -> None:
    north, south = rtsp(clip("ann-long"), "viewer", PASSWORD), rtsp(clip("ann-long"))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "north").write_text(f"viewer:{PASSWORD}\n")
    service = start(network="gei", live_sources=[north.url, south.url], secrets=tmp_path / "secrets")
    client = service.client
    client.enroll(clip("ann-1"), "ann")
    client.update_collection(sightings_seconds=3600)
    added = client.add_camera("north", north.url, secret="north")
    assert (added.on, added.secret, added.source, added.learnt) == (
        *(True, "north", north.url),
        "/collections/default/cameras",
    )
    client.add_camera("south", south.url)
    with pytest.raises(Conflict, match="exists"):
        client.add_camera("south", south.url)
    for name in ("north", "south"):
        (first, *_) = until(lambda name=name: client.camera(name).verdicts)
        assert (first.verdict, first.subject) == ("match", "ann")
        seen = until(lambda name=name: client.sightings(camera=name).sightings)
        assert {(one.subject, one.source) for one in seen if one.verdict == "match"} == {("ann", "stream")}
        camera = client.camera(name)
        assert camera.frames > 20 and camera.since is not None
    shown = cv2.imdecode(np.frombuffer(until(lambda: _picture(client, "north")), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None and shown.shape[:2] == (360, 480)
    north.kill()
    until(lambda: state_of(service, "north") == "reconnecting")
    lost = client.camera("north")
    assert lost.code == "source_unavailable" and lost.detail
    before = lost.frames
    north.start()
    until(lambda: client.camera("north").frames > before)
    assert [camera.name for camera in client.list_cameras().cameras] == ["north", "south"]
    assert client.change_camera("south", on=False).state == "stopped"
    with pytest.raises(NotFound, match="picture"):
        client.camera_picture("south")
    client.erase("ann")
    assert all(verdict.subject is None for verdict in client.camera("north").verdicts)
    metrics = httpx.get(f"{service.url}/metrics", timeout=60).text
    assert 'gaitkeeper_cameras{state="stopped"} 1.0' in metrics
    assert client.remove_camera("north").name == "north"
    with pytest.raises(NotFound):
        client.camera("north")
    assert [camera.name for camera in client.list_cameras().cameras] == ["south"]


def _picture(client: Client, name: str) -> bytes:
    """What a camera shows, empty while it shows nothing."""
    try:
        return client.camera_picture(name)
    except NotFound:
        return b""


def test_a_wrong_password_is_told_of_and_no_password_is_ever_shown(
    start: Start,
    clip: Clips,
    rtsp: Rtsp,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    server = rtsp(clip("ann-1"), "viewer", "right")
    monkeypatch.setenv("GAITKEEPER_SECRET_NORTH_DOOR", "viewer:hunter2")
    service = start(live_sources=[server.url])
    service.client.add_camera("north", server.url, secret="north-door")
    until(lambda: state_of(service, "north") == "failed")
    failed = service.client.camera("north")
    assert failed.code == "source_refused" and "password" in (failed.detail or "")
    monkeypatch.setenv("GAITKEEPER_SECRET_NORTH_DOOR", "viewer:right")
    service.client.change_camera("north", on=True)
    until(lambda: service.client.camera("north").frames)
    server.kill()
    until(lambda: state_of(service, "north") == "reconnecting")
    told = [service.client.list_cameras().model_dump_json()]
    told += [httpx.get(f"{service.url}{path}", timeout=60).text for path in ("/metrics", "/system", "/openapi.json")]
    told += [caplog.text, *capfd.readouterr()]
    assert not any(word in text for text in told for word in ("hunter2", "viewer:right"))
    state = Settings(store=f"sqlite:///{service.store}").state_path
    assert not any(b"hunter2" in file.read_bytes() for file in state.parent.glob(f"{state.name}*"))


def test_cameras_run_again_after_a_restart_and_in_one_process_only(
    clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managing, "PAUSE", 0.1)
    door = clip("ann-1")
    settings = Settings(store=f"sqlite:///{tmp_path}/gallery.db", live_sources=[str(door), "/dev/video99"])
    with running(settings, tmp_path) as service:
        service.client.add_camera("door", str(door))
        service.client.add_camera("desk", "99", rotate=180, fpir=0.001, where={"site": "north"})
        until(lambda: state_of(service, "door") == "stopped")  # the file has ended
        seen = service.client.camera("door")
        assert seen.frames + seen.dropped == 48 and seen.on
        until(lambda: state_of(service, "desk") == "reconnecting")
    with running(settings, tmp_path) as first:
        until(lambda: first.client.camera("door").frames)
        desk = first.client.camera("desk")
        assert (desk.source, desk.rotate, desk.fpir, desk.where) == ("/dev/video99", 180, 0.001, {"site": "north"})
        with running(settings, tmp_path) as second:
            assert {state_of(second, name) for name in ("door", "desk")} == {"elsewhere"}
            assert second.client.change_camera("desk", on=False).state == "stopped"
            until(lambda: state_of(first, "desk") == "stopped")


def test_the_second_process_takes_over(clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managing, "PAUSE", 0.1)
    settings = Settings(store=f"sqlite:///{tmp_path}/gallery.db", live_sources=["/dev/video99"])
    with running(settings, tmp_path) as first:
        first.client.add_camera("desk", "99")
        second = running(settings, tmp_path)
        other = second.__enter__()
        assert state_of(other, "desk") == "elsewhere"
    until(lambda: state_of(other, "desk") == "reconnecting")
    second.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("rtsp://viewer:hunter2@127.0.0.1:1/main", PasswordInSource),
        ("rtsp://viewer@127.0.0.1:1/main", PasswordInSource),
        ("http://127.0.0.1:1/video?user=viewer&pwd=hunter2", PasswordInSource),
        ("http://127.0.0.1:1/video?token=hunter2", PasswordInSource),
        ("rtsp://127.0.0.1:1/other", SourceNotAllowed),
        ("rtsp://127.0.0.1:1/main#hunter2", BadSource),
        ("rtsp://127.0.0.1:2/main", SourceNotAllowed),
        ("http://127.0.0.1:1/main", SourceNotAllowed),
        ("/etc/passwd", SourceNotAllowed),
        ("0", SourceNotAllowed),
        ("/dev/video0", SourceNotAllowed),
        ("file:///etc/passwd", BadSource),
        ("concat:/etc/passwd", BadSource),
        ("onvif://127.0.0.1/", BadSource),
        ("rtsp://[::1/main", BadSource),
        ("rtsp://127.0.0.1:99999/main", BadSource),
        ("rtsp://127.0.0.1:1/main\r\nX: y", BadSource),
        ("../door.mp4", BadSource),
        ("", BadSource),
        ("\0", BadSource),
    ],
)
def test_a_source_that_is_not_allowed_is_refused_and_not_echoed(
    service_with_a_list: Service, source: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as told:
        service_with_a_list.client.add_camera("north", source)
    assert "hunter2" not in str(told.value)
    assert service_with_a_list.client.list_cameras().cameras == []


@pytest.mark.parametrize("name", ["../door", "a b", "", ".door", "-door", "x" * 65, "tür", "a/b", "a\n"])
def test_a_hostile_name_is_refused(service_with_a_list: Service, name: str) -> None:
    with pytest.raises(BadCamera):
        service_with_a_list.client.add_camera(name, "rtsp://127.0.0.1:1/main")


def test_other_fields_are_checked_too(service_with_a_list: Service) -> None:
    client, url = service_with_a_list.client, "rtsp://127.0.0.1:1/main"
    for secret in ("none", "../north", "STORE_KEY/.."):
        with pytest.raises(SecretMissing):
            client.add_camera("north", url, secret=secret)
    with pytest.raises(NotFound, match="nowhere"):
        client.add_camera("north", url, collection="nowhere")
    with pytest.raises(NotFound):
        client.change_camera("north", on=True)
    reply = httpx.post(f"{service_with_a_list.url}/cameras", json={"name": "n", "source": url, "x": 1}, timeout=60)
    assert reply.status_code == 422
    client.add_camera("north", url, on=False)
    assert client.camera("north").state == "stopped"
    with pytest.raises(SourceNotAllowed):
        client.change_camera("north", source="rtsp://127.0.0.1:1/other")
    for secret in ("north", None):
        changed = httpx.patch(
            f"{service_with_a_list.url}/cameras/north", json={"secret": secret, "rotate": None}, timeout=60
        )
        assert changed.status_code == (422 if secret else 200)
    client.remove_camera("north")


def test_at_most_so_many_are_on(start: Start) -> None:
    url = "rtsp://127.0.0.1:1/main"
    service = start(live_sources=[url], cameras=1)
    service.client.add_camera("north", url)
    with pytest.raises(Conflict, match="limit"):
        service.client.add_camera("south", url)
    service.client.add_camera("south", url, on=False)
    with pytest.raises(Conflict, match="limit"):
        service.client.change_camera("south", on=True)
    service.client.change_camera("north", on=False)
    assert service.client.change_camera("south", on=True).on


def test_a_key_sees_the_cameras_of_its_collections_and_only_an_administrator_changes_them(
    start: Start, tmp_path: Path
) -> None:
    url = "rtsp://127.0.0.1:1/main"
    service = start(live_sources=[url])
    service.client.create_collection("door")
    service.client.add_camera("north", url, collection="door", on=False)
    service.client.add_camera("south", url, on=False)
    keys = Keys(State(Settings(store=f"sqlite:///{service.store}").state_path))
    texts = {
        "door": keys.create([Scope.ADMIN], ["door"])[1],
        "viewer": keys.create([Scope.VIEWER])[1],
        "enrols": keys.create([Scope.ENROL, Scope.IDENTIFY])[1],
    }
    with Client(service.url, key=texts["door"]) as client:
        assert [camera.name for camera in client.list_cameras().cameras] == ["north"]
        with pytest.raises(NotFound):
            client.camera("south")
        with pytest.raises(NotFound):
            client.change_camera("south", on=True)
        with pytest.raises(Forbidden):
            client.change_camera("north", collection="default")
        with pytest.raises(Forbidden):
            client.add_camera("west", url)
    with Client(service.url, key=texts["viewer"]) as client:
        assert len(client.list_cameras().cameras) == 2
        with pytest.raises(Forbidden):
            client.change_camera("north", on=True)
    with Client(service.url, key=texts["enrols"]) as client, pytest.raises(Forbidden):
        client.list_cameras()


@pytest.fixture(scope="module")
def service_with_a_list(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("listed")
    settings = Settings(store=f"sqlite:///{folder}/gallery.db", live_sources=["rtsp://127.0.0.1:1/main"])
    with running(settings, folder) as service:
        yield service
