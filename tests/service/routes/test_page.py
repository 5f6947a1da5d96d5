"""The web page in a real browser, on a real service."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import httpx
import numpy as np
import pytest
from chromium import Visit, watched
from looking import COLOURS, DRAWN, EXPLAINED, TURNED, contrast, light
from serving import Clips, Service

from gaitkeeper.gallery.errors import NotFound

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, WebSocketRoute

VIEWS = (
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
    "system",
)
CONTRAST = 4.5  # of text, by WCAG 2.2, level AA


def enrol(page: Page, clip: Path, subject: str) -> None:
    """As a person would who has the menu in sight."""
    page.get_by_role("navigation").get_by_role("link", name="Enrol").click()
    page.get_by_role("heading", name="Enrol", level=1).wait_for()
    page.locator("#clip").set_input_files(clip)
    page.get_by_label("Id", exact=True).fill(subject)
    page.get_by_role("button", name="Enrol", exact=True).click()
    page.locator(".result h2, [role=alert]").first.wait_for()


def identify(page: Page, clip: Path) -> Locator:
    """The first walker's card, or what went wrong."""
    page.get_by_role("navigation").get_by_role("link", name="Identify").click()
    page.get_by_role("heading", name="Identify", level=1).wait_for()
    page.locator("#clip").set_input_files(clip)
    page.get_by_role("button", name="Identify", exact=True).click()
    found = page.locator(".person, [role=alert]").first
    found.wait_for()
    return found


def tab_to(page: Page, target: Locator) -> None:
    """Press the tabulator until the target has the focus, and see that it shows."""
    handle = target.element_handle()
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("target => document.activeElement === target", handle):
            break
    else:
        pytest.fail(f"the tabulator does not reach {target}")
    # A file's input lies unseen over its label, which shows the focus for it.
    outline = "e => [e, e.parentElement].map(x => getComputedStyle(x).outlineStyle)"
    assert "solid" in page.evaluate(outline, handle)


def test_a_threshold_says_what_it_rests_on(visit: Visit) -> None:
    show = """async ([basis, unit]) => {
        const { distances } = await import("/static/person.js");
        const threshold = { value: 0.5, fpir: 0.01, gallery_size: 100, extrapolated: false, basis, unit };
        return distances({ threshold, candidates: [] }, new Map()).textContent;
    }"""
    told = {
        ("collection", 0.812): "a share of 0.812, the mean distance to the other people enrolled",
        (
            "camera (7 passers-by)",
            0.812,
        ): "a share of 0.812, the mean distance to people this camera saw (7 passers-by)",
        ("prior", None): "It is strict, because too few other people are known for comparison.",
    }
    with visit() as seen:
        for (basis, unit), sentence in told.items():
            assert sentence in seen.page.evaluate(show, [basis, unit])


def test_a_card_says_who_came_back(visit: Visit, served: Service, clip: Clips) -> None:
    show = """async person => {
        const { card } = await import("/static/person.js");
        return card(person, new Map()).textContent;
    }"""
    person = served.client.identify(clip("bob-1")).people[0].model_dump(mode="json")
    with visit() as seen:
        sentence = "Probably the same person as walker 3, who left and came back."
        assert sentence in seen.page.evaluate(show, person | {"same_as": 3})
        assert "came back" not in seen.page.evaluate(show, person)


