"""Strangers who come back, over REST and from the command line."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from serving import Clips, Run, Service, Start

from gaitkeeper.gallery.decision import calibration
from gaitkeeper.gallery.errors import BadSubject, NotFound


@pytest.fixture
def calibrated(start: Start, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service whose threshold lies half-way between two walks of one person and of two; it knows bob."""
    first = start(network="gei").client
    for subject, name in (("ann", "ann-1"), ("bob", "bob-1")):
        first.enroll(clip(name), subject, collection="measured")
    near, far = first.identify(clip("ann-2"), collection="measured").people[0].candidates
    assert near.subject == "ann"
    found = {
        "fingerprint": "gei:none:1:blazepose-full/1",
        "thresholds": [{"fpir": 0.01, "gallery_sizes": [1], "distances": [(near.distance + far.distance) / 2]}],
        "confidence": {"distances": [0.0, far.distance], "confidences": [1.0, 0.0]},
    }
    (tmp_path / "calibration.json").write_text(json.dumps({"calibrations": [found]}))
    monkeypatch.setattr(calibration, "SHIPPED", tmp_path)
    calibration.shipped_calibrations.cache_clear()
    service = start(network="gei")
    service.client.enroll(clip("bob-1"), "bob")
    yield service
    calibration.shipped_calibrations.cache_clear()


def test_whoever_comes_back_is_named(calibrated: Service, clip: Clips, command: Run) -> None:
    client = calibrated.client
    assert client.identify(clip("ann-1")).people[0].stranger is None
    assert client.strangers().model_dump() == {"collection": "default", "keep_seconds": None, "groups": []}

    assert client.keep_strangers(3600).keep_seconds == 3600
    kept = [client.identify(clip(name)).people[0] for name in ("ann-1", "ann-2", "bob-1")]
    assert [str(person.verdict) for person in kept] == ["unknown", "unknown", "match"]
    assert kept[0].stranger and kept[1].stranger and kept[2].stranger is None
    assert client.identify(clip("ann-1"), where={"site": "north"}).people[0].stranger is None
    (group,) = client.strangers().groups
    assert [stranger.id for stranger in group.strangers] == [kept[0].stranger, kept[1].stranger]
    assert base64.b64decode(client.stranger_pictures(kept[0].stranger).silhouettes).startswith(b"\x89PNG")
    for nobody in ("0" * 32, "..%2F", "default~strangers"):
        with pytest.raises(NotFound):
            client.stranger_pictures(nobody)
    assert [one.name for one in client.collections().collections] == ["default", "measured"]
    assert httpx.get(f"{calibrated.url}/collections/default~strangers", timeout=60).json()["code"] == "bad_collection"

    with pytest.raises(BadSubject):
        client.name_strangers(group.id, "a/b")
    assert len(client.name_strangers(group.id, "ann").templates) == 2
    assert client.strangers().groups == []
    assert str(client.identify(clip("ann-1")).people[0].verdict) == "match"

    def run(*args: str) -> str:
        outcome = command("strangers", *args, "--server", calibrated.url)
        assert not outcome.code, outcome.err
        return outcome.out

    client.erase("ann")
    assert client.identify(clip("ann-2")).people[0].stranger
    (group,) = client.strangers().groups
    assert group.id in run("list")
    assert "enrolled with 1 template" in run("name", group.id, "ann")
    client.erase("ann")
    client.identify(clip("ann-2"))
    assert "1 stranger(s) forgotten" in run("forget")
    assert "No strangers are kept" in run("keep")
    assert "keeps no strangers" in run("list")


def test_they_go_with_their_collection(calibrated: Service, clip: Clips) -> None:
    client = calibrated.client
    client.enroll(clip("bob-1"), "bob", collection="door")
    client.keep_strangers(3600, collection="door")
    assert client.identify(clip("ann-1"), collection="door").people[0].stranger
    client.delete_collection("door")
    client.enroll(clip("bob-1"), "bob", collection="door")
    client.keep_strangers(3600, collection="door")
    assert client.strangers(collection="door").groups == []
