"""Parts of the page, in a real browser: labels, the menu, empty galleries, look-alikes, jobs, and the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from chromium import Visit, watched
from serving import Clips, Service, Start

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PLACED = """async boxes => {
    const { placed } = await import("/static/player.js");
    return placed(boxes, boxes.map(() => 90), 22, 2, { width: 400, height: 300 });
}"""


STAGES = """() => {
    window.told = [];
    const note = () => window.told.push(document.querySelector(".working span")?.textContent ?? "");
    new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


def test_18_labels_of_neighbours_never_cover_each_other(visit: Visit) -> None:
    crowd = [[100, 60, 140, 200], [110, 62, 150, 210], [120, 58, 160, 205], [130, 61, 170, 205], [0, 0, 40, 300]]
    with visit() as seen:
        places = seen.page.evaluate(PLACED, crowd)
        assert seen.page.evaluate(PLACED, crowd[:1]) == [{"left": 100, "top": 36, "width": 90, "height": 22}]
    for i, one in enumerate(places):
        assert 0 <= one["left"] <= 400 - one["width"] and 0 <= one["top"] <= 300 - one["height"]
        for other in places[:i]:
            apart_across = one["left"] >= other["left"] + 90 or other["left"] >= one["left"] + 90
            apart_down = one["top"] >= other["top"] + 22 or other["top"] >= one["top"] + 22
            assert apart_across or apart_down, (one, other)
    assert places[0]["top"] == 36, "the first is above its own box"


def test_a_label_covers_no_person_while_there_is_room_above(visit: Visit) -> None:
    row = [[60 + 40 * i, 160, 95 + 40 * i, 260] for i in range(4)]
    with visit() as seen:
        places = seen.page.evaluate(PLACED, row)
    for one in places:
        for x1, y1, x2, y2 in row:
            beside = one["left"] >= x2 or x1 >= one["left"] + one["width"]
            assert beside or one["top"] >= y2 or y1 >= one["top"] + one["height"], one
    assert len({one["top"] for one in places}) >= 3


@pytest.mark.parametrize("height", [860, 420])
def test_18_the_menu_never_covers_the_collection(visit: Visit, height: int) -> None:
    with visit("api", viewport={"width": 1280, "height": height}) as seen:
        page = seen.page
        page.locator("[data-view=api] h1").wait_for()
        for share in (0, 0.5, 1):
            page.evaluate(f"scrollTo(0, {share} * document.documentElement.scrollHeight)")
            menu = page.get_by_role("navigation").bounding_box()
            where = page.locator(".where").bounding_box()
            assert menu is not None and where is not None and menu["y"] + menu["height"] <= where["y"]
            # Scrolling ends between two pixels where the page's height is no whole number of them.
            assert page.locator(".side").bounding_box()["y"] > -1  # type: ignore[index]


def test_18_why_a_name_is_given_or_not_is_told(visit: Visit, served: Service, clip: Clips) -> None:
    show = """async person => {
        const { card } = await import("/static/person.js");
        return card(person, new Map()).textContent;
    }"""
    person = served.client.identify(clip("bob-1")).people[0].model_dump(mode="json")
    first = person["candidates"][0]
    doubtful = person | {"verdict": "match", "candidates": [first | {"confidence": 0.49}]}
    unknown = person | {"verdict": "unknown", "candidates": [first | {"confidence": 0.14}]}
    with visit() as seen:
        told = seen.page.evaluate(show, doubtful)
        assert "Named, because at most 1 % of strangers come as near" in told and "49 % of the walks" in told
        told = seen.page.evaluate(show, unknown)
        assert "No enrolled person is near enough. The nearest is bob, at a confidence of 14 %" in told
        assert "Named, because" not in seen.page.evaluate(show, doubtful | {"candidates": [first | {"confidence": 1}]})


@pytest.fixture
def empty(browser: Browser, start: Start) -> Iterator[tuple[Service, Browser]]:
    yield start(), browser


def test_18_an_empty_gallery_is_told_of_at_once_and_a_look_alike_can_be_the_same_person(
    empty: tuple[Service, Browser], clip: Clips
) -> None:
    service, browser = empty
    with watched(browser, service.url, "/#/identify") as seen:
        page = seen.page
        page.get_by_text("No one is enrolled in this collection, so every walker will be inconclusive.").wait_for()
        assert page.get_by_label("Camera").get_attribute("aria-describedby")
        service.client.enroll(clip("ann-1"), "ann")
        page.reload()
        page.get_by_role("heading", name="Identify", level=1).wait_for()
        page.wait_for_load_state("networkidle")
        assert page.get_by_text("No one is enrolled").count() == 0

        page.get_by_role("navigation").get_by_role("link", name="Enrol").click()
        page.get_by_role("heading", name="Enrol", level=1).wait_for()
        page.locator("#clip").set_input_files(clip("ann-2"))
        page.get_by_label("Id", exact=True).fill("anna")
        page.get_by_role("button", name="Enrol", exact=True).click()
        page.get_by_text("Same person?").wait_for()
        assert {one.subject for one in service.client.subjects().subjects} == {"ann", "anna"}
        page.get_by_role("button", name="Yes, add the walk to ann").click()
        page.get_by_role("heading", name="The walk was added to ann").wait_for()
        [left] = service.client.subjects().subjects
        assert (left.subject, left.templates) == ("ann", 2)

        page.get_by_role("navigation").get_by_role("link", name="Identify").click()
        page.get_by_role("heading", name="Identify", level=1).wait_for()
        page.evaluate(STAGES)
        page.locator("summary").filter(has_text="Settings").click()
        page.get_by_label("Camera").fill("north-door")
        page.locator("#clip").set_input_files(clip("ann-2"))
        page.get_by_role("button", name="Identify", exact=True).click()
        page.locator(".person").first.wait_for()
        told = page.evaluate("window.told")
        assert any(re.fullmatch(r"Looking at the clip: \d+ %", text) for text in told), told
        page.get_by_role("navigation").get_by_role("link", name="Jobs").click()
        newest = page.locator(".cards li").first
        newest.get_by_text("done", exact=True).wait_for()
        assert "ann-2.mp4 · camera north-door" in newest.inner_text()
        assert newest.locator(".outcome li").all_inner_texts() == ["Walker 1: ann"]


def test_18_the_reference_shows_every_operation_without_another_host(visit: Visit, served: Service) -> None:
    with visit() as seen:
        page = seen.page
        page.goto(served.url + "/docs")
        page.get_by_role("heading", name="API", level=1).wait_for()
        page.locator("summary").filter(has_text="POST /identify").click()
        entry = page.locator("#operation-identify")
        entry.locator("pre").first.wait_for()  # an entry is filled after it is opened
        assert "fpir" in entry.inner_text() and "above 0 below 1" in entry.inner_text()
        assert '"people"' in entry.locator("pre").first.inner_text()
        listed = page.locator("main summary code").count()
        document = page.evaluate("fetch('openapi.json').then(r => r.json())")
        assert listed == sum(len(item) for item in document["paths"].values())
