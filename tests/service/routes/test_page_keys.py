"""Signing in on the page with keys of several kinds."""

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
    from playwright.sync_api import Browser, Page, Route


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
            seen.page.get_by_role("button", name="Sign in").click()
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
        assert "scope viewer or admin" in page.get_by_role("alert").inner_text()
        assert page.get_by_text("Loading").count() == 0
        chooser = page.get_by_label("Collection", exact=True)
        assert (
            sorted(chooser.locator("option").all_inner_texts()) == ["door", "hall"] and chooser.input_value() == "door"
        )


def test_18_a_user_signs_in_once_for_all_tabs_until_signing_out(browser: Browser, start: Start) -> None:
    service = start()
    text = Keys(State(Settings(store=f"sqlite:///{service.store}").state_path)).create([Scope.ADMIN])[1]
    with watched(browser, service.url, "/#/people") as seen:
        page = seen.page
        page.get_by_role("dialog").wait_for()
        assert page.get_by_role("button", name="Sign out").count() == 0
        page.get_by_label("API key").fill("gk_wrong")
        page.get_by_role("button", name="Sign in").click()
        page.locator("#key-problem:not(:empty)").wait_for()
        assert "unknown or revoked" in page.locator("#key-problem").inner_text()
        page.get_by_label("API key").fill(text)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("No one is enrolled in this collection yet.").wait_for()
        kept = page.evaluate("[Object.values(sessionStorage), Object.values(localStorage), document.cookie]")
        assert kept[1:] == [[], ""] and text not in str(kept)
        [cookie] = page.context.cookies()
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and not cookie["secure"]
        assert text not in cookie["value"] and cookie["expires"] > 0

        tab = page.context.new_page()
        tab.goto(f"{service.url}/#/collections")
        tab.get_by_role("heading", name="default").wait_for()
        assert tab.get_by_role("dialog").count() == 0
        # Everything goes by the cookie: changes, uploads, and sockets.
        tab.goto(f"{service.url}/#/live")
        tab.get_by_role("button", name="Start").click()
        tab.locator(".person, .notice").first.wait_for()
        assert tab.locator(".notice").count() == 0
        tab.close()

        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("dialog").wait_for()
        assert page.context.cookies() == []
        again = page.context.new_page()
        again.goto(f"{service.url}/#/people")
        again.get_by_role("dialog").wait_for()


def test_18_a_viewer_reads_the_page_and_identifies_nobody(browser: Browser, start: Start, clip: Clips) -> None:
    service = start()
    service.client.enroll(clip("bob-1"), "bob")
    text = Keys(State(Settings(store=f"sqlite:///{service.store}").state_path)).create([Scope.VIEWER])[1]
    with watched(browser, service.url, "/#/people") as seen:
        page = seen.page
        page.get_by_role("dialog").wait_for()
        page.get_by_label("API key").fill(text)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="bob").click()
        page.get_by_role("heading", name="bob", level=1).wait_for()
        for view, heading in (("jobs", "Jobs"), ("collections", "Collections"), ("system", "System")):
            page.goto(f"{service.url}/#/{view}")
            page.get_by_role("heading", name=heading, level=1).wait_for()
            page.wait_for_load_state("networkidle")
            assert page.get_by_role("alert").count() == 0, view
        page.goto(f"{service.url}/#/identify")
        page.locator("#clip").set_input_files(clip("bob-1"))
        page.get_by_role("button", name="Identify", exact=True).click()
        page.get_by_role("alert").wait_for()
        assert "scope identify or admin" in page.get_by_role("alert").inner_text()


def test_18_a_browser_that_keeps_no_cookies_is_told_so(browser: Browser, start: Start) -> None:
    service = start()
    text = Keys(State(Settings(store=f"sqlite:///{service.store}").state_path)).create([Scope.ADMIN])[1]
    with watched(browser, service.url, "/#/people") as seen:
        page = seen.page
        page.get_by_role("dialog").wait_for()

        def without_cookie(route: Route) -> None:
            reply = route.fetch()
            headers = {name: value for name, value in reply.headers.items() if name != "set-cookie"}
            page.context.clear_cookies()
            route.fulfill(status=reply.status, headers=headers, body=reply.body())

        page.route("**/session", without_cookie)
        page.get_by_label("API key").fill(text)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("allow cookies for this address").wait_for()
