"""Broken clips at the door of a real service: each gets a documented answer, and nothing stays behind.

``GAITKEEPER_FUZZ_CLIPS`` says how many; ``make fuzz`` sends 2,000.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import hostile
import httpx
import psutil
import pytest
from serving import Clips, Start

from gaitkeeper import models

COUNT = int(os.environ.get("GAITKEEPER_FUZZ_CLIPS", "100"))
DEADLINE = 600.0
"""Seconds for a clip. A clip without end has hundreds of frames to look at, which a busy machine takes minutes for."""
CODES = {
    "bad_request", "too_large", "empty_upload", "unsupported_media", "undecodable", "no_video", "too_short",
    "no_person", "cut_off",
}  # fmt: skip


def test_every_broken_clip_gets_a_documented_answer(
    start: Start, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.load("gaitpart")  # torch makes a folder of its own where the first network is loaded
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(uploads))
    others = psutil.Process().children()  # of other tests in this process
    service = start(deadline=DEADLINE)
    service.client.enroll(clip("ann-1"), "ann")
    (decoder,) = (p for p in psutil.Process().children() if p not in others)
    descriptors, met = psutil.Process().num_fds(), set()
    with httpx.Client(base_url=service.url, timeout=DEADLINE + 10) as client:
        for number, (name, data) in enumerate(hostile.clips(COUNT)):
            path = ("/identify", "/enroll", "/walkers")[number % 3]
            fields = {"subject": "eve", "collection": "broken"} if path == "/enroll" else {}
            reply = client.post(path, data=fields, files={"clip": ("walk.mp4", data)})
            document = reply.json()
            assert 400 <= reply.status_code < 500, (name, document)  # so none took until the deadline, which is a 504
            assert document["code"] in CODES, (name, document)
            assert "Traceback" not in reply.text and str(tmp_path) not in reply.text, name
            met.add(document["code"])
    assert {"undecodable", "unsupported_media", "no_video", "too_short", "no_person"} <= met
    assert decoder.is_running() and list(uploads.iterdir()) == []
    end = time.monotonic() + 60
    while decoder.children() and time.monotonic() < end:
        time.sleep(0.02)
    assert decoder.children() == []
    assert psutil.Process().num_fds() <= descriptors + 2  # the connection of this test, both ends
    assert service.client.identify(clip("ann-2")).people[0].candidates[0].subject == "ann"


def test_a_stream_that_changes_its_size_is_read_at_its_first(start: Start) -> None:
    from gaitkeeper.pipelines.decode import frames, probe

    data = next(data for name, data in hostile.clips(len(hostile.KINDS)) if name.startswith("growing"))
    info = probe(data)
    shapes = {frame.image.shape for frame in frames(data, info)}
    assert shapes == {(info.height, info.width, 3)} == {(64, 96, 3)}
    assert info.frames == 24
