"""Verification, changes to subjects and collections, over REST and from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from serving import Clips, Run, Service, Start

from gaitkeeper.gallery import Verdict
from gaitkeeper.gallery.errors import BadSubject, Conflict, LooksLikeOtherSubject, NotFound
from gaitkeeper.pipelines.errors import MultiplePeople
from gaitkeeper.service.errors import InvalidRequest
from gaitkeeper.service.recognition.parsing.metadata import pairs_of


@pytest.fixture
def service(start: Start) -> Service:
    """With a network that needs no weights and has no calibration."""
    return start(network="gei")


def told(command: Run, *args: object) -> str:
    """The command's output, after it succeeded."""
    outcome = command(*args)
    assert not outcome.code, outcome.err
    return outcome.out + outcome.err


def test_a_claim_is_verified(service: Service, clip: Clips) -> None:
    service.client.enroll(clip("ann-1"), "ann")
    service.client.enroll(clip("bob-1"), "bob")
    ann, bob = (service.client.verify(clip("ann-2"), name).person for name in ("ann", "bob"))
    assert (ann.verdict, ann.reason, ann.subject, ann.threshold.fmr) == ("inconclusive", "uncalibrated", "ann", 0.001)
    assert ann.distance is not None and bob.distance is not None and ann.distance < bob.distance
    assert ann.distance == service.client.identify(clip("ann-2")).people[0].candidates[0].distance
    with pytest.raises(NotFound):
        service.client.verify(clip("ann-2"), "nobody")
    with pytest.raises(MultiplePeople):
        service.client.verify(clip("two"), "ann")
    assert service.client.verify(clip("two"), "ann", track=2).person.track == 2


def test_a_look_alike_is_a_warning_or_strictly_a_conflict(calibrated: None, service: Service, clip: Clips) -> None:
    assert service.client.enroll(clip("ann-1"), "ann").warning is None
    warning = service.client.enroll(clip("bob-1"), "bob").warning
    assert warning is not None and (warning.subject, warning.code) == ("ann", "looks_like_other_subject")
    with pytest.raises(LooksLikeOtherSubject):
        service.client.enroll(clip("ann-2"), "carol", strict=True)
    assert service.client.verify(clip("ann-2"), "ann").person.verdict is Verdict.MATCH
    files = {"clip": clip("bob-1").open("rb")}
    again = httpx.post(f"{service.url}/enroll", data={"subject": "bob"}, files=files, timeout=60)
    assert again.status_code == 200 and again.json()["template"]["duplicate"]


def test_one_name_in_two_forms_is_one_subject_by_every_address(service: Service, clip: Clips) -> None:
    client, typed, composed = service.client, "Zoe\u0308", "Zo\u00eb"
    assert client.enroll(clip("ann-1"), typed).template.subject == composed
    assert client.enroll(clip("ann-1"), composed).template.duplicate
    address = f"{service.url}/collections/default/subjects/{quote(typed)}"
    assert httpx.get(address, timeout=60).json()["subject"]["subject"] == composed
    assert httpx.get(f"{address}/templates", timeout=60).json()["subject"] == composed
    assert client.verify(clip("ann-2"), typed).person.subject == composed
    after = httpx.get(f"{service.url}/collections/default/subjects", params={"after": typed}, timeout=60)
    assert after.json()["subjects"] == []
    client.update_subject(typed, display_name="Zoë")
    client.erase(typed)
    assert client.subjects().subjects == []


def test_a_subject_is_changed_and_found_by_what_was_changed(service: Service, clip: Clips) -> None:
    client = service.client
    for name, film in (("ann", "ann-1"), ("bob", "bob-1")):
        client.enroll(clip(film), name)
    changed = client.update_subject("bob", display_name="Bob B.", metadata={"site": "north"}, legal_basis="consent")
    assert (changed.subject.display_name, changed.subject.metadata) == ("Bob B.", {"site": "north"})
    assert changed.subject.legal_basis == "consent"
    assert client.update_subject("bob", display_name="Bob").subject.metadata == {"site": "north"}
    (person,) = client.identify(clip("ann-2"), where={"site": "north"}).people
    assert [c.subject for c in person.candidates] == ["bob"] and person.threshold.gallery_size == 1
    assert client.identify(clip("ann-2"), where={"site": "south"}).people[0].reason == "empty_gallery"
    with pytest.raises(NotFound):
        client.update_subject("nobody", display_name="N")
    with pytest.raises(BadSubject):
        client.update_subject("bob", display_name="x" * 300)
    reply = httpx.patch(f"{service.url}/collections/default/subjects/bob", json={"id": "robert"}, timeout=60)
    assert (reply.status_code, reply.json()["code"]) == (422, "unknown_field")
    data = {"where": "north"}
    reply = httpx.post(f"{service.url}/identify", data=data, files={"clip": clip("ann-2").open("rb")}, timeout=60)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")


