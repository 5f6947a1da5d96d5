"""Several searchers, each of a share, against one of everything: the same answers, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gaitkeeper.gallery.errors import FingerprintMismatch
from gaitkeeper.gallery.search.index import CollectionIndex, Share
from gaitkeeper.gallery.search.sharded import ShardedIndex
from gaitkeeper.gallery.search.table import digest_order
from gaitkeeper.gallery.stores.protocol import NewSubject
from gaitkeeper.gallery.views import View

COUNTS = (1, 2, 5)


class Here:
    """Searchers in this process."""

    def __init__(self, store, count):
        self.indices = [CollectionIndex(store, "default", share=Share(number, count)) for number in range(count)]

    def __len__(self):
        return len(self.indices)

    def ask(self, method, *args, only=None):
        some = self.indices if only is None else [self.indices[only]]
        return [getattr(index, method)(*args) for index in some]

    def close(self):
        for index in self.indices:
            index.close()


@pytest.fixture
def enrol(store, new_template):
    """Enrols a template of a seed as a subject's."""

    def enrol(seed, subject, metadata=None, **fields):
        return store.enroll("default", NewSubject(subject, metadata=metadata), new_template(seed, **fields)).id

    return enrol


@pytest.fixture
def shared(store):
    """Searchers in 1, 2 and 5 shares beside one of everything."""
    return CollectionIndex(store, "default"), [ShardedIndex(Here(store, count)) for count in COUNTS]


def probes(count, seed=99, shape=(4, 8)):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32))


def test_what_is_found_equals_one_search_of_everything(enrol, shared, fingerprint):
    one, many = shared
    for seed in range(60):
        enrol(seed, f"s{seed % 23}", {"site": "north" if seed % 2 else "south"})
    # Ties: one walk enrolled as several people, who fall to different searchers.
    for subject in ("tie-a", "tie-b", "tie-c", "tie-d", "tie-e"):
        enrol(1000, subject)
    asked = torch.cat([probes(7), torch.from_numpy(np.random.default_rng(1000).normal(size=(1, 4, 8))).float()])
    corrections = {View("door", "left"): probes(1, 5)[0]}
    for k in (1, 3, 100):
        for where in (None, {"site": "north"}, {"site": "nowhere"}):
            want = one.search(fingerprint, asked, k, where, corrections)
            for index in many:
                found = index.search(fingerprint, asked, k, where, corrections)
                assert found.hits == want.hits  # subjects, templates, and every bit of the distances
                assert (found.size, found.age) == (want.size, None)
    ties = one.search(fingerprint, asked[-1:], 5).hits[0]
    assert [hit.subject for hit in ties] == [f"tie-{letter}" for letter in "abcde"]


def test_the_other_questions_are_answered_alike(store, enrol, shared, fingerprint):
    one, many = shared
    ids = [enrol(seed, f"s{seed % 9}", camera="door", heading="left") for seed in range(30)]
    corrections = {View("door", "left"): probes(1, 5)[0]}
    probe = probes(1)[0]
    for index in many:
        for subject in ("s0", "s8", "nobody"):
            want = one.nearest_of(subject, fingerprint, probe, corrections)
            assert index.nearest_of(subject, fingerprint, probe, corrections) == want
        some = [ids[4], "gone", ids[29]]
        theirs, ours = (i.embeddings(fingerprint, some, corrections) for i in (one, index))
        assert list(theirs) == list(ours) == [ids[4], ids[29]]
        assert all(torch.equal(theirs[key], ours[key]) for key in theirs)
        theirs, ours = (i.cohort(fingerprint, 5, 2, corrections) for i in (one, index))
        assert list(theirs) == list(ours) == sorted((f"s{i}" for i in range(9)), key=digest_order)[:5]
        assert {len(some) for some in theirs.values()} == {2}
        assert all(torch.equal(theirs[key], ours[key]) for key in theirs)
        assert index.ready()


def test_every_share_follows_what_comes_and_goes(store, enrol, shared, fingerprint):
    one, many = shared
    rng = np.random.default_rng(3)
    living = []
    for step in range(60):
        if living and rng.random() < 0.4:
            store.delete_template("default", living.pop(int(rng.integers(len(living)))))
        else:
            living.append(enrol(step, f"s{rng.integers(12)}"))
        want = one.search(fingerprint, probes(2, step), 4)
        assert all(index.search(fingerprint, probes(2, step), 4).hits == want.hits for index in many)
    for template in living:
        store.delete_template("default", template)
    for index in many:
        found = index.search(fingerprint, probes(2), 4)
        assert (found.hits, found.size) == ([[], []], 0)
        assert index.ready()


def test_a_searcher_without_anybody_knows_the_fingerprint(enrol, shared, fingerprint):
    _, many = shared
    enrol(0, "alone")
    for index in many:
        with pytest.raises(FingerprintMismatch):
            index.search(replace(fingerprint, weights="another"), probes(1), 1)
        with pytest.raises(FingerprintMismatch):
            index.search(fingerprint, probes(1, shape=(2, 8)), 1)


def test_the_cursor_of_an_answer_is_not_after_what_was_searched(store, enrol, fingerprint):
    searchers = Here(store, 3)
    index = ShardedIndex(searchers)
    enrol(0, "first")
    ask, happened = searchers.ask, []

    def late(method, *args, only=None):
        if method == "search":
            happened.append(enrol(1 + len(happened), f"late{len(happened)}"))
        return ask(method, *args, only=only)

    searchers.ask = late
    found = index.search(fingerprint, probes(1), 5)
    assert {hit.subject for hit in found.hits[0]} == {"first", "late0"}
    # Whoever concludes from it is told that somebody came: the store compares with this cursor.
    assert [change.template for change in store.changes("default", found.cursor).changes] == happened