def test_somebody_is_enrolled_named_renamed_and_erased(visit: Visit, served: Service, clip: Clips) -> None:
    with visit() as seen:
        page = seen.page
        enrol(page, clip("ann-1"), "ann")
        assert page.get_by_role("heading", name="ann is enrolled").is_visible()
        card = identify(page, clip("ann-2"))
        told = served.client.identify(clip("ann-2"), boxes=True, explain=True).people[0]
        assert [c.subject for c in told.candidates] == ["ann", "bob"]
        assert card.locator(".badge").inner_text().split()[-1] == told.verdict
        rows = card.locator(".distances li")
        assert [row.inner_text().split()[:2] for row in rows.all()] == [
            [c.subject, f"{c.distance:.3f}"] for c in told.candidates
        ]
        for candidate, row in zip(told.candidates, rows.all(), strict=True):
            assert candidate.confidence is not None
            shown = min(max(round(100 * candidate.confidence), 1), 99)
            assert row.inner_text().endswith(f"{shown} %")
        widths = [row.locator(".fill").bounding_box()["width"] for row in rows.all()]
        assert widths[1] / widths[0] == pytest.approx(told.candidates[1].distance / told.candidates[0].distance, 0.02)
        limit, track = card.locator(".limit").first.bounding_box(), card.locator(".track").first.bounding_box()
        share = (limit["x"] - track["x"]) / widths[0]
        assert share == pytest.approx(told.threshold.value / told.candidates[0].distance, 0.02)
        assert told.trail is not None and told.explanation is not None
        middle = len(told.trail.times) // 2
        drawn = page.locator(".player").evaluate(DRAWN, told.trail.times[middle])
        x1, _, x2, y2 = told.trail.boxes[middle]
        # The label, above the box and from its left edge on, may be the wider of both.
        assert drawn[0] == pytest.approx(x1, abs=8) and drawn[2] == pytest.approx(y2, abs=8) and drawn[1] >= x2 - 8
        strips = card.locator(".strips img").evaluate_all("all => all.map(i => i.naturalWidth)")
        assert strips == [1280, 1280]
        first = card.locator("details.explain").first
        first.evaluate("d => { d.open = true; }")
        placed = [part for part in told.explanation.parts if part.top is not None and part.bottom is not None]
        finest = min(part.bottom - part.top for part in placed)
        tops = {part.top for part in placed if part.bottom - part.top < 1.01 * finest}
        assert first.locator(".dot").count() == len(tops) == 16  # the finest division alone, each strip once
        assert first.locator(".body canvas").count() == 2

        rows.first.get_by_role("link", name="ann").click()
        page.get_by_label("Display name").fill("Ann <b>A.</b>")
        page.get_by_label("Metadata").fill("site=north")
        page.get_by_role("button", name="Save").click()
        page.get_by_role("heading", name="Ann <b>A.</b>", level=1).wait_for()
        page.get_by_role("link", name="← People").click()
        page.get_by_label("Search").fill("NORTH")
        page.get_by_text("1 person.").wait_for()
        page.get_by_role("link", name="Ann <b>A.</b>").click()
        page.get_by_role("button", name="Erase").click()
        page.get_by_role("dialog").get_by_role("button", name="Erase").click()
        page.get_by_role("heading", name="People", level=1).wait_for()
        page.get_by_text("1 person.").wait_for()
    with pytest.raises(NotFound):
        served.client.subject("ann")


@pytest.mark.parametrize(("name", "choice"), [("ann-side", "90° clockwise"), ("ann-over", "Upside down")])
def test_a_turned_clip_is_shown_upright_with_boxes_over_its_people(
    visit: Visit, served: Service, clip: Clips, name: str, choice: str
) -> None:
    told = served.client.identify(clip("ann-1"), boxes=True).people[0].trail
    assert told is not None
    middle = len(told.times) // 2
    with visit() as seen:
        page = seen.page
        page.locator("details summary").filter(has_text="Settings").click()
        page.get_by_label("Turn the pictures").select_option(label=choice)
        identify(page, clip(name))
        pixels, drawn = page.locator(".player").evaluate(TURNED, told.times[middle])
        x1, _, x2, y2 = told.boxes[middle]
        assert drawn[0] == pytest.approx(x1, abs=12) and drawn[2] == pytest.approx(y2, abs=12) and drawn[1] >= x2 - 12
        with av.open(str(clip("ann-1"))) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        shown = np.array(pixels, np.uint8).reshape(360, 480, 4)[..., :3].astype(int)
        apart = [float(abs(shown - frame.astype(int)).mean()) for frame in (*frames, *(f[::-1, ::-1] for f in frames))]
        at = round(told.times[middle] * 30)
        assert abs(int(np.argmin(apart)) - at) <= 1 and min(apart) < 10, "the picture is upright, and of that moment"
        page.get_by_role("button", name="Play").click()
        page.get_by_role("button", name="Pause").wait_for()
        page.get_by_role("navigation").get_by_role("link", name="Enrol").click()
        page.get_by_role("heading", name="Enrol", level=1).wait_for()
        page.locator("#clip").set_input_files(clip(name))
        page.get_by_label("Id", exact=True).fill("turned")
        page.get_by_label("Turn the pictures").select_option(label=choice)
        page.get_by_role("button", name="Enrol", exact=True).click()
        page.get_by_role("heading", name="turned is enrolled").wait_for()
    assert served.client.subject("turned").templates[0].quality.upright > 0.9
    served.client.erase("turned")


