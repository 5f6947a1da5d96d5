"""Two subjects who may be one person, over REST, by the client and on the command line."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from serving import Clips, Run, Service, Start

from gaitkeeper.gallery import Reason
from gaitkeeper.gallery.errors import BadSubject, Conflict, NotFound
from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.client import Client
from gaitkeeper.service.errors import Forbidden, IdempotencyMismatch
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State


@pytest.fixture
def service(start: Start) -> Service:
    """With a network that needs no weights and has no calibration of its own."""
    return start(network="gei")


def three(client: Client, clip: Clips, collection: str = "default") -> None:
    """Ann under two names, and Bob."""
    for name, film in (("ann", "ann-1"), ("ann-again", "ann-2"), ("bob", "bob-1")):
        client.enroll(clip(film), name, collection=collection)


def test_a_merged_subject_is_found_and_the_other_is_gone(service: Service, clip: Clips) -> None:
    client = service.client
    three(client, clip)
    client.update_subject("ann-again", display_name="Ann", metadata={"site": "north"})
    before = client.identify(clip("ann-2")).people[0].candidates[0]
    assert before.subject == "ann-again"
    merged = client.merge("ann", "ann-again")
    assert (merged.subject, merged.other, merged.templates, merged.pending) == ("ann", "ann-again", 1, False)
    after = client.identify(clip("ann-2")).people[0].candidates
    assert [one.subject for one in after] == ["ann", "bob"]
    assert (after[0].template, after[0].distance) == (before.template, before.distance)
    ann = client.subject("ann")
    assert (ann.subject.display_name, ann.subject.metadata, len(ann.templates)) == ("Ann", {"site": "north"}, 2)
    assert [c.subject for c in client.identify(clip("ann-2"), where={"site": "north"}).people[0].candidates] == ["ann"]
    for ask in (client.subject, client.erase, lambda name: client.verify(clip("ann-2"), name)):
        with pytest.raises(NotFound):
            ask("ann-again")
    for subject, other, error in (
        ("ann", "ann", Conflict),
        ("ann", "nobody", NotFound),
        ("nobody", "ann", NotFound),
        ("ann", "a/b", BadSubject),
    ):
        with pytest.raises(error):
            client.merge(subject, other)
    assert client.erase("ann").templates == 2


def test_a_merged_subject_stays_on_watch_lists(service: Service, clip: Clips) -> None:
    client = service.client
    three(client, clip)
    client.add_watchlist("one", ["ann-again", "bob"])
    client.add_watchlist("both", ["ann", "ann-again"])
    client.create_collection("cellar")
    client.enroll(clip("ann-2"), "ann-again", collection="cellar")
    client.add_watchlist("other", ["ann-again"], collection="cellar")
    client.merge("ann", "ann-again")
    assert {one.name: one.subjects for one in client.watchlists().watchlists} == {
        "one": ["ann", "bob"],
        "both": ["ann"],
        "other": ["ann-again"],
    }


def test_a_merge_with_a_key_is_done_once(service: Service, clip: Clips) -> None:
    client = service.client
    three(client, clip)
    first = client.merge("ann", "ann-again", idempotency_key="one")
    assert client.merge("ann", "ann-again", idempotency_key="one") == first
    with pytest.raises(IdempotencyMismatch):
        client.merge("ann", "bob", idempotency_key="one")
    with pytest.raises(NotFound):
        client.merge("ann", "ann-again", idempotency_key="two")
    with pytest.raises(NotFound):
        client.merge("ann", "ann-again", idempotency_key="two")  # an error is not kept
    client.erase("ann")
    with pytest.raises(NotFound):
        client.merge("ann", "ann-again", idempotency_key="one")  # neither is a reply that names an erased subject


def test_kept_replies_that_name_the_other_go_with_the_merge(service: Service, clip: Clips) -> None:
    client = service.client
    client.enroll(clip("ann-1"), "ann")
    kept = client.enroll(clip("ann-2"), "ann-again", idempotency_key="enrolled")
    assert client.enroll(clip("ann-2"), "ann-again", idempotency_key="enrolled") == kept
    client.merge("ann", "ann-again")
    repeated = client.enroll(clip("ann-2"), "ann", idempotency_key="enrolled")
    assert repeated.template.duplicate and repeated.template.id == kept.template.id


def test_doubles_are_listed_until_they_are_told_apart(calibrated: None, service: Service, clip: Clips) -> None:
    client = service.client
    assert client.doubles().reason is Reason.EMPTY_GALLERY
    three(client, clip)
    found = client.doubles()
    pairs = [("ann", "ann-again"), ("ann", "bob"), ("ann-again", "bob")]
    assert found.reason is None and sorted((one.subject, one.other) for one in found.doubles) == pairs
    assert (found.doubles[0].subject, found.doubles[0].other) == ("ann", "ann-again"), "the nearest two"
    address = f"{service.url}/collections/default/doubles"
    page = httpx.get(address, params={"limit": 1}, timeout=60).json()
    assert ({one["subject"] for one in page["doubles"]}, page["next"]) == ({"ann"}, "ann")
    page = httpx.get(address, params={"limit": 2, "after": "ann"}, timeout=60).json()
    assert ([(one["subject"], one["other"]) for one in page["doubles"]], page["next"]) == (pairs[2:], None)
    told = client.tell_apart("bob", "ann")
    assert (told.subject, told.other, told.collection) == ("bob", "ann", "default")
    assert [(one.subject, one.other) for one in client.doubles().doubles if "bob" in (one.subject, one.other)] == [
        ("ann-again", "bob")
    ]
    with pytest.raises(Conflict):
        client.tell_apart("ann", "ann")
    client.merge("ann", "ann-again")
    assert [(one.subject, one.other) for one in client.doubles().doubles] == [("ann", "bob")]


def test_without_a_calibration_nobody_is_a_double(service: Service, clip: Clips) -> None:
    three(service.client, clip)
    found = service.client.doubles()
    assert (found.doubles, found.reason) == ([], Reason.UNCALIBRATED)


def test_walks_are_compared_and_watched(service: Service, clip: Clips) -> None:
    client = service.client
    three(client, clip)
    client.enroll(clip("cid-1"), "bob")
    both = client.distances("ann", "bob")
    assert [one.subject for one in both.templates] == ["ann", "bob", "bob"]
    table = np.array(both.distances)
    assert table.shape == (3, 3) and np.allclose(np.diag(table), 0, atol=1e-5) and np.allclose(table, table.T)
    assert (table[~np.eye(3, dtype=bool)] > 0).all()
    found = client.verify(clip("ann-1"), "bob").person
    assert found.distance == pytest.approx(table[0, 1:].min(), rel=1e-4)
    alone = client.distances("bob")
    assert alone.other is None and np.allclose(alone.distances, table[1:, 1:], atol=1e-5)
    with pytest.raises(NotFound):
        client.distances("ann", "nobody")
    template = both.templates[0]
    walk = client.silhouettes("ann", template.id)
    sheet = cv2.imdecode(np.frombuffer(base64.b64decode(walk.silhouettes), np.uint8), cv2.IMREAD_UNCHANGED)
    assert sheet.shape == (64, 64 * walk.frames) and set(np.unique(sheet)) == {0, 255}
    assert 10 <= walk.frames <= 60 and 7.5 <= walk.rate_hz <= 15
    cells = [sheet[:, start : start + 64] for start in range(0, sheet.shape[1], 64)]
    assert all(cell.any() for cell in cells)
    assert any((one != two).any() for one, two in pairwise(cells)), "it moves"
    with pytest.raises(NotFound):
        client.silhouettes("bob", template.id)


def test_a_key_reads_and_merges_only_where_it_may(start: Start, clip: Clips, tmp_path: Path) -> None:
    state = State(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}").state_path)
    keys = Keys(state)
    secrets = {
        name: keys.create(scopes, ["hall"], name)[1]
        for name, scopes in (("viewer", [Scope.VIEWER]), ("enrols", [Scope.ENROL]), ("admin", [Scope.ADMIN]))
    }
    everywhere = keys.create([Scope.ADMIN])[1]
    state.close()
    service = start(network="gei")
    with Client(service.url, key=everywhere, timeout=300) as client:
        for collection in ("hall", "cellar"):
            client.create_collection(collection)
            three(client, clip, collection)
    with Client(service.url, key=secrets["viewer"]) as viewer:
        template = viewer.distances("ann", "bob", collection="hall").templates[0]
        assert viewer.silhouettes("ann", template.id, collection="hall").frames
        assert viewer.doubles(collection="hall").reason is Reason.UNCALIBRATED
        for ask in (
            lambda: viewer.merge("ann", "bob", collection="hall"),
            lambda: viewer.tell_apart("ann", "bob", collection="hall"),
            lambda: viewer.doubles(collection="cellar"),
            lambda: viewer.distances("ann", collection="cellar"),
        ):
            with pytest.raises(Forbidden):
                ask()
    with Client(service.url, key=secrets["enrols"]) as enrols, pytest.raises(Forbidden):
        enrols.merge("ann", "bob", collection="hall")
    with Client(service.url, key=secrets["admin"]) as admin:
        assert admin.tell_apart("ann", "bob", collection="hall").other == "bob"
        assert admin.merge("ann", "ann-again", collection="hall", idempotency_key="k").templates == 1
        for ask in (
            lambda: admin.merge("ann", "ann-again", collection="cellar"),
            lambda: admin.merge("ann", "ann-again", collection="cellar", idempotency_key="k"),
            lambda: admin.tell_apart("ann", "bob", collection="cellar"),
        ):
            with pytest.raises(Forbidden):
                ask()


@pytest.mark.parametrize("with_server", [True, False])
def test_the_commands_merge_list_and_tell_apart(
    calibrated: None,
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

    def told(*args: object) -> str:
        outcome = command(*args, *place)
        assert not outcome.code, outcome.err
        return outcome.out

    assert "no likely doubles (empty_gallery)" in told("subjects", "doubles")
    for name, film in (("ann", "ann-1"), ("ann-again", "ann-2"), ("bob", "bob-1")):
        told("enroll", clip(film), "-s", name)
    assert "ann-again" in told("subjects", "doubles")
    assert "ann and bob are different people" in told("subjects", "apart", "ann", "bob")
    told("subjects", "apart", "ann-again", "bob")
    (only,) = json.loads(told("subjects", "doubles", "--json"))["doubles"]
    assert (only["subject"], only["other"]) == ("ann", "ann-again")
    assert "ann-again merged into ann, with 1 template(s)" in told("subjects", "merge", "ann", "ann-again")
    refused = command("subjects", "merge", "ann", "ann-again", *place)
    assert refused.code == 2 and "[not_found]" in refused.err