def test_one_template_is_deleted(service: Service, clip: Clips) -> None:
    client = service.client
    first, second = (client.enroll(clip(film), "ann").template.id for film in ("ann-1", "ann-2"))
    other = client.enroll(clip("bob-1"), "bob").template.id
    assert client.delete_template("ann", first).templates == 1
    assert [t.id for t in client.subject("ann").templates] == [second]
    for subject, template in (("ann", first), ("ann", other), ("bob", "no such id"), ("nobody", second)):
        with pytest.raises(NotFound):
            client.delete_template(subject, template)
    assert client.subject("bob").templates[0].id == other


def test_a_template_of_somebody_else_is_reported(service: Service, clip: Clips) -> None:
    client = service.client
    for subject, film in (("ann", "ann-1"), ("bob", "bob-1")):
        client.enroll(clip(film), subject)
    assert client.subject("bob").outliers == []
    wrong = client.enroll(clip("ann-2"), "bob").template.id
    assert wrong in {outlier.template for outlier in client.subject("bob").outliers}


def test_collections_are_made_and_deleted(service: Service, clip: Clips) -> None:
    client = service.client
    made = client.create_collection("hall", keeps_heatmaps=True, ttl_seconds=3600)
    assert (made.name, made.keeps_heatmaps, made.ttl_seconds, made.fingerprint) == ("hall", True, 3600, None)
    with pytest.raises(Conflict):
        client.create_collection("hall")
    client.enroll(clip("ann-1"), "ann", collection="hall")
    assert [(c.name, c.templates) for c in client.collections().collections] == [("default", 0), ("hall", 1)]
    assert client.collection("hall").fingerprint is not None
    assert client.identify(clip("ann-2"), collection="hall").people[0].candidates[0].subject == "ann"
    assert client.delete_collection("hall").templates == 1
    with pytest.raises(NotFound):
        client.identify(clip("ann-2"), collection="hall")
    assert client.enroll(clip("bob-1"), "bob", collection="hall").template.collection == "hall"
    assert client.identify(clip("ann-2"), collection="hall").people[0].candidates[0].subject == "bob"
    client.enroll(clip("ann-1"), "ann")
    assert client.delete_collection("default").templates == 1
    assert client.identify(clip("ann-2")).people[0].reason == "empty_gallery"
    reply = httpx.post(f"{service.url}/collections", json={"name": "-"}, timeout=60)
    assert (reply.status_code, reply.json()["code"]) == (422, "bad_collection")


def test_a_running_service_follows_a_collection_that_moves(start: Start, clip: Clips, command: Run) -> None:
    service = start(network="gei")
    place = ("--store", f"sqlite:///{service.store}")
    service.client.enroll(clip("ann-1"), "ann")
    before = service.client.identify(clip("ann-2")).people[0]
    shown = told(command, "collections", "migrate", "default", "--to", "gaitset", *place)
    assert "1 template(s), now of gaitset:" in shown
    after = service.client.identify(clip("ann-2")).people[0]
    assert (after.fingerprint.network, after.candidates[0].subject) == ("gaitset", "ann")
    assert service.client.enroll(clip("bob-1"), "bob").template.fingerprint == after.fingerprint
    assert "gei" in told(command, "collections", "list", *place)
    told(command, "collections", "migrate", "default", "--rollback", "--json", *place)
    back = service.client.identify(clip("ann-2")).people[0]
    assert back.fingerprint == before.fingerprint
    assert back.candidates[0].distance == before.candidates[0].distance
    assert [c.subject for c in back.candidates] == ["ann", "bob"]
    assert service.client.ready().checks["index"] >= 0