def test_what_speaks_for_a_name_and_what_against_has_colours(visit: Visit, served: Service) -> None:
    """A made-up explanation: the upper half of the body speaks for the candidate, the lower against."""
    strip = served.client.template_pictures("bob", served.client.subject("bob").templates[0].id).silhouettes
    quarters = [{"top": i / 4, "bottom": (i + 1) / 4, "low": 1.0, "median": 2.0, "high": 3.0} for i in range(4)]
    halves = [{**quarters[0], "top": i / 2, "bottom": (i + 1) / 2} for i in range(2)]
    candidate = {"subject": "bob", "template": "t", "rank": 1}
    shares = {"distances": [0.5, 0.5, 3.5, 3.5, 1.0, 1.0], "impostor_shares": [0.0, 0.0, 1.0, 1.0, 0.5, 0.5]}
    person = {
        "verdict": "match",
        "pictures": {"silhouettes": strip, "templates": {"t": {"silhouettes": strip}}},
        "explanation": {
            "source": "collection",
            "pairs": 45,
            "parts": [*quarters, *halves],
            "candidates": [{**candidate, **shares}],
        },
    }
    with visit() as seen:
        seen.page.get_by_role("heading", level=1).wait_for()
        sides, colours = seen.page.evaluate(EXPLAINED, [person, candidate])
        # The finest division of the body alone, from head to feet.
        assert sides == ["dot for"] * 2 + ["dot against"] * 2
        assert len(colours) == 2
        for upper, lower in colours:
            assert upper[1] > upper[0] and lower[0] > lower[1]  # greenish, reddish
        assert "45 pairs of different people from this collection" in seen.page.locator(".explained").inner_text()


def test_a_stranger_who_is_kept_can_be_named(visit: Visit, served: Service, clip: Clips) -> None:
    client = served.client
    with visit("strangers") as seen:
        page = seen.page
        page.get_by_label("Keep each for days").fill("2")
        page.get_by_role("button", name="Keep strangers").click()
        page.get_by_text("Each is kept for 2 days.").wait_for()
        assert client.identify(clip("ann-2")).people[0].verdict == "unknown"
        page.reload()
        page.get_by_role("heading", name="Seen 1 time").wait_for()
        page.locator(".walks img").first.wait_for()
        page.get_by_label("Id").fill("carol")
        page.get_by_role("button", name="Name and enrol").click()
        page.get_by_text("No stranger has been seen yet.").wait_for()
        assert client.subject("carol").subject.templates == 1
        page.get_by_role("button", name="Turn off").click()
        page.get_by_role("dialog").get_by_role("button", name="Turn off").click()
        page.get_by_role("heading", name="Strangers are not kept").wait_for()
    assert client.strangers().keep_seconds is None
    client.erase("carol")


