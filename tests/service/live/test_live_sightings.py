"""What a live stream says of its people is kept as sightings: over a WebSocket, and by ``watch`` in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from serving import Clips, Run, Service, running
from streaming import in_step, jpegs, waited_for

from gaitkeeper.service.live.events import VerdictEvent
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import Settings


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, clip: Clips) -> Iterator[Service]:
    """A service that knows four people."""
    store = tmp_path_factory.mktemp("stream") / "gallery.db"
    with running(Settings(store=f"sqlite:///{store}"), store) as made:
        for name in ("ann", "bob", "cid", "dora"):
            made.client.enroll(clip(f"{name}-1"), name)
        yield made


def test_18_a_track_of_a_stream_is_one_sighting_with_its_last_name(service: Service, clip: Clips) -> None:
    frames = jpegs(clip("ann-long"))

    def stream(**options: object) -> list[VerdictEvent]:
        with service.client.stream(camera="door", **options) as live:
            # However slow the machine, the walk begins when she has been found.
            sent = waited_for(live, frames[0][1], "jpeg")
            events = list(in_step(live, [(sent / 30 + t, data) for t, data in frames], "jpeg", sent))
        return [event for event in events if isinstance(event, VerdictEvent)]

    stream()
    listing = f"{service.url}/sightings"
    assert httpx.get(listing, timeout=60).json()["sightings"] == []  # not asked for

    httpx.patch(f"{service.url}/collections/default", json={"sightings_seconds": 3600}, timeout=60)
    last = stream()[-1]
    assert last.final and last.shown.subject == "ann" and last.person is not None
    [one] = httpx.get(listing, timeout=60).json()["sightings"]
    assert (one["verdict"], one["subject"], one["camera"], one["source"]) == ("match", "ann", "door", "stream")
    assert one["distance"] == pytest.approx(last.person.candidates[0].distance)
    assert (one["clip_sha256"], one["track"], one["searchable"]) == (None, 1, False)
    assert (one["start"], one["end"]) == pytest.approx((last.person.start, last.person.end))
    picture = httpx.get(f"{listing}/{one['id']}/thumbnail", timeout=60).content
    assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) is not None
    subject = httpx.get(f"{service.url}/collections/default/subjects/ann", timeout=60).json()["subject"]
    assert subject["last_seen"] == {"time": one["time"], "camera": "door"}

    # Among subjects with other metadata she is none of them, which says nothing of who she is.
    stream(where={"site": "north"})
    assert len(httpx.get(listing, timeout=60).json()["sightings"]) == 1


def test_18_what_is_watched_in_this_process_is_kept_too(clip: Clips, tmp_path: Path, command: Run) -> None:
    store = f"sqlite:///{tmp_path / 'gallery.db'}"
    with Engine(Settings(store=store)) as engine:
        for name in ("ann", "bob", "cid", "dora"):
            engine.enroll(clip(f"{name}-1"), name)
        engine.update_collection("default", sightings_seconds=3600)
    done = command("watch", clip("ann-long"), "--store", store, "--camera", "hall", "--json")
    assert not done.code, done.err
    with Engine(Settings(store=store)) as engine:
        found = engine.sightings().sightings
    events = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
    ends = [event for event in events if event["event"] == "verdict" and event["final"] and event["person"]]
    assert [(one.source, one.camera) for one in found] == [("stream", "hall")] * len(ends)
    assert [(str(one.verdict), one.subject) for one in reversed(found)] == [
        (event["shown"]["verdict"], event["shown"]["subject"]) for event in ends
    ]
