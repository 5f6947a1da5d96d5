"""The page compares, merges and tells apart two people who may be one, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from chromium import watched
from serving import Clips, Service, Start
from test_page_accessible import ALL_RULES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    Look = Callable[..., AbstractContextManager[Page]]

FRAMES = "() => [...document.querySelectorAll('canvas.moving')].map(c => Number(c.dataset.frame))"
DRAWN = """() => [...document.querySelectorAll('canvas.moving')].every(c =>
    c.getContext('2d').getImageData(0, 0, 64, 64).data.some((value, i) => i % 4 === 0 && value > 127))"""
TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture
def service(calibrated: None, start: Start, clip: Clips) -> Service:
    """Ann under two names, and Bob; everybody matches everybody."""
    service = start(network="gei")
    for name, film in (("ann", "ann-1"), ("ann-again", "ann-2"), ("bob", "bob-1")):
        service.client.enroll(clip(film), name)
    return service


@pytest.fixture
def look(browser: Browser, service: Service) -> Look:
    """Open an address of the page below People."""

    @contextmanager
    def opened(address: str = "", **context: Any) -> Iterator[Page]:
        with watched(browser, service.url, f"/#/people{address}", **context) as seen:
            seen.page.locator("[data-view=people] h1").wait_for()
            yield seen.page

    return opened


def subjects(service: Service) -> list[str]:
    return [one.subject for one in service.client.subjects().subjects]


def test_two_chosen_people_are_merged_once_it_is_confirmed(look: Look, service: Service) -> None:
    with look() as page:
        page.get_by_label("Choose bob").check()
        page.get_by_text("1 chosen: choose two to compare or merge them.").wait_for()
        assert page.locator(".rows").get_by_role("checkbox", checked=True).count() == 1
        page.get_by_label("Choose ann-again").check()
        bar = page.locator(".actions", has_text="bob and ann-again")
        bar.get_by_role("button", name="Merge into bob").click()
        dialog = page.get_by_role("dialog")
        assert "This cannot be undone." in dialog.inner_text()
        dialog.get_by_role("button", name="Cancel").click()
        dialog.wait_for(state="detached")
        assert subjects(service) == ["ann", "ann-again", "bob"]
        page.get_by_label("Choose bob").uncheck()
        page.get_by_label("Choose ann", exact=True).check()
        bar = page.locator(".actions", has_text="ann-again and ann")
        bar.get_by_role("button", name="Merge into ann", exact=True).click()
        dialog.get_by_role("button", name="Merge").click()
        page.get_by_text("2 people.").wait_for()
    assert subjects(service) == ["ann", "bob"]
    assert service.client.subject("ann").subject.templates == 2


def test_likely_doubles_are_suggested_until_they_are_settled(look: Look, service: Service) -> None:
    with look() as page:
        page.get_by_role("heading", name="Same person?").wait_for()
        pairs = page.locator(".double")
        assert pairs.locator("h3").first.inner_text() == "ann and ann-again"
        assert pairs.count() == 3
        found = service.client.doubles().doubles[0]
        assert f"{found.distance:.3f} apart" in pairs.first.inner_text()
        bobs = pairs.filter(has=page.get_by_role("heading", name="ann and bob"))
        bobs.get_by_role("button", name="Not the same").click()
        bobs.wait_for(state="detached")
        page.reload()
        page.get_by_role("heading", name="Same person?").wait_for()
        assert [one.inner_text() for one in pairs.locator("h3").all()] == ["ann and ann-again", "ann-again and bob"]
        pairs.first.get_by_role("button", name="Merge into ann", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Merge").click()
        page.get_by_text("2 people.").wait_for()
        page.get_by_role("heading", name="ann and bob").wait_for()  # ann has another walk: asked again
        page.get_by_role("link", name="Compare ann and bob").click()
        page.get_by_role("heading", name="ann and bob", level=1).wait_for()
        page.get_by_role("button", name="Not the same").click()
        page.get_by_text("2 people.").wait_for()
        page.wait_for_load_state("networkidle")
        assert page.get_by_role("heading", name="Same person?").count() == 0
    assert service.client.subjects().subjects[0].templates == 2
    assert service.client.doubles().doubles == []


def test_walks_of_two_people_move_beside_each_other(look: Look, service: Service, clip: Clips) -> None:
    service.client.enroll(clip("cid-1"), "ann-again", camera="door")
    told = service.client.distances("ann", "ann-again")
    with look("/ann/ann-again") as page:
        page.locator("canvas.moving").nth(2).wait_for()
        assert page.locator(".beside.two > section").count() == 2
        before = page.evaluate(FRAMES)
        page.wait_for_function(f"before => ({FRAMES})().every((frame, i) => frame !== before[i])", arg=before)
        page.get_by_role("button", name="Stop the walks").click()
        page.evaluate(TWO_FRAMES)
        stopped = page.evaluate(FRAMES)
        page.evaluate(TWO_FRAMES)
        assert page.evaluate(FRAMES) == stopped and page.evaluate(DRAWN)
        page.get_by_role("button", name="Let them walk").click()
        page.wait_for_function(f"before => ({FRAMES})().some((frame, i) => frame !== before[i])", arg=stopped)
        first = page.locator(".beside section").first.locator(".card").inner_text()
        near = min(told.distances[0][1:])
        assert f"{near:.3f} to ann-again {told.distances[0].index(near)}" in first
        cards = page.locator(".beside section").nth(1).locator(".card")
        assert "seen by door" in cards.nth(1).inner_text() and "Quality: joints" in first
        page.get_by_text("All distances").click()
        cells = [cell.inner_text() for cell in page.locator("tbody tr").first.locator("td").all()]
        assert cells == ["–", *(f"{distance:.3f}" for distance in told.distances[0][1:])]
        page.get_by_role("button", name="Delete this walk: ann-again 2").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        cards.nth(1).wait_for(state="detached")
        left = service.client.subject("ann-again").templates
        assert [template.id for template in left] == [told.templates[1].id]
        page.locator("[data-view=people]").get_by_role("button", name="Merge into ann", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Merge").click()
        page.get_by_role("heading", name="ann", level=1, exact=True).wait_for()
        page.locator("canvas.moving").nth(1).wait_for()
        assert page.get_by_role("heading", name="2 walks").is_visible()
        page.get_by_text("Silhouettes and skeletons").first.click()
        page.locator(".strips img").nth(1).wait_for()
    assert subjects(service) == ["ann", "bob"]


def test_walks_stand_still_for_who_wants_less_motion(look: Look) -> None:
    with look("/ann/bob", reduced_motion="reduce") as page:
        page.locator("canvas.moving").nth(1).wait_for()
        page.evaluate(TWO_FRAMES)
        assert page.evaluate(FRAMES) == [0, 0] and page.evaluate(DRAWN)
        page.get_by_role("button", name="Let them walk").click()
        page.wait_for_function(f"() => ({FRAMES})().some(frame => frame > 0)")


def test_axe_finds_nothing_on_suggestions_and_comparisons(look: Look) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe here").Axe()

    def faults() -> list[str]:
        return [
            f"{rule['id']}: {[node['html'][:160] for node in rule['nodes']]}"
            for rule in axe.run(page, options=ALL_RULES).response["violations"]
        ]

    with look() as page:
        page.locator(".double").first.wait_for()
        page.get_by_label("Choose bob").check()
        page.get_by_label("Choose ann", exact=True).check()
        assert faults() == []
        page.get_by_role("link", name="Compare", exact=True).click()
        page.locator("canvas.moving").nth(1).wait_for()
        page.get_by_text("All distances").click()
        assert faults() == []
