"""The subjects that distances are told by: those that everybody would pick afresh, though they are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import torch

from gaitkeeper.gallery.search import index as module
from gaitkeeper.gallery.search import partwise
from gaitkeeper.gallery.search.index import CollectionIndex, Share
from gaitkeeper.gallery.search.table import digest_order
from gaitkeeper.gallery.stores.protocol import NewSubject

SIZES = ((4, 2), (40, 3))


def same(ours, theirs):
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[subject], theirs[subject]) for subject in ours)


def test_a_cohort_that_is_kept_is_the_one_that_is_picked_afresh(store, new_template, fingerprint):
    kept, rng, living = CollectionIndex(store, "default"), np.random.default_rng(5), []
    for step in range(80):
        names = [subject.subject for subject in store.subjects("default")]
        if living and rng.random() < 0.4:
            store.delete_template("default", living.pop(int(rng.integers(len(living)))))
        elif len(names) > 1 and rng.random() < 0.3:
            store.merge("default", *rng.choice(names, 2, replace=False).tolist())
        else:
            new = NewSubject(f"s{rng.integers(14)}", metadata={"step": str(step)})
            living.append(store.enroll("default", new, new_template(step)).id)
        kept.followed()
        fresh = CollectionIndex(store, "default")
        fresh.followed()
        for people, each in SIZES:
            same(kept.cohort(fingerprint, people, each) or {}, fresh.cohort(fingerprint, people, each) or {})


def test_a_cohort_is_picked_anew_only_where_a_change_concerns_it(store, new_template, fingerprint):
    order = sorted((f"s{i}" for i in range(9)), key=digest_order)
    ids = {name: store.enroll("default", NewSubject(name), new_template(i)).id for i, name in enumerate(order[1:])}
    index = CollectionIndex(store, "default")

    def place():
        index.followed()
        found = index.cohort(fingerprint, 3, 1)
        assert found is not None
        return list(found), found[order[2]].data_ptr()

    first = place()
    store.enroll("default", NewSubject(order[8]), new_template(20))
    store.delete_template("default", ids[order[7]])
    assert place() == first
    store.enroll("default", NewSubject(order[0]), new_template(21))
    names, again = place()
    assert names == order[:3] and again != first[1]
    store.delete_template("default", ids[order[1]])
    assert place()[0] == [order[0], *order[2:4]]


def test_a_cohort_is_picked_anew_when_a_template_of_it_has_expired(store, new_template, fingerprint, monkeypatch):
    names = sorted("abcd", key=digest_order)
    for i, name in enumerate(names):
        store.set_ttl("default", 60 if i == 0 else None)
        store.enroll("default", NewSubject(name), new_template(i))
    index = CollectionIndex(store, "default")
    index.followed()
    assert list(index.cohort(fingerprint, 2)) == names[:2]
    later = (datetime.now(UTC) + timedelta(seconds=61)).timestamp()
    for clock in (module.time, partwise.time):
        monkeypatch.setattr(clock, "time", lambda: later)
    assert list(index.cohort(fingerprint, 2)) == names[1:3]


def test_searches_find_merged_walks_under_the_remaining_subject(store, new_template, fingerprint):
    new = {name: new_template(i) for i, name in enumerate("abcdefgh")}
    ids = {name: store.enroll("default", NewSubject(name), template).id for name, template in new.items()}
    shares = [CollectionIndex(store, "default", share=Share(number, 3)) for number in range(3)]
    index = CollectionIndex(store, "default")
    probes = torch.stack([torch.from_numpy(template.embedding) for template in new.values()])

    def nearest():
        whole = [hits[0] for hits in index.search(fingerprint, probes, 1).hits]
        shared = zip(*(share.search(fingerprint, probes, 1).hits for share in shares), strict=True)
        assert [min((h for some in hits for h in some), key=lambda hit: hit.distance) for hits in shared] == whole
        assert sum(share.search(fingerprint, probes[:1], 1).size for share in shares) == len(new)
        return {hit.template: (hit.subject, hit.distance) for hit in whole}

    assert nearest() == {template: (name, 0) for name, template in ids.items()}
    for other in "bcdefgh":
        store.merge("default", "a", other)
        store.update_subject("default", NewSubject("a", metadata={"merged": other}))
    assert nearest() == dict.fromkeys(ids.values(), ("a", 0))
    found = index.search(fingerprint, probes[:1], 2, {"merged": "h"})
    assert (found.size, [hit.subject for hit in found.hits[0]]) == (8, ["a"])
    assert index.ready() and all(share.ready() for share in shares)