def test_passers_by_of_a_camera_are_kept_counted_and_forgotten(visit: Visit, served: Service, clip: Clips) -> None:
    client = served.client
    with visit("cameras") as seen:
        page = seen.page
        page.get_by_label("Keep each for days").fill("2")
        page.get_by_role("button", name="Keep passers-by").click()
        page.get_by_text("No passers-by yet.").wait_for()
        client.learn(clip("ann-2"), "door")
        page.reload()
        page.get_by_role("heading", name="door").wait_for()
        page.get_by_text("left: 1 walk", exact=True).wait_for()
        page.get_by_text("Each is kept for 2 days.").wait_for()
        page.get_by_role("button", name="Forget door").click()
        page.get_by_role("dialog").get_by_role("button", name="Forget").click()
        page.get_by_text("No passers-by yet.").wait_for()
        page.get_by_role("button", name="Turn off").click()
        page.get_by_role("dialog").get_by_role("button", name="Turn off").click()
        page.get_by_role("heading", name="Passers-by are not kept").wait_for()
    assert client.cameras().keep_seconds is None


def test_what_goes_wrong_is_told_by_its_sentence_and_its_code(visit: Visit, clip: Clips, tmp_path: Path) -> None:
    wrong = tmp_path / "holiday.mp4"
    wrong.write_text("no clip")
    with visit() as seen:
        told = identify(seen.page, wrong).inner_text()
        assert "unsupported_media" in told and re.search(r"[a-z]\.\n", told)
        assert "no_person" in identify(seen.page, clip("empty")).inner_text()
        seen.page.goto(seen.page.url.replace("identify", "people/nobody"))
        assert "not_found" in seen.page.locator("[data-view=people] [role=alert]").inner_text()


def test_a_job_outlives_its_view_and_can_be_cancelled(visit: Visit, clip: Clips) -> None:
    with visit() as seen:
        page = seen.page
        page.locator("#clip").set_input_files(clip("bob-1"))
        with page.expect_response("**/identify") as sent:
            page.get_by_role("button", name="Identify", exact=True).click()
        assert sent.value.status == 202
        page.get_by_role("navigation").get_by_role("link", name="Jobs").click()
        page.locator(".cards li").first.get_by_text("done", exact=True).wait_for()
        page.get_by_role("navigation").get_by_role("link", name="Identify").click()
        page.locator("#clip").set_input_files(clip("bob-1"))
        with page.expect_response("**/identify"):
            page.get_by_role("button", name="Identify", exact=True).click()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("Cancelled.").wait_for()
        page.get_by_role("navigation").get_by_role("link", name="Jobs").click()
        page.locator(".cards li").first.get_by_text("cancelled", exact=True).wait_for()
        page.goto(seen.page.url.partition("#")[0] + "#/people/%")
        assert "not_found" in page.locator("[data-view=people] [role=alert]").inner_text()


def test_of_several_walkers_one_is_chosen_by_picture(visit: Visit, served: Service, clip: Clips) -> None:
    with visit() as seen:
        page = seen.page
        enrol(page, clip("two"), "second")
        choices = page.locator(".track-choice")
        assert choices.count() == 2
        assert all(image.evaluate("i => i.naturalWidth") > 0 for image in choices.locator("img").all())
        choices.nth(1).click()
        page.get_by_role("heading", name="second is enrolled").wait_for()
    assert served.client.erase("second").templates == 1


