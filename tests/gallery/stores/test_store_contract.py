"""What every store must do; run against each kind of them."""

from __future__ import annotations

import multiprocessing
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import enrolling
import numpy as np
import pytest
from following import Follower, replay

from gaitkeeper.gallery.errors import ClipOfOtherSubject, FingerprintMismatch, NotFound, Overtaken, StoreUnavailable
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject

ALICE, BOB = NewSubject("alice"), NewSubject("bob")


def test_a_collection_is_made_once(store):
    first = store.ensure_collection("hall", keeps_heatmaps=True)
    again = store.ensure_collection("hall", keeps_heatmaps=False)
    assert again == first
    assert (first.keeps_heatmaps, first.fingerprint, first.trained, first.templates) == (True, None, None, 0)
    assert [c.name for c in store.collections()] == ["default", "hall"]
    with pytest.raises(NotFound):
        store.collection("cellar")


def test_an_enrolment_reads_back_whole(store, new_template, fingerprint):
    new = new_template(7, clip=7)
    template = store.enroll("default", NewSubject("alice", "Alice", {"team": "red"}), new)
    assert not template.duplicate
    assert (template.subject, template.collection) == ("alice", "default")
    assert (template.fingerprint, template.trained) == (fingerprint, True)
    assert (template.clip_sha256, template.track) == (f"{7:064x}", 1)
    assert (template.start, template.end, template.quality, template.shape) == (0.1, 1.4, new.quality, (4, 8))
    assert store.templates("default", "alice") == [template]
    assert np.array_equal(store.embedding("default", template.id), new.embedding)
    assert store.sequence("default", template.id) == new.sequence
    subject = store.subject("default", "alice")
    assert (subject.subject, subject.display_name, subject.metadata, subject.templates) == (
        "alice",
        "Alice",
        {"team": "red"},
        1,
    )
    collection = store.collection("default")
    assert (collection.fingerprint, collection.subjects, collection.templates) == (fingerprint, 1, 1)


def test_nothing_is_added_where_anything_happened_since_the_caller_looked(store, new_template, fingerprint):
    def cursor():
        follower = Follower(store)
        follower.follow(limit=2)
        return follower.cursor

    other = replace(fingerprint, network="other")
    steps = {
        "enrolled": lambda: store.enroll("default", ALICE, new_template(1, clip=1)),
        "again": lambda: store.enroll("default", BOB, new_template(2)),
        "erased": lambda: store.erase("default", "bob"),
        "shadow": lambda: store.begin_shadow("default", other),
        "moved": lambda: (
            [store.put_shadow("default", t, other, new_template(3).embedding) for t in store.shadow_missing("default")],
            store.flip("default"),
        ),
    }
    for name, step in steps.items():
        seen = cursor()
        step()
        at = store.collection("default").fingerprint
        if name == "shadow":  # which nobody searches
            assert store.enroll("default", NewSubject(name), new_template(9, fingerprint=at), seen)
            continue
        before = store.digest("default")
        with pytest.raises(Overtaken):
            store.enroll("default", NewSubject(name), new_template(9, fingerprint=at), seen)
        assert store.digest("default") == before
        assert name not in {subject.subject for subject in store.subjects("default")}
        assert store.enroll("default", ALICE, new_template(1, clip=1, fingerprint=at), seen).duplicate
        store.enroll("default", NewSubject(name), new_template(9, fingerprint=at), cursor())


def test_what_is_stored_outlives_the_store_object(store, store_url, new_template):
    template = store.enroll("default", ALICE, new_template(1, clip=1))
    store.close()
    reopened = open_store(store_url)
    assert reopened.templates("default", "alice") == [template]
    reopened.close()


