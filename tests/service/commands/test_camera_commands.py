"""`gaitkeeper cameras` and `gaitkeeper watchlists`, through a real server."""

from __future__ import annotations

import json

import pytest
from serving import Clips, Run, Start


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal folds addresses


def test_cameras_are_added_listed_switched_and_removed(start: Start, command: Run) -> None:
    url = "rtsp://127.0.0.1:1/main"
    service = start(live_sources=[url])

    def run(*arguments: str, code: int = 0) -> str:
        done = command("cameras", *arguments, "--server", service.url)
        assert done.code == code, done.err
        return done.out or done.err

    assert "north is stopped" in run("add", "north", url, "--off", "--rotate", "180")
    assert service.client.camera("north").rotate == 180
    assert "password_in_source" in run("add", "south", url.replace("//", "//viewer:hunter2@"), code=2)
    assert "source_not_allowed" in run("add", "south", "/etc/passwd", code=2)
    assert "secret_missing" in run("add", "south", url, "--secret", "none", code=2)
    assert "north is" in run("on", "north")
    assert service.client.camera("north").on
    assert "north is stopped" in run("off", "north")
    listed = run("list")
    assert "north" in listed and url in listed and "stopped" in listed
    assert [one["name"] for one in json.loads(run("list", "--json"))["cameras"]] == ["north"]
    assert "north is removed" in run("remove", "north")
    assert "not_found" in run("remove", "north", code=2)


def test_watch_lists_are_added_changed_listed_and_removed(start: Start, command: Run, clip: Clips) -> None:
    service = start(network="gei")
    service.client.enroll(clip("ann-1"), "ann")

    def run(*arguments: str, code: int = 0) -> str:
        done = command("watchlists", *arguments, "--server", service.url)
        assert done.code == code, done.err
        return done.out or done.err

    assert "banned watches for ann." in run("add", "banned", "--subject", "ann")
    assert "banned watches for ann, unknown walkers." in run("set", "banned", "--unknown")
    assert "not_found" in run("set", "banned", "--subject", "bob", code=2)
    assert "banned" in run("list") and "ann" in run("list")
    assert "banned is removed" in run("remove", "banned")


def test_a_service_is_needed(command: Run) -> None:
    done = command("cameras", "list")
    assert done.code == 2 and "--server" in done.err
