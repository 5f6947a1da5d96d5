"""What every store must do for a collection that moves to another fingerprint."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from following import Follower, replay

from gaitkeeper.gallery.errors import Conflict, FingerprintMismatch, NotFound, ShadowBehind
from gaitkeeper.gallery.stores.protocol import NewSubject

ALICE, BOB = NewSubject("alice"), NewSubject("bob")


@pytest.fixture
def other(fingerprint):
    return replace(fingerprint, network="gaitset")


def embedding_for(template):
    """What the other network makes of a template: of another shape, and told by the id alone."""
    return np.random.default_rng(int(template, 16)).normal(size=(2, 3)).astype(np.float32)


def catch_up(store, fingerprint, collection="default"):
    while ids := store.shadow_missing(collection, 2):
        for template in ids:
            store.put_shadow(collection, template, fingerprint, embedding_for(template))


def test_a_collection_moves_and_moves_back(store, new_template, fingerprint, other):
    before = {t.id: t for t in (store.enroll("default", ALICE, new_template(seed, clip=seed)) for seed in range(5))}
    originals = {t: store.embedding("default", t) for t in before}
    follower = Follower(store)
    follower.follow()
    shadow = store.begin_shadow("default", other).shadow
    assert (shadow.fingerprint, shadow.templates, shadow.missing, shadow.was_live) == (other, 0, 5, False)
    assert store.shadow_missing("default") == list(before)
    with pytest.raises(ShadowBehind, match="5 template"):
        store.flip("default")
    catch_up(store, other)
    assert not follower.step()  # nobody sees the shadow
    moved = store.flip("default")
    assert (moved.fingerprint, moved.templates, moved.shadow.fingerprint, moved.shadow.was_live) == (
        other,
        5,
        fingerprint,
        True,
    )
    assert store.changes("default", follower.cursor).reset
    assert {t: c.fingerprint for t, c in follower.follow().items()} == dict.fromkeys(before, other)
    for template, old in before.items():
        assert old.model_copy(update={"fingerprint": other, "shape": (2, 3)}) in store.templates("default", "alice")
        assert np.array_equal(store.embedding("default", template), embedding_for(template))
        assert store.sequence("default", template)
    back = store.flip("default", back=True)
    assert (back.fingerprint, back.shadow.fingerprint, back.shadow.missing) == (fingerprint, other, 0)
    assert all(np.array_equal(c.embedding, originals[t]) for t, c in follower.follow().items())
    assert store.drop_shadow("default").templates == 5
    assert store.collection("default").shadow is None
    for ask in (store.flip, partial(store.flip, back=True), store.drop_shadow, store.shadow_missing):
        with pytest.raises(Conflict, match="no shadow"):
            ask("default")


def test_what_is_enrolled_or_erased_during_a_move_is_in_both(store, new_template, fingerprint, other):
    first = store.enroll("default", ALICE, new_template(1))
    gone = store.enroll("default", BOB, new_template(2))
    store.begin_shadow("default", other)
    catch_up(store, other)
    late = store.enroll("default", ALICE, new_template(3))
    store.erase("default", "bob")
    with pytest.raises(ShadowBehind) as caught:
        store.flip("default")
    assert caught.value.extra["missing"] == 1
    assert store.shadow_missing("default") == [late.id]
    with pytest.raises(NotFound):
        store.put_shadow("default", gone.id, other, embedding_for(gone.id))
    with pytest.raises(FingerprintMismatch):
        store.enroll("default", ALICE, new_template(4, fingerprint=other, shape=(2, 3)))
    catch_up(store, other)
    store.flip("default")
    assert set(replay(store)) == {first.id, late.id}
    after = store.enroll("default", BOB, new_template(5, fingerprint=other, shape=(2, 3)))
    with pytest.raises(ShadowBehind):
        store.flip("default", back=True)
    store.put_shadow("default", after.id, fingerprint, new_template(5).embedding)
    store.flip("default", back=True)
    assert set(replay(store)) == {first.id, late.id, after.id}
    assert {c.fingerprint for c in replay(store).values()} == {fingerprint}


def test_a_shadow_holds_one_fingerprint_and_one_shape(store, new_template, fingerprint, other):
    with pytest.raises(Conflict, match="empty"):
        store.begin_shadow("default", other)
    template, second = (store.enroll("default", ALICE, new_template(seed)).id for seed in (1, 2))
    with pytest.raises(Conflict, match="already"):
        store.begin_shadow("default", fingerprint)
    with pytest.raises(Conflict, match="no shadow"):
        store.put_shadow("default", template, other, embedding_for(template))
    store.begin_shadow("default", other)
    with pytest.raises(FingerprintMismatch):
        store.put_shadow("default", template, fingerprint, embedding_for(template))
    store.put_shadow("default", template, other, embedding_for(template))
    with pytest.raises(FingerprintMismatch, match=r"2 × 3.*4 × 8"):
        store.put_shadow("default", second, other, new_template(1).embedding)
    assert store.begin_shadow("default", other).shadow.templates == 1  # taken up again
    with pytest.raises(Conflict, match="drop"):
        store.begin_shadow("default", replace(other, network="gaitgl"))
    with pytest.raises(Conflict, match="live before"):
        store.put_shadow("default", second, other, embedding_for(second))
        store.flip("default", back=True)


def test_an_emptied_collection_has_no_shadow(store, new_template, other):
    store.enroll("default", ALICE, new_template(1))
    store.begin_shadow("default", other)
    store.erase("default", "alice")
    assert store.collection("default").shadow is None
    assert not store.enroll("default", BOB, new_template(1, fingerprint=other, shape=(2, 3))).duplicate


def test_a_follower_in_the_midst_of_reading_is_told_of_the_move(store, new_template, other):
    for seed in range(10):
        store.enroll("default", ALICE, new_template(seed))
    store.begin_shadow("default", other)
    catch_up(store, other)
    follower = Follower(store)
    follower.step(limit=4)
    store.flip("default")
    follower.step(limit=4)
    assert {c.fingerprint for c in follower.known.values()} == {other}
    assert len(follower.follow(limit=4)) == 10


def test_enrolments_race_with_a_move_and_none_is_lost(store, new_template, fingerprint, other):
    store.enroll("default", ALICE, new_template(0))
    store.begin_shadow("default", other)
    enrolled, done = [], threading.Event()

    def enrol():
        for seed in range(1, 40):
            try:
                enrolled.append(store.enroll("default", BOB, new_template(seed)).id)
            except FingerprintMismatch:  # it has moved
                break
        done.set()

    thread = threading.Thread(target=enrol)
    thread.start()
    flipped = False
    while not flipped:
        catch_up(store, other)
        try:
            store.flip("default")
            flipped = True
        except ShadowBehind:
            continue
    done.wait(60)
    thread.join()
    assert set(enrolled) <= set(replay(store))
    assert {c.fingerprint for c in replay(store).values()} == {other}
