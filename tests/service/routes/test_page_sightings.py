"""Sightings on the page: turned on, shown on a timeline, filtered, taken away, searched for a person, deleted."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from chromium import TIMEOUT, Visit
from serving import Clips, Service

if TYPE_CHECKING:
    from playwright.sync_api import Page

LOADED = "images => images.length > 0 && images.every(i => i.complete && i.naturalWidth > 0)"


def until(page: Page, is_so: Callable[[], bool]) -> None:
    """Wait for something; the page's policy forbids the driver's own way, which evaluates text."""
    end = time.monotonic() + TIMEOUT / 1000
    while not is_so():
        assert time.monotonic() < end
        page.wait_for_timeout(100)


def test_18_who_was_seen_when(visit: Visit, served: Service, clip: Clips) -> None:
    client = served.client
    with visit("sightings") as seen:
        page = seen.page
        page.get_by_label("Keep each for days").fill("2")
        page.get_by_role("button", name="Keep sightings").click()
        page.get_by_text("Each is kept for 2 days.").wait_for()
        page.get_by_text("No one was seen").wait_for()
        assert client.collection("default").sightings_seconds == 2 * 86400

        assert client.identify(clip("bob-1"), camera="door").people[0].verdict == "match"
        assert client.identify(clip("ann-1"), camera="hall").people[0].verdict == "unknown"
        client.enroll(clip("ann-2"), "ann")
        page.reload()
        page.locator(".sighting").nth(1).wait_for()
        told = page.locator(".sighting").all_inner_texts()
        assert len(told) == 2 and "unknown" in told[0] and "camera hall" in told[0]
        assert "match" in told[1] and "bob" in told[1] and "camera door" in told[1]
        until(page, lambda: page.locator(".sighting img").evaluate_all(LOADED))
        figure = page.locator(".timeline")
        assert "2 sightings" in figure.locator("figcaption").inner_text()
        assert figure.locator("li .who").all_text_contents() == ["unknown: 1 sighting", "bob: 1 sighting"]
        left = figure.locator("i").evaluate_all("dots => dots.map(dot => dot.getBoundingClientRect().left)")
        assert left[0] > left[1]  # the stranger came later

        page.get_by_label("Verdict").select_option("match")
        page.get_by_role("button", name="Show", exact=True).click()
        until(page, lambda: page.locator(".sighting").count() == 1)
        page.get_by_label("Camera", exact=True).fill("hall")
        page.get_by_role("button", name="Show", exact=True).click()
        page.get_by_text("the filters accept none").wait_for()
        page.get_by_label("Camera", exact=True).fill("a b")
        page.get_by_role("button", name="Show", exact=True).click()
        page.get_by_role("alert").get_by_text("bad_camera").wait_for()
        page.get_by_label("Camera", exact=True).fill("")
        page.get_by_label("Verdict").select_option("")
        page.get_by_label("From").fill("2020-01-01T00:00")
        page.get_by_role("button", name="Show", exact=True).click()
        page.locator(".sighting").nth(1).wait_for()

        with page.expect_download() as table:
            page.get_by_role("button", name="Download the table").click()
        rows = list(csv.DictReader(table.value.path().read_text().splitlines()))
        assert [row["verdict"] for row in rows] == ["unknown", "match"]
        with page.expect_download() as lines:
            page.get_by_role("button", name="Download JSON lines").click()
        found = [json.loads(line) for line in lines.value.path().read_text().splitlines()]
        assert [one["id"] for one in found] == [row["id"] for row in rows]

        # A person: the picture, when she was last seen, and that she was here before.
        page.evaluate("location.hash = '#/people'")
        row = page.locator(".rows li").filter(has_text="bob")
        row.get_by_text("last seen").wait_for()
        assert "by door" in row.inner_text()
        page.locator(".rows img.thumb").wait_for()
        until(page, lambda: page.locator(".rows img").evaluate_all(LOADED))
        page.evaluate("location.hash = '#/people/ann'")
        page.get_by_role("button", name="Seen before being enrolled?").click()
        page.get_by_text("1 sighting of unknown walkers compared.").wait_for()
        page.get_by_text("camera hall").wait_for()
        page.get_by_role("link", name="Sightings").last.click()
        page.locator("[data-view=sightings] .notice").get_by_text("accept none").wait_for()
        assert page.get_by_label("Person").input_value() == "ann"

        page.evaluate("location.hash = '#/sightings'")
        page.locator(".sighting").nth(1).wait_for()
        page.get_by_role("button", name="Delete sighting of").first.click()
        until(page, lambda: page.locator(".sighting").count() == 1)
        page.get_by_role("button", name="Delete all of these").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
        page.get_by_text("No one was seen").wait_for()
        assert client.sightings().sightings == []
        page.get_by_role("button", name="Turn off").click()
        page.get_by_role("dialog").get_by_role("button", name="Turn off").click()
        page.get_by_role("heading", name="Sightings are not kept").wait_for()
    assert client.collection("default").sightings_seconds is None
    client.erase("ann")
