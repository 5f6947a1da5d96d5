"""Every view is accessible by axe's rules, in a real browser."""

from __future__ import annotations

import pytest
from chromium import Visit
from serving import Clips, Service

VIEWS = (
    *(
        "identify",
        "verify",
        "enrol",
        "people",
        "people/bob",
        "live",
        "sightings",
        "strangers",
        "cameras",
        "jobs",
        "collections",
    ),
    *("system", "api", "api/identify"),
)
ALL_RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
}

BREAK = """() => {
    const place = document.createElement("p");
    place.append(document.createElement("button"), "a button without a name");
    document.querySelector("h1").replaceWith(place);
}"""


def test_18_axe_finds_nothing_on_any_view(visit: Visit, served: Service, clip: Clips) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe here").Axe()
    served.client.keep_strangers(3600)
    served.client.keep_passers_by(3600)
    served.client.update_collection(sightings_seconds=3600)
    served.client.enroll(clip("bob-1"), "bob")  # again, for a picture
    served.client.identify(clip("bob-1"), camera="door")
    served.client.identify(clip("ann-1"), camera="door")
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        rules = axe.run(page, options=ALL_RULES).response["violations"]
        for rule in rules:
            places = [node["html"][:160] for node in rule["nodes"]]
            found.setdefault(name, []).append(f"{rule['id']}: {places}")

    with visit() as seen:
        page = seen.page
        for view in VIEWS:
            page.evaluate(f"location.hash = '#/{view}'")
            page.locator(f"[data-view={view.partition('/')[0]}] h1").wait_for()
            page.wait_for_load_state("networkidle")
            look(view)
        page.evaluate("location.hash = '#/identify'")
        page.locator("[data-view=identify] h1").wait_for()
        page.locator("#clip").set_input_files(clip("bob-1"))
        page.get_by_role("button", name="Identify", exact=True).click()
        page.locator(".person").first.wait_for()
        page.locator("details.explain").first.evaluate("d => { d.open = true; }")
        page.get_by_role("button", name="Enrol this walker").first.click()
        look("a result")
        page.get_by_role("button", name="Add to bob").first.click()
        page.get_by_role("heading", name="The walk was added to bob").wait_for()
        look("a walk that was added")
        page.evaluate("location.hash = '#/enrol'")
        page.locator("[data-view=enrol] h1").wait_for()
        page.locator("#clip").set_input_files(clip("two"))
        page.get_by_label("Id", exact=True).fill("someone")
        page.get_by_role("button", name="Enrol", exact=True).click()
        page.locator(".track-choice").first.wait_for()
        look("a choice")
        page.get_by_role("button", name="Name several of them").click()
        look("names for several")
        page.locator(".naming .person").first.get_by_role("textbox").fill("someone")
        page.get_by_role("button", name="Enrol these people").click()
        page.get_by_role("heading", name="someone is enrolled").wait_for()
        look("several enrolled")
        page.evaluate("location.hash = '#/jobs'")
        page.locator("[data-view=jobs] .cards li").first.wait_for()
        look("jobs")
        page.evaluate(BREAK)
        look("a broken page")
    served.client.erase("someone")
    served.client.keep_strangers(None)
    served.client.keep_passers_by(None)
    served.client.update_collection(sightings_seconds=None)
    broken = {line.partition(":")[0] for line in found.pop("a broken page")}
    assert {"button-name", "page-has-heading-one"} <= broken, "axe finds what is wrong"
    assert found == {}
