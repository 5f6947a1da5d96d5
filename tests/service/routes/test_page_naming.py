"""The page names several people after one look at a clip, and enrols from the results of Identify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chromium import Visit
from looks import Looks, counted_looks
from serving import Clips, Service

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return counted_looks(monkeypatch)


def walkers_in(page: Page, clip: Path, count: int) -> None:
    """Send a clip without an id, until its walkers are shown."""
    page.get_by_role("navigation").get_by_role("link", name="Enrol").click()
    page.get_by_role("heading", name="Enrol", level=1).wait_for()
    page.locator("#clip").set_input_files(clip)
    page.get_by_role("button", name="Enrol", exact=True).click()
    page.locator(".naming, [role=alert]").first.wait_for()
    cards = page.locator(".naming .person")
    assert cards.count() == count, page.locator("main").inner_text()
    assert all(image.evaluate("i => i.naturalWidth") > 0 for image in cards.locator("img").all())


def test_18_four_people_of_a_real_clip_are_named_after_one_look(
    visit: Visit, served: Service, shared_data: Path, looks: Looks
) -> None:
    names = ["north", "east", "south", "west"]
    with visit() as seen:
        page = seen.page
        walkers_in(page, shared_data / "videos" / "quartet-gallery.mp4", 4)
        for card, name in zip(page.locator(".naming .person").all(), names, strict=True):
            card.get_by_role("textbox").fill(name)
        page.get_by_role("button", name="Enrol these people").click()
        page.get_by_role("heading", name="4 walks were enrolled").wait_for()
        assert [page.get_by_role("heading", name=f"{name} is enrolled").count() for name in names] == [1] * 4
    assert looks() == 1
    tracks = [served.client.subject(name).templates[0].track for name in names]
    assert tracks == sorted(set(tracks)), "each card was of one walker, in their order"
    assert sum(served.client.erase(name).templates for name in names) == 4


def test_18_some_of_several_walkers_are_named(visit: Visit, served: Service, clip: Clips, looks: Looks) -> None:
    with visit() as seen:
        page = seen.page
        walkers_in(page, clip("two"), 2)
        page.get_by_role("button", name="Enrol these people").click()
        page.get_by_text("Give at least one walker an id.").wait_for()
        both = [card.get_by_role("textbox") for card in page.locator(".naming .person").all()]
        for field in both:
            field.fill("twin")
        page.get_by_role("button", name="Enrol these people").click()
        assert "cannot both be" in page.get_by_role("alert").inner_text()
        both[0].fill("")
        both[1].fill("second")
        page.get_by_role("button", name="Enrol these people").click()
        page.get_by_role("heading", name="second is enrolled").wait_for()
        page.get_by_role("button", name="Undo the enrolment of second").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        page.get_by_text("Undone.").wait_for()
    assert looks() == 1 and served.client.subject("second").templates == []
    served.client.erase("second")


def test_of_several_walkers_one_is_chosen_or_some_are_named_without_another_look(
    visit: Visit, served: Service, clip: Clips, looks: Looks
) -> None:
    with visit() as seen:
        page = seen.page
        page.get_by_role("navigation").get_by_role("link", name="Enrol").click()
        page.locator("#clip").set_input_files(clip("two"))
        page.get_by_label("Id", exact=True).fill("first")
        page.get_by_role("button", name="Enrol", exact=True).click()
        page.locator(".track-choice").first.wait_for()
        page.get_by_role("button", name="Name several of them").click()
        assert page.locator(".naming .person").count() == 2
        page.get_by_role("button", name="Enrol", exact=True).click()  # again, and now by picture
        page.locator(".track-choice").nth(1).click()
        page.get_by_role("heading", name="first is enrolled").wait_for()
    assert looks() == 2 and served.client.erase("first").templates == 1


def test_18_walkers_are_enrolled_from_the_results_of_identify(
    visit: Visit, served: Service, clip: Clips, looks: Looks
) -> None:
    client = served.client
    before = client.subject("bob").subject.templates
    with visit() as seen:
        page = seen.page
        page.locator("#clip").set_input_files(clip("two"))
        page.get_by_role("button", name="Identify", exact=True).click()
        page.locator(".person").first.wait_for()
        first, second = page.locator(".person").all()
        first.get_by_role("button", name="Enrol this walker").click()
        first.get_by_label("Id of walker 1").fill("newcomer")
        first.get_by_role("button", name="Enrol", exact=True).click()
        first.get_by_role("heading", name="newcomer is enrolled").wait_for()
        second.get_by_role("button", name="Add to bob").click()
        second.get_by_role("heading", name="The walk was added to bob").wait_for()
    assert looks() == 1
    assert [one.track for one in client.subject("newcomer").templates] == [1]
    added = client.subject("bob").templates
    assert len(added) == before + 1 and added[-1].track == 2
    client.delete_template("bob", added[-1].id)
    client.erase("newcomer")


def test_a_handle_that_is_gone_is_made_again_from_the_clip(
    visit: Visit, served: Service, clip: Clips, looks: Looks
) -> None:
    with visit() as seen:
        page = seen.page
        handles: list[str] = []
        page.on("request", lambda request: handles.append(request.url.rpartition("/walkers/")[2]))
        walkers_in(page, clip("cid-1"), 1)
        (handle,) = {found for found in handles if len(found) == 22}
        served.client.erase_walkers(handle)
        page.locator(".naming .person").get_by_role("textbox").fill("cid")
        page.get_by_role("button", name="Enrol these people").click()
        page.get_by_role("heading", name="cid is enrolled").wait_for()
    assert looks() == 2 and served.client.erase("cid").templates == 1


def test_a_key_that_may_not_enrol_is_not_asked_to(visit: Visit, served: Service, clip: Clips) -> None:
    with visit() as seen:
        page = seen.page
        only = {"id": None, "name": "", "scopes": ["identify"], "collections": None}
        page.route("**/key", lambda route: route.fulfill(json=only))
        page.reload()
        page.locator("#clip").set_input_files(clip("bob-1"))
        page.get_by_role("button", name="Identify", exact=True).click()
        page.locator(".person").first.wait_for()
        assert page.get_by_role("button", name="Enrol this walker").count() == 0
