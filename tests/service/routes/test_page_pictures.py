"""The pictures of docs/page.md, drawn on request: everybody in them is rendered."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium, watched, write_y4m
from looking import DRAWN
from serving import Start

from gaitkeeper.service.operations.demo import CLIPS

PICTURES = "GAITKEEPER_PICTURES"


@pytest.mark.skipif(PICTURES not in os.environ, reason=f"draws the pictures of docs/: {PICTURES}=docs/images")
def test_pictures_for_the_documentation(start: Start, tmp_path: Path) -> None:
    folder = Path(os.environ[PICTURES])
    people = {f"person-{i}": name for i, name in enumerate(("Ann", "Ben", "Cleo", "Dan", "Eve"), 1)}
    service = start()
    for who in people:
        service.client.enroll(CLIPS / f"{who}-gallery.mp4", who)
        service.client.update_subject(who, display_name=f"{people[who]} Example")
    probe = CLIPS / "person-1-probe.mp4"
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 780}, "device_scale_factor": 2}
    with chromium(write_y4m(probe, tmp_path / "camera.y4m")) as browser:
        for name, context in (("identify", {}), ("phone", phone)):
            with watched(browser, service.url, "/#/identify", reduced_motion="reduce", **context) as seen:
                page = seen.page
                page.locator("#clip").set_input_files(probe)
                page.get_by_role("button", name="Identify", exact=True).click()
                page.locator(".person").wait_for()
                page.locator(".player").evaluate(DRAWN, 1.2)
                page.locator("video").evaluate("v => { v.controls = false; }")
                page.locator("details.explain").nth(1).evaluate("d => { d.open = true; }")
                page.locator("details.explain .dot").nth(20).wait_for()
                if name == "phone":
                    page.locator(".result h2").evaluate("h => h.scrollIntoView()")
                    page.screenshot(path=folder / "page-phone.png")
                else:
                    page.locator("main").screenshot(path=folder / "page-identify.png")
        with watched(browser, service.url, "/#/people", color_scheme="dark") as seen:
            seen.page.get_by_text("5 people.").wait_for()
            seen.page.screenshot(path=folder / "page-people-dark.png")
        with watched(browser, service.url, "/#/people/person-1/person-3", reduced_motion="reduce") as seen:
            seen.page.get_by_role("heading", name="Ann Example and Cleo Example").wait_for()
            seen.page.locator(".near").first.wait_for()
            seen.page.locator("main").screenshot(path=folder / "page-compare.png")


@pytest.mark.skipif(PICTURES not in os.environ, reason=f"draws the pictures of docs/: {PICTURES}=docs/images")
def test_a_picture_of_sightings(start: Start, tmp_path: Path) -> None:
    folder = Path(os.environ[PICTURES])
    service = start()
    service.client.update_collection(sightings_seconds=86400)
    for i, name in enumerate(("Ann", "Ben", "Cleo"), 1):
        service.client.enroll(CLIPS / f"person-{i}-gallery.mp4", f"person-{i}")
        service.client.update_subject(f"person-{i}", display_name=f"{name} Example")
    for i, camera in ((1, "north-door"), (4, "lobby"), (2, "lobby"), (3, "north-door")):
        service.client.identify(CLIPS / f"person-{i}-probe.mp4", camera=camera)
    with (
        chromium(write_y4m(CLIPS / "person-1-probe.mp4", tmp_path / "camera.y4m")) as browser,
        watched(browser, service.url, "/#/sightings") as seen,
    ):
        seen.page.locator(".sighting img").nth(3).wait_for()
        seen.page.wait_for_timeout(2000)
        seen.page.screenshot(path=folder / "page-sightings.png", full_page=True)
