"""What every store must do for two subjects who may be one person: merge them, or keep that they are not."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace

import numpy as np
import pytest
from following import Follower, replay

from gaitkeeper.gallery.errors import BadSubject, Conflict, NotFound, Overtaken
from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject
from gaitkeeper.gallery.types import Action

ALICE, BOB, CAROL = NewSubject("alice"), NewSubject("bob"), NewSubject("carol")
KEY = bytes(range(32))


@pytest.fixture(params=["plain", "sealed"])
def either(request, store_url):
    """An open store whose collection ``default`` is encrypted or not."""
    store = open_store(store_url, Vault([KEY]) if request.param == "sealed" else None)
    store.ensure_collection("default")
    yield store
    store.close()


def enrol(store, new_template, *subjects):
    return [store.enroll("default", subject, new_template(i, clip=i)) for i, subject in enumerate(subjects)]


def test_a_merge_moves_all_walks_and_the_other_id_is_gone(either, new_template):
    templates = enrol(either, new_template, BOB, ALICE, BOB, CAROL, ALICE)
    digest = either.digest("default")
    follower = Follower(either)
    follower.follow()
    merge = either.merge("default", "alice", "bob")
    assert (merge.subject, merge.other, merge.templates, merge.pending) == ("alice", "bob", 2, False)
    assert [s.subject for s in either.subjects("default")] == ["alice", "carol"]
    assert either.subject("default", "alice").templates == 4
    mine = [template for template in templates if template.subject != "carol"]
    assert either.templates("default", "alice") == [t.model_copy(update={"subject": "alice"}) for t in mine]
    for i, template in enumerate(templates):
        assert np.array_equal(either.embedding("default", template.id), new_template(i).embedding)
        assert either.sequence("default", template.id) == new_template(i).sequence
    assert either.digest("default") == digest
    expected = {t.id: "carol" if t.subject == "carol" else "alice" for t in templates}
    for known in (follower.follow(limit=1), replay(either)):
        assert {t: change.subject for t, change in known.items()} == expected
    for ask in (either.subject, either.templates, either.erase):
        with pytest.raises(NotFound):
            ask("default", "bob")
    again = either.enroll("default", ALICE, new_template(0, clip=0))
    assert (again.duplicate, again.id) == (True, templates[0].id)


def test_values_of_the_remaining_subject_win(store, new_template):
    alice = NewSubject("alice", metadata={"site": "north"}, legal_basis="contract")
    bob = NewSubject("bob", "Bob", {"site": "south", "badge": "7"}, "consent")
    store.enroll("default", alice, new_template(1))
    store.enroll("default", bob, new_template(2))
    before = store.subject("default", "alice")
    store.merge("default", "alice", "bob")
    merged = store.subject("default", "alice")
    assert (merged.display_name, merged.legal_basis, merged.created) == ("Bob", "contract", before.created)
    assert merged.metadata == {"site": "north", "badge": "7"}
    assert {change.subject for change in replay(store).values()} == {"alice"}
    assert all(change.metadata == merged.metadata for change in replay(store).values())


def test_a_merge_that_cannot_be_changes_nothing(store, new_template):
    enrol(store, new_template, ALICE, BOB)
    store.update_subject("default", NewSubject("alice", metadata={f"a{i}": "" for i in range(40)}))
    store.update_subject("default", NewSubject("bob", metadata={f"b{i}": "" for i in range(40)}))
    follower = Follower(store)
    follower.follow()
    for subject, other, error in (
        ("alice", "alice", Conflict),
        ("alice", "nobody", NotFound),
        ("nobody", "alice", NotFound),
        ("alice", "bob", BadSubject),
    ):
        with pytest.raises(error):
            store.merge("default", subject, other)
    with pytest.raises(NotFound):
        store.merge("cellar", "alice", "bob")
    assert not follower.step()
    assert [s.templates for s in store.subjects("default")] == [1, 1]


def test_whoever_looked_before_a_merge_is_overtaken(store, new_template):
    enrol(store, new_template, ALICE, BOB)
    follower = Follower(store)
    follower.follow()
    store.merge("default", "alice", "bob")
    with pytest.raises(Overtaken):
        store.enroll("default", CAROL, new_template(9), follower.cursor)


def test_walks_in_migration_move_with_both_embeddings(either, new_template, fingerprint):
    templates = enrol(either, new_template, ALICE, BOB, BOB)
    other = replace(fingerprint, network="gaitset")
    either.begin_shadow("default", other)
    for i, template in enumerate(templates[:2]):
        either.put_shadow("default", template.id, other, new_template(50 + i).embedding)
    either.merge("default", "alice", "bob")
    assert either.shadow_missing("default") == [templates[2].id]
    either.put_shadow("default", templates[2].id, other, new_template(52).embedding)
    either.flip("default")
    for i, template in enumerate(templates):
        assert np.array_equal(either.embedding("default", template.id), new_template(50 + i).embedding)
    assert {change.subject for change in replay(either).values()} == {"alice"}
    either.flip("default", back=True)
    for i, template in enumerate(templates):
        assert np.array_equal(either.embedding("default", template.id), new_template(i).embedding)


def test_erasing_the_remaining_subject_erases_all(either, new_template):
    enrol(either, new_template, ALICE, BOB, BOB)
    either.merge("default", "alice", "bob")
    report = either.audit("default")
    assert [(e.action, e.templates) for e in report.entries[-2:]] == [(Action.MERGE, 2), (Action.MERGED_AWAY, 2)]
    assert report.entries[-2].subject == report.entries[1].subject  # alice
    assert report.entries[-1].subject == report.entries[2].subject  # bob
    assert (report.erased, report.left, report.pending) == (1, (), False)
    assert either.erase("default", "alice").templates == 3
    report = either.audit("default")
    assert (report.erased, report.left) == (2, ())
    assert either.collection("default").fingerprint is None


def test_a_subject_without_walks_can_be_merged_both_ways(either, new_template):
    alice, bob = enrol(either, new_template, ALICE, BOB)
    either.delete_template("default", bob.id)
    assert either.merge("default", "alice", "bob").templates == 0
    either.delete_template("default", alice.id)
    carol = either.enroll("default", CAROL, new_template(3))
    assert either.merge("default", "alice", "carol").templates == 1
    assert np.array_equal(either.embedding("default", carol.id), new_template(3).embedding)


def test_the_other_subjects_key_is_of_no_use_afterwards(store_url, new_template, request, tmp_path):
    store = open_store(store_url, Vault([KEY]))
    store.ensure_collection("default")
    enrol(store, new_template, ALICE, BOB)
    before = _sealed_data(store_url, tmp_path, request)
    store.merge("default", "alice", "bob")
    after = _sealed_data(store_url, tmp_path, request)
    assert len(before) == len(after) == 4  # an embedding and a sequence of each
    assert len(set(before) & set(after)) == 2  # only alice's own are still what they were
    store.close()
    rotating = open_store(store_url, Vault([bytes(32), KEY]))
    assert rotating.rotate_key() == 1
    assert {change.subject for change in replay(rotating).values()} == {"alice"}
    rotating.close()


def _sealed_data(store_url, tmp_path, request):
    if store_url.startswith("sqlite"):
        with sqlite3.connect(tmp_path / "gallery.db") as file:
            rows = file.execute("SELECT data FROM embeddings UNION ALL SELECT data FROM sequences").fetchall()
        file.close()
        return [row[0] for row in rows]
    with request.getfixturevalue("redis_server").client() as client:
        base = "gaitkeeper:{default}"
        live = client.hget(base, "live").decode()
        return client.hvals(f"{base}:e:{live}") + client.hvals(f"{base}:q")


def test_enrolments_race_with_merges_and_none_is_lost(either, new_template):
    enrolled = []

    def work():
        enrolled.extend(either.enroll("default", BOB, new_template(seed, clip=seed)).id for seed in range(30))

    either.enroll("default", ALICE, new_template(99, clip=99))
    writer = threading.Thread(target=work)
    writer.start()
    while writer.is_alive():
        try:
            either.merge("default", "alice", "bob")
        except NotFound:  # bob is not enrolled again yet
            continue
    writer.join()
    known = replay(either)
    assert set(enrolled) < set(known)
    for seed, template in enumerate(enrolled):
        assert np.array_equal(known[template].embedding, new_template(seed).embedding)
        assert either.sequence("default", template) == new_template(seed).sequence


def test_two_subjects_stay_apart_until_one_is_enrolled_again(either, new_template):
    enrol(either, new_template, ALICE, BOB, CAROL)
    either.tell_apart("default", "carol", "alice")
    either.tell_apart("default", "alice", "bob")
    either.tell_apart("default", "bob", "alice")  # says nothing new
    assert [either.apart("default", s) for s in ("alice", "bob", "carol")] == [["bob", "carol"], ["alice"], ["alice"]]
    either.update_subject("default", NewSubject("alice", "Alice"))
    either.enroll("default", ALICE, new_template(0, clip=0))  # a duplicate
    assert either.apart("default", "alice") == ["bob", "carol"]
    either.enroll("default", BOB, new_template(7))
    assert [either.apart("default", s) for s in ("alice", "bob", "carol")] == [["carol"], [], ["alice"]]
    either.erase("default", "carol")
    assert either.apart("default", "alice") == []
    either.enroll("default", CAROL, new_template(8))
    assert either.apart("default", "carol") == []
    assert either.audit("default").left == ()


def test_a_merge_ends_what_was_said_of_both(either, new_template):
    enrol(either, new_template, ALICE, BOB, CAROL)
    for one, two in (("alice", "carol"), ("bob", "carol"), ("alice", "bob")):
        either.tell_apart("default", one, two)
    either.merge("default", "alice", "bob")
    assert [either.apart("default", s) for s in ("alice", "carol")] == [[], []]


def test_only_two_enrolled_subjects_can_be_told_apart(store, new_template):
    enrol(store, new_template, ALICE)
    for one, two, error in (("alice", "alice", Conflict), ("alice", "bob", NotFound), ("bob", "alice", NotFound)):
        with pytest.raises(error):
            store.tell_apart("default", one, two)
    with pytest.raises(NotFound):
        store.apart("default", "bob")
