"""Subjects who are likely the same person: exactly those whom the threshold of look-alikes says, each pair once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

import numpy as np
import pytest

from gaitkeeper.gallery import Calibration, Gallery
from gaitkeeper.gallery.decision.calibration import ConfidenceMap, FpirThresholds, InUnits
from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.stores.protocol import NewSubject


def calibration(fingerprint, *, plain=0.0, share=None):
    """Alike up to a plain distance, or, where others are known, up to this share of the unit."""
    confidence = ConfidenceMap(distances=(0.0, 10.0), confidences=(1.0, 0.0))

    def table(distance):
        strict = FpirThresholds(fpir=0.001, gallery_sizes=(1,), distances=(distance,))
        return (strict, FpirThresholds(fpir=0.01, gallery_sizes=(1,), distances=(1e6,)))

    in_units = None if share is None else InUnits(thresholds=table(share), confidence=confidence)
    known = Calibration(fingerprint=fingerprint, thresholds=table(plain), confidence=confidence, collection=in_units)
    return {fingerprint: known}


def apart(a, b):
    return float(np.linalg.norm(a.astype(float) - b.astype(float), axis=1).mean())


def by_hand(walks, share):
    """Pairs of subjects, from the definition: the nearest two walks against the mean distance to all others."""
    found = set()
    for a, b in combinations(sorted(walks), 2):
        distance, x, y = min(((apart(x, y), x, y) for x in walks[a] for y in walks[b]), key=lambda pair: pair[0])
        others = [some for name, some in walks.items() if name not in (a, b)]
        sides = [np.mean([np.mean([apart(end, one) for one in some]) for some in others]) for end in (x, y)]
        if distance <= share * np.mean(sides):
            found.add((a, b))
    return found


@pytest.fixture
def gallery_of(store):
    """Makes the gallery of a store's collection ``default``, which needs no network."""
    return lambda calibrations: Gallery(store, calibrations=calibrations)


def test_doubles_are_exactly_the_pairs_within_their_threshold(store, new_template, fingerprint, gallery_of):
    rng = np.random.default_rng(3)
    walks = {}
    for number in range(24):
        centre = rng.normal(size=(4, 8)) * (0.1 if number < 12 else 1)  # the first dozen are all alike
        walks[f"s{number:02}"] = [centre + rng.normal(size=(4, 8)) * 0.1 for _ in range(number % 3 + 1)]
    for name, some in walks.items():
        for i, walk in enumerate(some):
            walks[name][i] = walk.astype(np.float32)
            store.enroll("default", NewSubject(name), new_template(0, embedding=walk.astype(np.float32)))
    gallery = gallery_of(calibration(fingerprint, share=0.5))
    expected = by_hand(walks, 0.5)
    assert 40 < len(expected) < 200
    found = gallery.doubles()
    assert {(one.subject, one.other) for one in found} == expected and len(found) == len(expected)
    assert [one.distance / one.threshold.value for one in found] == sorted(
        one.distance / one.threshold.value for one in found
    )
    for one in found:
        assert one.threshold.basis == "collection" and one.threshold.fpir == 0.001
        assert one.template in {t.id for t in store.templates("default", one.subject)}
        assert one.other_template in {t.id for t in store.templates("default", one.other)}
        own, other = (store.embedding("default", t) for t in (one.template, one.other_template))
        assert one.distance == pytest.approx(apart(own, other), rel=1e-5)
    paged, after = [], ""
    while subjects := store.subjects("default", after, 5):
        paged += gallery.doubles(after, 5)
        after = subjects[-1].subject
    assert sorted(paged, key=repr) == sorted(found, key=repr)


def test_dismissed_pairs_stay_away_until_one_is_enrolled_again(store, new_template, fingerprint, gallery_of):
    for name in ("alice", "bob", "carol"):
        store.enroll("default", NewSubject(name), new_template(1))
    gallery = gallery_of(calibration(fingerprint, plain=0.1))

    def pairs():
        return [(one.subject, one.other) for one in gallery.doubles()]

    assert pairs() == [("alice", "bob"), ("alice", "carol"), ("bob", "carol")]
    gallery.tell_apart("carol", "alice")
    gallery.tell_apart("alice", "bob")
    assert pairs() == [("bob", "carol")]
    store.enroll("default", NewSubject("bob"), new_template(1))
    assert pairs() == [("alice", "bob"), ("bob", "carol")]
    gallery.merge("bob", "carol")
    assert pairs() == [("alice", "bob")]
    gallery.merge("alice", "bob")
    assert pairs() == []
    assert gallery.subject("alice").templates == 4


def test_expired_walks_and_uncalibrated_collections_suggest_nobody(store, new_template, fingerprint, gallery_of):
    assert gallery_of(calibration(fingerprint, plain=1.0)).doubles() == []
    past = datetime.now(UTC) - timedelta(seconds=1)
    store.enroll("default", NewSubject("alice"), new_template(1))
    store.enroll("default", NewSubject("bob"), new_template(1, expires=past))
    gallery = gallery_of(calibration(fingerprint, plain=1.0))
    assert gallery.doubles() == []
    store.enroll("default", NewSubject("bob"), new_template(1))
    assert len(gallery.doubles()) == 1
    other = replace(fingerprint, network="gaitset")
    assert gallery_of(calibration(other, plain=1.0)).doubles() == []


def test_distances_between_walks(store, new_template, fingerprint, gallery_of):
    new = [new_template(i) for i in range(3)]
    ids = [store.enroll("default", NewSubject(f"s{i % 2}"), one).id for i, one in enumerate(new)]
    gallery = gallery_of({})
    expected = [[apart(a.embedding, b.embedding) for b in new] for a in new]
    assert np.allclose(gallery.distances(ids), expected, atol=1e-5)
    with pytest.raises(NotFound):
        gallery.distances([*ids, "none"])
    assert gallery.distances([]).shape == (0, 0)