def test_18_a_third_network_follows_after_the_way_back_is_dropped(clip: Clips, command: Run, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'own.db'}"
    told(command, "enroll", clip("ann-1"), "-s", "ann", "--network", "gei", "--store", store)
    place = ("collections", "migrate", "default", "--store", store)
    shown = command(*place, "--to", "gaitset")
    assert shown.code == 0 and "warning: gaitset is untrained: its weights are random" in shown.err
    assert "warning" not in told(command, *place, "--rollback")
    refused = command(*place, "--to", "gaitpart")
    assert refused.code == 2 and "[conflict]" in refused.err
    assert "gaitkeeper collections migrate default --drop" in refused.err
    shown = command(*place, "--drop")
    assert "the other network's 1 embedding(s) deleted" in shown.out and "still of gei:" in shown.out
    moved = command(*place, "--to", "gaitpart")
    assert moved.code == 0 and "now of gaitpart:" in moved.out and "warning" not in moved.err
    assert command(*place, "--drop", "--json").code == 0
    assert command(*place, "--rollback").code == 2, "there is no way back any more"


def test_a_migration_is_to_a_network_or_back(command: Run, tmp_path: Path) -> None:
    place = ("--store", f"sqlite:///{tmp_path / 'own.db'}")
    for args, code in (
        ((), "bad_settings"),
        (("--to", "gei", "--rollback"), "bad_settings"),
        (("--to", "gei", "--drop"), "bad_settings"),
        (("--drop",), "not_found"),
        (("--to", "nonsense"), "unknown_network"),
        (("--to", "gei"), "not_found"),
    ):
        outcome = command("collections", "migrate", "default", *args, *place)
        assert outcome.code == 2
        assert f"[{code}]" in outcome.err


@pytest.mark.parametrize("with_server", [True, False])
def test_the_commands_do_what_the_client_does(
    request: pytest.FixtureRequest,
    clip: Clips,
    command: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    with_server: bool,
) -> None:
    if with_server:
        place = ("--server", request.getfixturevalue("service").url)
    else:
        place = ("--store", f"sqlite:///{tmp_path / 'own.db'}")

    monkeypatch.setenv("GAITKEEPER_NETWORK", "gei")

    def gaitkeeper(*args: object) -> str:
        return told(command, *args, *place)

    for subject, film in (("ann", "ann-1"), ("bob", "bob-1"), ("bob", "ann-2")):
        gaitkeeper("enroll", clip(film), "-s", subject)
    assert "inconclusive (uncalibrated), distance" in gaitkeeper("verify", clip("ann-2"), "-s", "ann")
    assert json.loads(gaitkeeper("verify", clip("ann-2"), "-s", "ann", "--json"))["person"]["subject"] == "ann"
    assert "outlier" in gaitkeeper("subjects", "show", "bob")
    template = json.loads(gaitkeeper("subjects", "show", "bob", "--json"))["templates"][1]["id"]
    assert "1 template(s) deleted" in gaitkeeper("subjects", "delete-template", "bob", template[:8])
    gaitkeeper("subjects", "update", "bob", "--name", "Bob", "--meta", "site=north", "--meta", "team=a=b")
    shown = json.loads(gaitkeeper("subjects", "show", "bob", "--json"))["subject"]
    assert (shown["display_name"], shown["metadata"]) == ("Bob", {"site": "north", "team": "a=b"})
    found = json.loads(gaitkeeper("identify", clip("ann-2"), "--where", "site=north", "--json"))
    assert [c["subject"] for c in found["people"][0]["candidates"]] == ["bob"]
    assert "hall is there" in gaitkeeper("collections", "create", "hall", "--keep-heatmaps")
    assert "hall" in gaitkeeper("collections", "list")
    assert "hall deleted with 0 template(s)" in gaitkeeper("collections", "delete", "hall")


def test_conditions_are_keys_and_values() -> None:
    assert pairs_of(["site=north", "a=b=c", "empty="]) == {"site": "north", "a": "b=c", "empty": ""}
    for wrong in (["north"], ["a=1", "a=2"]):
        with pytest.raises(InvalidRequest, match="key=value"):
            pairs_of(wrong)
