"""What a collection learns of its cameras, and what it does with that."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from gallery import Calibration, Gallery
from gallery.calibration import ConfidenceMap, FmrThresholds, FpirThresholds
from gallery.crypto import Vault
from gallery.errors import BadCamera, NotFound
from gallery.stores import open_store
from gallery.views import POOL, SHRINK, View, Views, centred
from models.distance import part_distances
from pipelines.fingerprint import Fingerprint

PRINT = Fingerprint("gaitpart", "0123456789abcdef", "1", "blazepose-full/1")
DOOR, HALL = View("door", "left"), View("hall", "away")


def walks(count, offset, seed=0):
    made = np.random.default_rng(seed).normal(size=(count, 3, 4)) + offset
    return {f"{seed}-{i}": torch.from_numpy(walk).float() for i, walk in enumerate(made)}


def sent(seq, way):
    """The same walker, drifting through the picture: +1 to the right, -1 to the left."""
    boxes = seq.boxes + np.float32(way * 120 * 0.8) * seq.timestamps[:, None].astype(np.float32) * [1, 0, 1, 0]
    return replace(seq, boxes=boxes.astype(np.float32))


def test_nothing_is_kept_of_fewer_than_a_pool(store):
    views = Views(store, "default")
    for name, walk in list(walks(POOL - 1, 0).items()):
        views.learn(PRINT, DOOR, {name: walk})
        views.learn(PRINT, DOOR, {name: walk})  # sent twice: still one walk
    assert store.statistics("default") == {}
    views.learn(PRINT, DOOR, {"last": torch.zeros(3, 4)})
    assert [(v.camera, v.heading, v.walks) for v in views.listed(PRINT)] == [("door", "left", POOL)]


def test_corrections_are_what_a_view_does_shrunk_by_how_little_is_known(store):
    views = Views(store, "default")
    left, away = walks(40, 2.0, 1), walks(POOL, -1.0, 2)
    views.learn(PRINT, DOOR, left)
    assert views.corrections(PRINT) == {}  # of one view nothing can be told
    views.learn(PRINT, HALL, away)
    found = views.corrections(PRINT)
    means = [torch.stack(list(some.values())).mean(0) for some in (left, away)]
    middle = (means[0] + means[1]) / 2
    torch.testing.assert_close(found[DOOR], 40 / (40 + SHRINK) * (means[0] - middle))
    torch.testing.assert_close(found[HALL], POOL / (POOL + SHRINK) * (means[1] - middle))
    assert views.corrections(replace(PRINT, weights="another")) == {}


def test_what_is_learnt_twice_over_is_one_mean(store):
    views, other = Views(store, "default"), Views(store, "default")
    first, second = walks(10, 0.0, 1), walks(30, 1.0, 2)
    views.learn(PRINT, DOOR, first)
    other.learn(PRINT, DOOR, second)
    views.learn(PRINT, HALL, walks(20, -2.0, 3))
    assert {v.camera: v.walks for v in other.listed(PRINT)} == {"door": 40, "hall": 20}
    expected = torch.stack([*first.values(), *second.values()]).mean(0)
    hall = torch.stack(list(walks(20, -2.0, 3).values())).mean(0)
    torch.testing.assert_close(other.corrections(PRINT)[DOOR], 40 / 48 * (expected - (expected + hall) / 2))


def test_many_processes_add_to_one_view_and_nothing_is_lost(store_url):
    stores = [open_store(store_url) for _ in range(4)]
    stores[0].ensure_collection("default")
    try:
        with ThreadPoolExecutor(4) as pool:
            jobs = [
                pool.submit(Views(store, "default").learn, PRINT, DOOR, walks(POOL, 0.0, 10 * n + i))
                for n, store in enumerate(stores)
                for i in range(5)
            ]
            for job in jobs:
                job.result()
        assert [v.walks for v in Views(stores[0], "default").listed(PRINT)] == [20 * POOL]
    finally:
        for store in stores:
            store.close()


def test_a_statistic_is_changed_only_from_what_it_was(store):
    assert store.put_statistic("default", "a b", b"\0\xff", None)
    assert not store.put_statistic("default", "a b", b"2", None)
    assert store.put_statistic("default", "a b", b"2", b"\0\xff")
    assert store.statistics("default") == {"a b": b"2"}
    assert not store.put_statistic("default", "a b", None, b"3")
    assert store.put_statistic("default", "a b", None, b"2")
    assert store.statistics("default") == {}


def test_in_an_encrypted_store_means_stay_in_memory(store_url):
    store = open_store(store_url, Vault([bytes(32)]))
    store.ensure_collection("default")
    views = Views(store, "default")
    views.learn(PRINT, DOOR, walks(POOL, 0.0))
    views.learn(PRINT, HALL, walks(POOL, 1.0))
    assert len(views.corrections(PRINT)) == 2 and views.walks(PRINT, DOOR) == POOL
    assert store.statistics("default") == {}
    assert views.forget("door") == 1 and views.forget("door") == 0
    store.close()


def test_somebody_who_is_known_counts_once_a_pool(store_url, walker):
    with Gallery.open(store_url, network="gei", calibrations=calibrated(9.0)) as gallery:
        for walk in range(POOL):
            gallery.enroll("ann", sent(walker(1, walk), 1), camera="door")
            assert gallery.identify(sent(walker(1, 20 + walk), 1), camera="door").verdict == "match"
        assert gallery.cameras() == []
        for person in range(2, POOL + 1):
            gallery.enroll(f"p{person}", sent(walker(person), 1), camera="door")
        assert [view.walks for view in gallery.cameras()] == [POOL]


def test_statistics_go_with_their_collection_and_are_no_trace_of_anybody(store):
    store.ensure_collection("hall")
    store.put_statistic("hall", "a", b"1", None)
    assert store.statistics("default") == {} and store.audit("hall").left == ()
    store.delete_collection("hall")
    store.ensure_collection("hall")
    assert store.statistics("hall") == {}
    with pytest.raises(NotFound):
        store.statistics("nowhere")


def calibrated(value):
    gei = Fingerprint("gei", "none", "1", "blazepose-full/1")
    return {
        gei: Calibration(
            fingerprint=gei,
            thresholds=(FpirThresholds(fpir=0.01, gallery_sizes=(1,), distances=(value,)),),
            confidence=ConfidenceMap(distances=(0.0, 2 * value), confidences=(1.0, 0.0)),
            verification=FmrThresholds(fmrs=(0.001,), distances=(value,)),
        )
    }


def test_distances_are_those_of_what_is_left_without_the_views(store_url, walker):
    with Gallery.open(store_url, network="gei", calibrations=calibrated(0.02)) as gallery:
        for person in range(POOL):
            gallery.enroll(f"p{person}", sent(walker(person), 1), camera="door")
        before = gallery.identify(sent(walker(2, 1), -1), camera="door")
        assert before.seen.heading == "left" and before.seen.walks == 0 and not before.seen.applied
        assert (before.threshold.value, before.threshold.source) == (0.02, "calibration")
        assert before.seen.model_dump() == {"camera": "door", "heading": "left", "walks": 0, "applied": False}
        for person in range(30, 30 + POOL - 1):
            gallery.identify(sent(walker(person, 5), -1), camera="door")
        assert {(v.camera, v.heading): v.walks for v in gallery.cameras()} == {
            ("door", "left"): POOL,
            ("door", "right"): POOL,
        }
        after = gallery.identify(sent(walker(2, 1), -1), camera="door", top_k=POOL, explained=True)
        assert (after.seen.walks, after.seen.applied) == (POOL, True)
        assert (after.threshold.value, after.threshold.source) == (0.02, "calibration")

        views = Views(gallery.store, gallery.name)
        fingerprint = gallery.collection.fingerprint
        corrections = views.corrections(fingerprint)
        own = gallery.enroll("probe", sent(walker(2, 1), -1), camera="door")
        probe = centred(torch.from_numpy(gallery.embedding(own.id))[None], [View("door", "left")], corrections)
        for candidate in after.candidates:
            template = torch.from_numpy(gallery.embedding(candidate.template))[None]
            stored = gallery.templates(candidate.subject)[0]
            assert (stored.camera, stored.heading) == ("door", "right")
            shifted = centred(template, [View("door", "right")], corrections)
            assert candidate.distance == pytest.approx(float(part_distances(probe, shifted)), rel=1e-5)
        explained = after.explanation.candidates[0]
        assert np.mean(explained.distances) == pytest.approx(after.candidates[0].distance, rel=1e-5)

        claim = gallery.verify("p2", sent(walker(2, 1), -1), 0.001, camera="door")
        assert claim.distance == pytest.approx(next(c.distance for c in after.candidates if c.subject == "p2"))
        assert claim.threshold.value is None  # strangers' distances were not measured for that
        assert gallery.forget_camera("door") == 2
        assert gallery.identify(sent(walker(2, 1), -1), camera="door").seen.walks == 0


def test_templates_of_several_views_are_ranked_together(store_url, walker):
    with Gallery.open(store_url, network="gei") as gallery:
        for person in range(6):
            gallery.enroll(f"p{person}", sent(walker(person), 1), camera="door")
            gallery.enroll(f"p{person}", sent(walker(person, 2), -1), camera="hall")
            gallery.enroll(f"p{person}", walker(person, 3))
        found = gallery.identify(walker(4, 1), top_k=6).candidates
        with Gallery.open(store_url, "plain", network="gei") as plain:
            for person in range(6):
                for walk in (0, 2, 3):
                    plain.enroll(f"p{person}", walker(person, walk))
            expected = plain.identify(walker(4, 1), top_k=6).candidates
        assert [(c.subject, c.distance) for c in found] == [(c.subject, c.distance) for c in expected]
        gallery.erase("p4")
        assert "p4" not in [c.subject for c in gallery.identify(walker(4, 1), top_k=6).candidates]


def test_a_clip_without_a_camera_teaches_nothing(store_url, walker):
    with Gallery.open(store_url, network="gei") as gallery:
        for person in range(POOL + 2):
            gallery.enroll(f"p{person}", sent(walker(person), 1))
            assert gallery.identify(sent(walker(person), 1)).seen is None
        assert gallery.cameras() == []
        with pytest.raises(NotFound, match="door"):
            gallery.forget_camera("door")
        for name in ("", "a/b", "x" * 65):
            with pytest.raises(BadCamera):
                gallery.identify(walker(0), camera=name)
            with pytest.raises(BadCamera):
                gallery.enroll("p0", walker(0), camera=name)