def test_a_later_enrolment_renames_only_where_it_says_so(store, new_template):
    store.enroll("default", NewSubject("alice", "Alice", {"team": "red"}), new_template(1))
    store.enroll("default", NewSubject("alice"), new_template(2))
    assert (store.subject("default", "alice").display_name, store.subject("default", "alice").metadata) == (
        "Alice",
        {"team": "red"},
    )
    store.enroll("default", NewSubject("alice", "Alice B.", {}), new_template(3))
    subject = store.subject("default", "alice")
    assert (subject.display_name, subject.metadata, subject.templates) == ("Alice B.", {}, 3)


def test_subjects_come_by_id_and_templates_in_order(store, new_template):
    for seed, subject in enumerate(["zoë", "alice", "Bob", "alice", "émile"]):
        store.enroll("default", NewSubject(subject), new_template(seed, start=float(seed)))
    assert [s.subject for s in store.subjects("default")] == ["Bob", "alice", "zoë", "émile"]
    assert [t.start for t in store.templates("default", "alice")] == [1.0, 3.0]


def test_another_fingerprint_is_refused_and_both_are_named(store, new_template, fingerprint):
    store.enroll("default", ALICE, new_template(1))
    other = replace(fingerprint, perception="yolo+hrnet/1")
    with pytest.raises(FingerprintMismatch) as caught:
        store.enroll("default", BOB, new_template(2, fingerprint=other))
    assert str(fingerprint) in caught.value.detail
    assert str(other) in caught.value.detail
    assert [s.subject for s in store.subjects("default")] == ["alice"]


def test_another_shape_of_embedding_is_refused(store, new_template):
    store.enroll("default", ALICE, new_template(1, shape=(4, 8)))
    with pytest.raises(FingerprintMismatch, match=r"4 × 8.*8 × 4"):
        store.enroll("default", ALICE, new_template(2, shape=(8, 4)))
    assert len(store.templates("default", "alice")) == 1


def test_an_emptied_collection_can_be_pinned_anew(store, new_template, fingerprint):
    store.enroll("default", ALICE, new_template(1))
    store.enroll("default", BOB, new_template(2))
    other = replace(fingerprint, network="gaitset")
    store.erase("default", "alice")
    with pytest.raises(FingerprintMismatch):
        store.enroll("default", BOB, new_template(3, fingerprint=other))
    store.erase("default", "bob")
    assert store.collection("default").fingerprint is None
    store.enroll("default", BOB, new_template(3, fingerprint=other, shape=(2, 2)))
    assert store.collection("default").fingerprint == other


def test_the_same_walker_of_the_same_clip_is_enrolled_once(store, new_template):
    first = store.enroll("default", ALICE, new_template(1, clip=9))
    again = store.enroll("default", ALICE, new_template(2, clip=9))
    assert again == first.model_copy(update={"duplicate": True})
    other_track = store.enroll("default", ALICE, new_template(3, clip=9, track=2))
    assert not other_track.duplicate
    assert store.subject("default", "alice").templates == 2


def test_a_walker_of_a_clip_cannot_be_two_people(store, new_template):
    store.enroll("default", ALICE, new_template(1, clip=9))
    with pytest.raises(ClipOfOtherSubject, match="'alice'"):
        store.enroll("default", BOB, new_template(1, clip=9))
    with pytest.raises(NotFound):
        store.subject("default", "bob")
    store.ensure_collection("hall")
    assert not store.enroll("hall", BOB, new_template(1, clip=9)).duplicate


def test_without_a_clip_digest_nothing_is_a_duplicate(store, new_template):
    ids = {store.enroll("default", subject, new_template(1)).id for subject in (ALICE, ALICE, BOB)}
    assert len(ids) == 3


def test_collections_keep_apart(store, new_template):
    store.ensure_collection("hall")
    template = store.enroll("default", ALICE, new_template(1, clip=1))
    assert store.subjects("hall") == []
    assert store.changes("hall").changes == ()
    for ask in (store.embedding, store.sequence):
        with pytest.raises(NotFound):
            ask("hall", template.id)
    with pytest.raises(NotFound):
        store.erase("hall", "alice")
    for ask in (
        store.subjects,
        store.changes,
        store.digest,
        lambda name: store.enroll(name, BOB, new_template(2)),
    ):
        with pytest.raises(NotFound):
            ask("cellar")


