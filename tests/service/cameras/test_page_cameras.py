"""The page's view of cameras that the service runs, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from chromium import chromium, watched, write_y4m
from real_cameras import Server, until
from serving import Clips, running

from gaitkeeper.service.settings import Settings


@pytest.mark.usefixtures("calibrated")
def test_cameras_are_added_shown_switched_and_removed(clip: Clips, rtsp: Callable[..., Server], tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe here").Axe()
    hall, desk = rtsp(clip("ann-long")), "/dev/video99"
    settings = Settings(store=f"sqlite:///{tmp_path}/gallery.db", network="gei", live_sources=[hall.url, desk])
    webcam = write_y4m(clip("ann-1"), tmp_path / "webcam.y4m")
    with (
        chromium(webcam) as browser,
        running(settings, tmp_path) as service,
        watched(browser, service.url, "/#/cameras") as seen,
    ):
        client, page = service.client, seen.page
        client.enroll(clip("ann-1"), "ann")
        page.get_by_text("The service watches no camera yet.").wait_for()
        page.get_by_text("Add a camera").click()
        page.get_by_label("Name").fill("desk")
        page.get_by_label("Source").fill("rtsp://viewer:hunter2@door.example/main")
        page.get_by_role("button", name="Add", exact=True).click()
        page.get_by_text("password_in_source").wait_for()
        page.get_by_label("Source").fill("99")
        page.get_by_role("button", name="Add", exact=True).click()
        page.get_by_text("reconnecting").wait_for()
        assert client.camera("desk").source == desk
        client.add_camera("hall", hall.url)
        until(lambda: client.camera("hall").verdicts)
        page.reload()
        page.get_by_role("img", name="What hall sees").wait_for()
        page.locator(".cameras").get_by_role("link", name="ann").first.wait_for()
        rules = axe.run(page, options={"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "best-practice"]}})
        assert rules.response["violations"] == []
        switch = page.get_by_role("switch", name="Watch hall")
        assert switch.get_attribute("aria-checked") == "true"
        switch.click()
        page.locator("[role=switch][aria-checked=false]").wait_for()
        assert not client.camera("hall").on
        switch.click()
        page.locator("[role=switch][aria-checked=false]").wait_for(state="detached")
        assert client.camera("hall").on
        page.get_by_role("button", name="Remove desk").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        page.get_by_role("switch", name="Watch desk").wait_for(state="detached")
        assert [camera.name for camera in client.list_cameras().cameras] == ["hall"]
        assert "hunter2" not in page.content()