def test_the_keyboard_is_enough(visit: Visit, served: Service, clip: Clips) -> None:
    served.client.enroll(clip("ann-1"), "ann")
    with visit() as seen:
        page, keyboard = seen.page, seen.page.keyboard
        # The browser is told to hand choosers over when somebody first listens, and does not say when it does.
        page.on("filechooser", lambda _: None)
        tab_to(page, page.get_by_role("link", name="Skip to the content"))
        keyboard.press("Enter")
        tab_to(page, page.locator("#clip"))
        with page.expect_file_chooser() as chooser:
            keyboard.press("Space")
        chooser.value.set_files(clip("ann-2"))
        tab_to(page, page.get_by_role("button", name="Identify", exact=True))
        keyboard.press("Enter")
        page.locator(".person").wait_for()
        tab_to(page, page.locator(".distances a").first)
        keyboard.press("Enter")
        page.get_by_role("heading", name="ann", level=1).wait_for()
        tab_to(page, page.get_by_role("button", name="Erase"))
        keyboard.press("Enter")
        # Enter alone would cancel.
        assert page.evaluate("document.activeElement.textContent") == "Cancel"
        tab_to(page, page.get_by_role("dialog").get_by_role("button", name="Erase"))
        keyboard.press("Enter")
        page.get_by_role("heading", name="People", level=1).wait_for()
    with pytest.raises(NotFound):
        served.client.subject("ann")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read_on_a_phone(visit: Visit, clip: Clips, scheme: str) -> None:
    with visit(color_scheme=scheme, viewport={"width": 360, "height": 740}) as seen:
        page = seen.page
        page.locator("#clip").set_input_files(clip("ann-1"))
        page.get_by_role("button", name="Identify", exact=True).click()
        page.locator(".person").wait_for()
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (light(paper) > 0.5) == (scheme == "light")
        for view in (None, *VIEWS):
            if view is not None:
                page.evaluate(f"location.hash = '#/{view}'")
                page.locator(f"[data-view={view.partition('/')[0]}] h1").wait_for()
                page.get_by_role("button", name="Menu").click()
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
            for text, behind in page.evaluate(COLOURS):
                assert contrast(text, behind) >= CONTRAST, (view, text, behind)


def test_a_walk_before_the_webcam_is_recorded_and_identified(visit: Visit) -> None:
    with visit() as seen:
        page = seen.page
        page.get_by_role("button", name="Record with the webcam").click()
        page.get_by_role("button", name="Start").click()
        page.get_by_text("Recording: 2 of").wait_for()
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("webcam.webm").wait_for()
        assert page.locator(".studio video").count() == 0
        page.get_by_role("button", name="Identify", exact=True).click()
        page.locator(".person").first.wait_for()


def test_the_live_view_draws_what_the_service_sees(visit: Visit) -> None:
    with visit("live") as seen:
        page = seen.page
        page.get_by_role("button", name="Start").click()
        # How soon there is a name depends on how many frames a busy machine gets to see: the next test is about names.
        page.locator(".person").first.wait_for()
        assert re.search(r"\d+ frames a second, \d+ ms", page.locator(".figures-line").inner_text())
        size = "c => [c.width, c.height, new Set(c.getContext('2d').getImageData(0, 0, 480, 360).data).size]"
        width, height, values = page.locator(".stage canvas").evaluate(size)
        assert (width, height) == (480, 360) and values > 50
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Start").wait_for()
        assert page.locator(".person").count() >= 1, "the cards stay, to be read"
        page.locator(".person").first.get_by_text("Not in the picture any more.").wait_for()


