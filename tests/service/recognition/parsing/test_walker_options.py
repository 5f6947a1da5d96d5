"""Several clips at once, a walker by a point, a least quality, and the network of a collection."""

from __future__ import annotations

import httpx
import pytest
from serving import Clips, Service, Start

from gaitkeeper.gallery.errors import FingerprintMismatch, PoorQuality
from gaitkeeper.models.errors import UnknownNetwork
from gaitkeeper.pipelines.errors import MultiplePeople, NoPerson, TrackNotFound
from gaitkeeper.service.errors import InvalidRequest


@pytest.fixture
def service(start: Start) -> Service:
    return start(network="gei")


def test_several_clips_are_enrolled_together_or_not_at_all(service: Service, clip: Clips) -> None:
    client = service.client
    with pytest.raises(NoPerson) as caught:
        client.enroll(clip("ann-1"), "ann", more=[clip("empty")])
    assert caught.value.extra["clip"] == 2
    with pytest.raises(InvalidRequest):
        client.enroll(clip("ann-1"), "ann", more=[clip("ann-2")], track=1)
    assert client.subjects().subjects == []

    reply = client.enroll(clip("ann-1"), "ann", more=[clip("ann-2")], idempotency_key="both")
    (other,) = reply.others
    assert [t.id for t in client.templates("ann").templates] == [reply.template.id, other.template.id]
    assert reply.clip.sha256 != other.clip.sha256 and other.template.clip_sha256 == other.clip.sha256
    assert client.enroll(clip("ann-1"), "ann", more=[clip("ann-2")], idempotency_key="both") == reply
    files = [("clip", (name, clip(name).read_bytes())) for name in ("ann-1", "ann-2")]
    again = httpx.post(f"{service.url}/enroll", data={"subject": "ann"}, files=files, timeout=60)
    assert again.status_code == 200 and again.json()["others"][0]["template"]["duplicate"]
    swapped = httpx.post(
        f"{service.url}/enroll",
        data={"subject": "ann", "collection": "default", "strict": "false"},
        files=files[::-1],
        headers={"Idempotency-Key": "both"},
        timeout=60,
    )
    assert swapped.json()["code"] == "idempotency_mismatch"


def test_a_walker_is_chosen_by_a_point(service: Service, clip: Clips) -> None:
    client = service.client
    with pytest.raises(MultiplePeople) as caught:
        client.enroll(clip("two"), "ann")
    first, second = caught.value.extra["tracks"]
    (x1, y1, x2, y2), middle = second["box"], (second["start"] + second["end"]) / 2
    there = f"{(x1 + x2) / 2:.1f},{(y1 + y2) / 2:.1f}"
    assert client.enroll(clip("two"), "bob", point=f"{there}@{middle:.2f}").template.track == second["track"]
    assert client.verify(clip("two"), "bob", point=f"{there}@{middle:.2f}").person.track == second["track"]
    for nowhere in ("1,1", f"{there}@600"):
        with pytest.raises(TrackNotFound):
            client.enroll(clip("two"), "ann", point=nowhere)
    with pytest.raises(TrackNotFound):
        client.enroll(clip("two"), "ann", point=f"{there}@{middle:.2f}", track=first["track"])
    with pytest.raises(InvalidRequest):
        client.enroll(clip("two"), "ann", point="here")
    assert client.enroll(clip("ann-1"), "ann", point="240,200").template.track == 1


def test_poorer_walks_than_asked_for_are_no_templates_and_tell_nobody(service: Service, clip: Clips) -> None:
    client = service.client
    with pytest.raises(PoorQuality):
        client.enroll(clip("ann-1"), "ann", min_quality=1.0)
    score = client.enroll(clip("ann-1"), "ann", min_quality=0.2).template.quality.mean_joint_score
    with pytest.raises(PoorQuality):
        client.verify(clip("ann-1"), "ann", min_quality=min(1.0, score + 0.01))
    (person,) = client.identify(clip("ann-1"), min_quality=1.0).people
    assert person.verdict == "inconclusive" and person.candidates[0].subject == "ann"


def test_a_new_collection_gets_the_network_that_is_named(service: Service, clip: Clips) -> None:
    client = service.client
    assert client.enroll(clip("ann-1"), "ann", collection="parts", network="gaitpart").template.trained
    assert str(client.collection("parts").fingerprint).startswith("gaitpart:")
    assert client.identify(clip("ann-2"), collection="parts", network="gaitpart").people
    for wrong in (
        lambda: client.identify(clip("ann-2"), collection="parts", network="gei"),
        lambda: client.enroll(clip("ann-2"), "ann", collection="parts", network="gei"),
        lambda: client.verify(clip("ann-2"), "ann", collection="parts", network="gei"),
    ):
        with pytest.raises(FingerprintMismatch, match="gei"):
            wrong()
    for name in ("nothing", "weights/gaitpart.safetensors", "../x.safetensors"):
        with pytest.raises(UnknownNetwork):
            client.identify(clip("ann-2"), network=name)
