"""The page's Verify, in a real browser."""

from __future__ import annotations

from chromium import Visit
from serving import Clips, Service


def test_18_a_claim_is_decided_on_the_page(visit: Visit, served: Service, clip: Clips) -> None:
    client = served.client
    client.update_subject("bob", display_name="Bob B.")
    client.enroll(clip("ann-1"), "ann")
    with visit("people/bob") as seen:
        page = seen.page
        page.locator("main").get_by_role("link", name="Verify").click()
        page.get_by_role("heading", name="Verify", level=1).wait_for()
        assert page.get_by_label("Id of the claimed person").input_value() == "bob"
        page.locator("datalist option[value=ann]").wait_for(state="attached")

        def claim(film: str, who: str) -> str:
            page.locator("#clip").set_input_files(clip(film))
            page.get_by_label("Id of the claimed person").fill(who)
            page.get_by_role("button", name="Verify", exact=True).click()
            page.locator(".working").wait_for(state="detached")
            page.locator(".person, .track-choice, [role=alert]").first.wait_for()
            return page.locator(".result").inner_text()

        told = claim("bob-1", "bob")
        assert "This walker is Bob B." in told and "match" in told
        assert "at most 0.1 % of strangers who claim to be this person would match" in told
        person = client.verify(clip("bob-1"), "bob").person
        assert person.distance is not None and f"{person.distance:.3f}" in told
        assert "does not show that the walker is Bob B." in claim("ann-1", "bob")
        assert "not_found" in claim("ann-1", "nobody")
        claim("two", "bob")
        assert page.locator(".track-choice").count() == 2
        page.locator(".track-choice").nth(1).click()
        page.locator(".person").wait_for()
        page.get_by_text("Settings").click()
        page.get_by_label("False matches").select_option(label="1 in 100")
        assert "at most 1 % of strangers who claim" in claim("ann-1", "bob")
    client.erase("ann")