def test_erasing_takes_all_of_one_subject_and_nothing_else(store, new_template):
    gone = [store.enroll("default", ALICE, new_template(seed, clip=seed)) for seed in range(3)]
    kept = store.enroll("default", BOB, new_template(5, clip=5))
    erasure = store.erase("default", "alice")
    assert (erasure.subject, erasure.templates, erasure.pending) == ("alice", 3, False)
    for ask in (store.subject, store.templates, store.erase):
        with pytest.raises(NotFound):
            ask("default", "alice")
    for template in gone:
        with pytest.raises(NotFound):
            store.embedding("default", template.id)
        with pytest.raises(NotFound):
            store.sequence("default", template.id)
    assert set(replay(store)) == {kept.id}
    assert not store.enroll("default", BOB, new_template(0, clip=0)).duplicate


@pytest.mark.parametrize("seed", range(5))
def test_followers_end_with_what_is_stored(store, new_template, seed):
    rng = random.Random(seed)
    follower, truth = Follower(store), {}
    for step in range(80):
        subject = f"s{rng.randrange(6)}"
        action = rng.random()
        mine = [template for template, (owner, _) in truth.items() if owner == subject]
        if action < 0.6 or not mine:
            new = new_template(1000 * seed + step)
            truth[store.enroll("default", NewSubject(subject), new).id] = (subject, new.embedding)
        elif action < 0.8:
            store.erase("default", subject)
            truth = {t: known for t, known in truth.items() if known[0] != subject}
        elif action < 0.9:
            store.delete_template("default", mine[0])
            del truth[mine[0]]
        else:
            store.update_subject("default", NewSubject(subject, metadata={"step": str(step)}))
        if rng.random() < 0.3:
            follower.step(limit=rng.randrange(1, 6))
    for known in (follower.follow(limit=3), replay(store)):
        assert {t: change.subject for t, change in known.items()} == {t: owner for t, (owner, _) in truth.items()}
        assert all(np.array_equal(known[t].embedding, truth[t][1]) for t in truth)
        assert all(change.metadata == store.subject("default", change.subject).metadata for change in known.values())


def test_threads_write_side_by_side(store, new_template):
    def work(thread):
        for i in range(10):
            store.enroll("default", NewSubject(f"s{thread}"), new_template(100 * thread + i, clip=100 * thread + i))
            store.subjects("default")
        return store.subject("default", f"s{thread}").templates

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [10] * 8
    assert len(replay(store)) == 80


def test_threads_that_enrol_the_same_walker_agree(store, new_template):
    with ThreadPoolExecutor(8) as pool:
        templates = list(pool.map(lambda seed: store.enroll("default", ALICE, new_template(seed, clip=1)), range(8)))
    assert len({t.id for t in templates}) == 1
    assert sum(not t.duplicate for t in templates) == 1


def test_processes_write_side_by_side(store_url, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gaitkeeper.gallery.stores"])
    # Overlapping ranges, and none has made the store beforehand.
    ranges = [range(0, 40), range(20, 60), range(40, 80)]
    writers = [
        context.Process(target=enrolling.enrol, args=(store_url, numbers, tmp_path / f"acknowledged{i}"))
        for i, numbers in enumerate(ranges)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    store = open_store(store_url)
    templates = [t for s in store.subjects("default") for t in store.templates("default", s.subject)]
    assert sorted(int(t.clip_sha256, 16) for t in templates) == list(range(80))
    store.close()


def test_ping_passes_on_a_good_store(store):
    before = store.collections()
    store.ping()
    assert store.collections() == before


def test_a_closed_store_says_so(store):
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.collections()
