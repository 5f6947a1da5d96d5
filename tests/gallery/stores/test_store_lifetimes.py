"""What every store must do about change and decay: updates, deletions, expiry, pages, and telling followers in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from following import Follower, replay

from gaitkeeper.gallery.errors import Conflict, NotFound
from gaitkeeper.gallery.stores.protocol import NewSubject

ALICE, BOB = NewSubject("alice"), NewSubject("bob")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_a_subject_is_renamed_and_followers_learn_its_metadata(store, new_template):
    store.enroll("default", NewSubject("alice", "Alice", {"team": "red"}, "consent"), new_template(1))
    follower = Follower(store)
    follower.follow()
    changed = store.update_subject("default", NewSubject("alice", "Alice B.", {"team": "blue"}))
    assert (changed.display_name, changed.metadata, changed.legal_basis) == ("Alice B.", {"team": "blue"}, "consent")
    assert store.subject("default", "alice") == changed
    assert [change.metadata for change in follower.follow().values()] == [{"team": "blue"}]
    bare = store.update_subject("default", NewSubject("alice", "", {}, ""))
    assert (bare.display_name, bare.metadata, bare.legal_basis, bare.created) == (None, {}, None, changed.created)
    with pytest.raises(NotFound):
        store.update_subject("default", BOB)
    assert [s.subject for s in store.subjects("default")] == ["alice"]


def test_one_template_goes_and_its_subject_stays(store, new_template, fingerprint):
    gone, kept = (store.enroll("default", ALICE, new_template(seed, clip=seed)) for seed in (1, 2))
    removal = store.delete_template("default", gone.id)
    assert (removal.templates, removal.subjects, removal.pending) == (1, 0, False)
    assert store.templates("default", "alice") == [kept]
    assert set(replay(store)) == {kept.id}
    for ask in (store.embedding, store.sequence, store.delete_template):
        with pytest.raises(NotFound):
            ask("default", gone.id)
    assert not store.enroll("default", BOB, new_template(1, clip=1)).duplicate
    store.erase("default", "bob")
    store.delete_template("default", kept.id)
    assert store.subject("default", "alice").templates == 0
    assert store.collection("default").fingerprint is None


def test_a_collection_goes_with_everything_and_can_be_made_anew(store, new_template):
    store.ensure_collection("hall", keeps_heatmaps=True)
    for seed, subject in enumerate((ALICE, ALICE, BOB)):
        store.enroll("hall", subject, new_template(seed, clip=seed))
    other = store.enroll("default", ALICE, new_template(7, clip=1))
    follower = Follower(store, "hall")
    follower.follow()
    removal = store.delete_collection("hall")
    assert (removal.templates, removal.subjects, removal.pending) == (3, 2, False)
    assert [c.name for c in store.collections()] == ["default"]
    for ask in (store.collection, store.subjects, store.delete_collection, follower.store.changes):
        with pytest.raises(NotFound):
            ask("hall")
    assert store.templates("default", "alice") == [other]
    fresh = store.ensure_collection("hall")
    assert (fresh.keeps_heatmaps, fresh.templates, fresh.fingerprint) == (False, 0, None)
    new = store.enroll("hall", BOB, new_template(1, clip=1, shape=(2, 2)))
    assert set(follower.follow()) == {new.id}  # what it knew of the old one is forgotten


def test_templates_expire_and_are_purged(store, new_template):
    assert store.set_ttl("default", 3600).ttl_seconds == 3600
    by_collection = store.enroll("default", ALICE, new_template(1))
    by_itself = store.enroll("default", ALICE, new_template(2, expires=NOW))
    assert by_collection.expires == by_collection.created + timedelta(hours=1)
    assert by_itself.expires == NOW
    assert store.set_ttl("default", None).ttl_seconds is None
    forever = store.enroll("default", BOB, new_template(3))
    assert forever.expires is None
    assert {t: c.expires for t, c in replay(store).items()} == {
        by_collection.id: by_collection.expires,
        by_itself.id: NOW,
        forever.id: None,
    }
    early = store.purge("default", by_collection.created)
    assert (early.templates, early.subjects, early.pending) == (0, 0, False)
    first = store.purge("default", NOW - timedelta(seconds=1))
    assert (first.templates, first.subjects) == (1, 0)
    second = store.purge("default", NOW)
    assert (second.templates, second.subjects, second.pending) == (1, 1, False)
    assert [s.subject for s in store.subjects("default")] == ["bob"]
    assert set(replay(store)) == {forever.id}
    store.erase("default", "bob")
    assert store.purge("default", datetime.max.replace(tzinfo=UTC)).templates == 0


def test_a_new_collection_takes_its_time_to_live(store, new_template):
    assert store.ensure_collection("hall", ttl_seconds=60).ttl_seconds == 60
    assert store.ensure_collection("hall", ttl_seconds=99).ttl_seconds == 60
    template = store.enroll("hall", ALICE, new_template(1))
    assert template.expires == template.created + timedelta(seconds=60)


def test_subjects_come_in_pages(store, new_template):
    names = sorted(["a", "b", "Bob", "zoë", "émile", "\U0001f6b6", "\uffee"])  # by code point, beyond the BMP too
    for seed, name in enumerate(reversed(names)):
        store.enroll("default", NewSubject(name), new_template(seed))
    pages, after = [], ""
    while page := store.subjects("default", after, 3):
        pages.append([s.subject for s in page])
        after = page[-1].subject
    assert pages == [names[:3], names[3:6], names[6:]]
    assert [s.subject for s in store.subjects("default", after="b")] == names[names.index("b") + 1 :]


def test_half_precision_is_kept_as_it_is(store, new_template):
    embedding = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float16)
    template = store.enroll("default", ALICE, new_template(1, embedding=embedding))
    read = store.embedding("default", template.id)
    assert read.dtype == np.float32
    assert np.array_equal(read, embedding.astype(np.float32))
    assert np.array_equal(replay(store)[template.id].embedding, read)


def test_an_archived_template_keeps_its_id_and_times(store, new_template):
    then = datetime(2020, 5, 4, 3, 2, 1, 600, tzinfo=UTC)
    new = new_template(1, clip=1, id="a" * 32, created=then)
    template = store.enroll("default", NewSubject("alice", created=then), new)
    assert (template.id, template.created) == ("a" * 32, then)
    assert store.subject("default", "alice").created == then
    assert store.enroll("default", ALICE, new_template(2, id="a" * 32)).duplicate
    with pytest.raises(Conflict, match="another subject"):
        store.enroll("default", BOB, new_template(2, id="a" * 32))
    store.ensure_collection("copy")
    assert not store.enroll("copy", BOB, new).duplicate
