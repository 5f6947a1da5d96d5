"""The demo from clips to report."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import av
import pytest
from serving import Clips

from gaitkeeper.service.cli import main
from gaitkeeper.service.errors import BadRequest
from gaitkeeper.service.operations import demo
from gaitkeeper.service.operations.report import render
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import Settings

VOID = {"meta", "img", "link", "br", "rect", "input"}


class Page(HTMLParser):
    """What a browser would ask about the report."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self.sources: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        given = dict(attrs)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action"}]
        if tag == "img":
            self.images.append(given)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def test_the_demo_enrols_identifies_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gaitkeeper", "demo", "--out", str(tmp_path / "demo"), "--json"])
    for package in ("numba", "anny", "gaitkeeper.training"):
        monkeypatch.setitem(sys.modules, package, None)  # importing it fails
    with pytest.raises(SystemExit) as caught:
        main()
    reply = json.loads(capsys.readouterr().out)
    assert not caught.value.code
    names = [f"person-{number}" for number in range(1, 6)]
    assert [t["subject"] for t in reply["enrolled"]] == [p["truth"] for p in reply["probes"]] == names
    assert (reply["rank1"], reply["known"]) == (5, 5)
    people = [p["reply"]["people"] for p in reply["probes"]]
    assert [[(p["verdict"], p["candidates"][0]["subject"]) for p in found] for found in people] == [
        [("match", name)] for name in names
    ]
    page = Page((tmp_path / "demo" / "report.html").read_text())
    assert "Rank 1: 5 of 5" in page.text
    assert "the project rendered these clips itself" in page.text
    assert "fusion" in page.text and "uncalibrated" not in page.text


def test_the_shipped_clips_are_small() -> None:
    files = sorted(demo.CLIPS.iterdir())
    gallery, probes = demo.shipped_walks()
    assert files == sorted(walk.clip for walk in gallery + probes) and len(files) == 2 * demo.MOST
    assert max(file.stat().st_size for file in files) < 100_000


@pytest.fixture(scope="module")
def shown(clip: Clips, tmp_path_factory: pytest.TempPathFactory) -> demo.Demo:
    folder = tmp_path_factory.mktemp("demo")
    broken = folder / "broken <b>.mp4"
    broken.write_text("no clip")
    gallery, probes = demo.split([clip("two"), clip("ann-1"), clip("bob-1"), broken])
    with Engine(Settings(store=demo.fresh_store(folder), network="gei")) as engine:
        return demo.run(engine, gallery, probes)


def test_of_clips_given_the_first_is_enrolled_and_the_others_are_named(shown: demo.Demo) -> None:
    assert [item.template.subject for item in shown.enrolled] == ["person-1", "person-2"]
    nearest = [probe.reply.people[0].candidates[0].subject for probe in shown.probes]
    assert sorted(nearest) == ["person-1", "person-2"]
    assert shown.rank1 == (0, 0)
    ((_, error),) = shown.failed
    assert error.code == "unsupported_media"


def test_the_report_needs_nothing_else(shown: demo.Demo) -> None:
    html = render(shown)
    page = Page(html)
    assert not re.search(r"https?:|//|url\(|@import|<script", re.sub(r'"data:[^"]*"', "", html))
    assert page.sources and all(source.startswith("data:image/") for source in page.sources)
    for image in page.images:
        assert image["alt"]
        kind, _, data = str(image["src"]).partition(";base64,")
        demuxer = {"data:image/png": "png_pipe", "data:image/jpeg": "jpeg_pipe"}[kind]
        with av.open(io.BytesIO(base64.b64decode(data)), format=demuxer) as picture:
            frame = next(picture.decode(video=0))
            if kind.endswith("png"):
                assert (frame.width, frame.height) == (1280, 64)
    # Three pictures a walker: two enrolled, two probes.
    assert len(page.images) == 12


def test_the_report_says_what_was_found_and_what_it_is_worth(shown: demo.Demo) -> None:
    html = render(shown)
    page = Page(html)
    assert "no rank-1 figure" in page.text
    assert "uncalibrated" in page.text and "no weights at all" in page.text
    distances = [c.distance for probe in shown.probes for c in probe.reply.people[0].candidates]
    assert all(f"{distance:.3f}" in page.text for distance in distances)
    widths = [float(w) for w in re.findall(r'<rect width="([\d.]+)"', html)]
    assert widths == pytest.approx([100 * distance / max(distances) for distance in distances], abs=0.01)
    assert "broken <b>.mp4" in page.text and "broken &lt;b&gt;.mp4" in html
    assert "perception" in page.text


def test_one_clip_alone_is_no_demo(clip: Clips) -> None:
    with pytest.raises(BadRequest, match="two clips"):
        demo.split([clip("ann-1")])


def test_a_demo_starts_afresh(tmp_path: Path) -> None:
    with Engine(Settings(store=demo.fresh_store(tmp_path))) as engine:
        engine.gallery("kept", create=True)
    with Engine(Settings(store=demo.fresh_store(tmp_path))) as engine:
        assert [c.name for c in engine.store.collections()] == ["default"]
