"""Results to take away from the page: the clip with boxes and names, and the table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import av
from chromium import Visit
from serving import Clips, Service


def test_18_a_clip_with_names_and_a_table_are_downloaded_from_the_jobs(
    visit: Visit, served: Service, clip: Clips, tmp_path: Path
) -> None:
    with visit(accept_downloads=True) as seen:
        page = seen.page
        page.locator("#clip").set_input_files(clip("bob-1"))
        page.get_by_text("Settings", exact=True).click()
        page.get_by_label("Keep the clip with boxes and names").check()
        page.get_by_role("button", name="Identify", exact=True).click()
        page.locator(".person").first.wait_for()
        page.get_by_role("navigation").get_by_role("link", name="Jobs").click()
        first = page.locator("[data-view=jobs] .cards li").first
        with page.expect_download() as film:
            first.get_by_role("link", name="Download the clip with names").click()
        film.value.save_as(tmp_path / "film.mp4")
        with page.expect_download() as table:
            first.get_by_role("link", name="Download the table").click()
        table.value.save_as(tmp_path / "people.csv")
        first.get_by_role("link", name="Show the result").click()
        page.wait_for_url("**/#/jobs/*")
        page.locator(".person").first.wait_for()
        page.get_by_role("link", name="Download the table").wait_for()
        page.get_by_role("link", name="Download the clip with names").wait_for()
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in container.decode(video=0)) == 48
    [row] = csv.DictReader(io.StringIO((tmp_path / "people.csv").read_text(), newline=""))
    assert (row["verdict"], row["subject"]) == ("match", "bob")
    assert film.value.suggested_filename.endswith(".mp4") and table.value.suggested_filename.endswith(".csv")