def test_names_of_a_live_stream_are_shown_and_its_end_is_told(browser: Browser, served: Service, clip: Clips) -> None:
    """Events as the service sends them, at moments of the test's choice; the frames go nowhere."""
    person = served.client.identify(clip("bob-1")).people[0].model_dump(mode="json")
    shown = {"verdict": "match", "reason": None, "subject": "bob", "confidence": 0.97}
    track = {"track": 1, "box": [100, 50, 200, 300], "score": 0.9, "gait": 1.5, "usable": True, "shown": shown}
    frames: list[Any] = []
    ends: list[WebSocketRoute] = []

    def answer(socket: WebSocketRoute) -> None:
        ends.append(socket)
        socket.on_message(lambda message: hear(socket, message))
        socket.send(json.dumps({"event": "credit", "frames": 1}))

    def hear(socket: WebSocketRoute, message: str | bytes) -> None:
        frames.append(message)
        if isinstance(message, bytes):
            header = json.loads(frames[-2])
            at = {"seq": header["seq"], "t": header["t"], "width": 480, "height": 360, "latency": 0.05}
            told = {"track": 1, "t": header["t"], "latency": 0.1, "gait": 1.5, "shown": shown, "changed": True}
            for event in (
                {"event": "tracks", **at, "people": [track], "ended": []},
                {"event": "verdict", **told, "final": False, "person": person},
            ):
                socket.send(json.dumps(event))

    with watched(browser, served.url, "/#/system") as seen:
        page = seen.page
        page.route_web_socket("**/stream*", answer)
        page.evaluate("location.hash = '#/live'")
        page.get_by_role("button", name="Start").click()
        page.locator(".log li").wait_for()
        assert "Walker 1: bob, 97 %" in page.locator(".log li").inner_text()
        assert page.locator(".person h2").inner_text() == "bob"
        assert page.locator(".person .distances li").first.inner_text().split()[0] == "bob"
        pixel = "c => [...c.getContext('2d').getImageData(100, 200, 1, 1).data]"
        line = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--match-line')")
        colour = [int(line.strip()[i : i + 2], 16) for i in (1, 3, 5)]
        assert page.locator(".stage canvas").evaluate(pixel)[:3] == pytest.approx(colour, abs=40)
        # One credit, one frame: its header, and a JPEG.
        assert len(frames) == 2 and json.loads(frames[0])["codec"] == "jpeg" and frames[1][:2] == b"\xff\xd8"
        problem = {"code": "stream_timeout", "status": 408, "title": "", "detail": "The stream lasted too long."}
        ends[0].send(json.dumps({"event": "error", **problem}))
        ends[0].close()
        assert "stream_timeout" in page.get_by_role("alert").inner_text()


def test_collections_are_made_chosen_and_deleted(visit: Visit, served: Service) -> None:
    with visit("collections") as seen:
        page = seen.page
        page.get_by_label("Name").fill("door")
        page.get_by_label("Walks expire after days").fill("1")
        page.get_by_role("button", name="Make").click()
        entry = page.locator(".cards li").filter(has=page.get_by_role("heading", name="door"))
        entry.get_by_role("button", name="Use").click()
        entry.get_by_text("in use").wait_for()
        assert page.get_by_label("Collection", exact=True).input_value() == "door"
        assert served.client.collection("door").ttl_seconds == 86400
        page.get_by_role("navigation").get_by_role("link", name="People").click()
        page.get_by_text("No one is enrolled in this collection yet.").wait_for()
        page.get_by_role("navigation").get_by_role("link", name="Collections").click()
        entry.get_by_role("button", name="Delete").click()
        agree = page.get_by_role("dialog").get_by_role("button", name="Delete")
        assert agree.is_disabled()
        page.get_by_label("Type door to go on").fill("door")
        agree.click()
        entry.wait_for(state="detached")
    assert "door" not in [c.name for c in served.client.collections().collections]


def test_the_system_page_tries_every_part(visit: Visit) -> None:
    with visit("system") as seen:
        page = seen.page
        for section, told in (
            ("Checks", "index"),
            ("Service", "sqlite"),
            ("Networks", "gaitpart"),
            ("Figures", "Requests"),
        ):
            page.get_by_role("region", name=section).get_by_text(told).first.wait_for()
        assert page.get_by_role("region", name="Checks").get_by_text("✓").count() == 5


def test_files_of_the_page_are_served_with_a_policy_and_nothing_beside_them(served: Service) -> None:
    with httpx.Client(base_url=served.url, timeout=60) as client:
        page = client.get("/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
        assert not re.search(r"https?://|style=|\son\w+=", page.text)
        script = client.get("/static/main.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        again = client.get("/static/main.js", headers={"If-None-Match": script.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for path in (
            "/static/",
            "/static/nothing.js",
            "/static/views",
            "/static/..%2f__init__.py",
            "/static/../app.py",
        ):
            assert client.get(path).json()["code"] == "route_not_found"
