"""The pictures of docs/page.md, drawn on request: everybody in them is rendered."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium, watched, write_y4m
from looking import DRAWN
from serving import Start

from gaitkeeper.training.walkers import clips
from gaitkeeper.training.walkers.person import another_walk, draw_people

PICTURES = "GAITKEEPER_PICTURES"


@pytest.mark.skipif(PICTURES not in os.environ, reason=f"draws the pictures of docs/: {PICTURES}=docs/images")
def test_pictures_for_the_documentation(start: Start, tmp_path: Path) -> None:
    folder = Path(os.environ[PICTURES])
    people = dict(zip(("ann", "ben", "cleo", "dan", "eve", "finn"), draw_people(6, seed=0), strict=True))

    def walk(who: str, number: int) -> Path:
        made = clips.crossing(another_walk(people[who], number), azimuth=86 + 2 * number, seconds=2.4, size=(640, 480))
        return clips.write_clip(tmp_path / f"{who}-{number}.mp4", made)

    service = start()
    for who in people:
        service.client.enroll(walk(who, 1), who)
        service.client.update_subject(who, display_name=f"{who.title()} Example")
    probe = walk("ann", 2)
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
            seen.page.get_by_text("6 people.").wait_for()
            seen.page.screenshot(path=folder / "page-people-dark.png")
