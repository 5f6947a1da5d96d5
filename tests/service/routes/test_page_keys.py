"""The page with a key that is bound to collections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chromium import watched
from serving import Clips, Start

from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def test_18_a_key_of_one_collection_uses_the_page(browser: Browser, start: Start, clip: Clips) -> None:
    service = start()
    service.client.create_collection("door")
    service.client.create_collection("hall")
    service.client.enroll(clip("bob-1"), "bob", collection="door")
    keys = Keys(State(Settings(store=f"sqlite:///{service.store}").state_path))
    _, admin = keys.create([Scope.ADMIN], ["door"])
    _, identifies = keys.create([Scope.IDENTIFY], ["hall", "door"])

    @contextmanager
    def people(key: str) -> Iterator[Page]:
        with watched(browser, service.url, "/#/people") as seen:
            seen.page.get_by_role("dialog").wait_for()
            seen.page.get_by_label("API key").fill(key)
            seen.page.get_by_role("button", name="Use the key").click()
            seen.page.get_by_role("dialog").wait_for(state="hidden")
            yield seen.page

    with people(admin) as page:
        page.get_by_text("1 person.").wait_for()
        chooser = page.get_by_label("Collection", exact=True)
        assert chooser.locator("option").all_inner_texts() == ["door"] and chooser.input_value() == "door"
        page.get_by_role("link", name="bob").click()
        page.get_by_role("heading", name="bob", level=1).wait_for()
        page.get_by_role("navigation").get_by_role("link", name="Collections").click()
        page.get_by_role("heading", name="door").wait_for()
        assert page.locator(".cards li").count() == 1 and page.get_by_text("hall").count() == 0
        page.get_by_role("navigation").get_by_role("link", name="Identify").click()
        page.locator("#clip").set_input_files(clip("bob-1"))
        page.get_by_role("button", name="Identify", exact=True).click()
        page.locator(".person, [role=alert]").first.wait_for()
        assert page.locator(".person h3").inner_text() == "bob"

    with people(identifies) as page:
        page.get_by_role("alert").wait_for()
        assert "scope admin" in page.get_by_role("alert").inner_text()
        assert page.get_by_text("Loading").count() == 0
        chooser = page.get_by_label("Collection", exact=True)
        assert (
            sorted(chooser.locator("option").all_inner_texts()) == ["door", "hall"] and chooser.input_value() == "door"
        )
