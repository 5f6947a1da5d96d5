"""What a collection learns of its cameras, and what it does with that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gaitkeeper import models
from gaitkeeper.gallery import Calibration, Gallery
from gaitkeeper.gallery.decision.calibration import ConfidenceMap, FmrThresholds, FpirThresholds, InUnits
from gaitkeeper.gallery.errors import BadCamera, NotFound
from gaitkeeper.gallery.identification.passers import PassersBy
from gaitkeeper.gallery.views import SHRINK, WELL_KNOWN, View, centred
from gaitkeeper.models.distance import part_distances
from gaitkeeper.pipelines.fingerprint import Fingerprint

GEI = Fingerprint("gei", "none", "1", "blazepose-full/1")
DOOR, HALL = View("door", "left"), View("hall", "away")


def sent(seq, way):
    """The same walker, drifting through the picture: +1 to the right, -1 to the left."""
    boxes = seq.boxes + np.float32(way * 120 * 0.8) * seq.timestamps[:, None].astype(np.float32) * [1, 0, 1, 0]
    return replace(seq, boxes=boxes.astype(np.float32))


def kept(passers, gei, walker, view, count, offset, seed):
    """Has passers keep so many embeddings (3, 4) about an offset; those."""
    made = torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 3, 4)) + offset).float()
    for embedding in made:
        assert passers.add(gei, walker(1, frames=16), embedding, view)
    return made


def test_corrections_are_what_a_view_does_shrunk_by_how_little_is_known(store, walker, monkeypatch):
    monkeypatch.setattr(
        "gaitkeeper.gallery.identification.passers.LIKE", 0.0
    )  # random numbers are like one another by chance
    passers, gei = PassersBy(store, "default"), models.load("gei")
    passers.keep(3600)
    left = kept(passers, gei, walker, DOOR, 20, 2.0, 1)
    away = kept(passers, gei, walker, HALL, WELL_KNOWN - 1, -1.0, 2)
    assert passers.corrections(GEI) == {}  # of one view, and too few of another, nothing can be told
    away = torch.cat([away, kept(passers, gei, walker, HALL, 1, -1.0, 3)])
    kept(passers, gei, walker, View("hall", "left"), WELL_KNOWN - 1, 9.0, 4)
    found = PassersBy(store, "default").corrections(GEI)
    means = [left.mean(0), away.mean(0)]
    middle = (means[0] + means[1]) / 2
    assert set(found) == {DOOR, HALL}
    torch.testing.assert_close(found[DOOR], 20 / (20 + SHRINK) * (means[0] - middle))
    torch.testing.assert_close(found[HALL], WELL_KNOWN / (WELL_KNOWN + SHRINK) * (means[1] - middle))
    assert passers.corrections(replace(GEI, weights="another")) == {}
    assert [(v.camera, v.heading, v.walks) for v in passers.listed(GEI)] == [
        ("door", "left", 20),
        ("hall", "away", WELL_KNOWN),
        ("hall", "left", WELL_KNOWN - 1),
    ]
    assert passers.listed(None) == []
    passers.forget("door")
    assert passers.corrections(GEI) == {}


def calibrated(value):
    return {
        GEI: Calibration(
            fingerprint=GEI,
            thresholds=(FpirThresholds(fpir=0.01, gallery_sizes=(1,), distances=(value,)),),
            confidence=ConfidenceMap(distances=(0.0, 2 * value), confidences=(1.0, 0.0)),
            verification=FmrThresholds(fmrs=(0.001,), distances=(value,)),
        )
    }


def test_distances_are_those_of_what_is_left_without_the_views(store_url, walker, monkeypatch):
    monkeypatch.setattr("gaitkeeper.gallery.identification.passers.LIKE", 0.0)  # bodies of ellipses are much alike
    with Gallery.open(store_url, network="gei", calibrations=calibrated(0.02)) as gallery:
        gallery.passers_by.keep(3600)
        for person in range(WELL_KNOWN):
            gallery.enroll(f"p{person}", sent(walker(person), 1), camera="door")
        before = gallery.identify(sent(walker(2, 1), -1), camera="door")
        assert before.seen.heading == "left" and before.seen.walks == 0 and not before.seen.applied
        assert (before.threshold.value, before.threshold.source) == (0.02, "calibration")
        assert before.seen.model_dump() == {"camera": "door", "heading": "left", "walks": 0, "applied": False}
        for person in range(30, 30 + WELL_KNOWN - 1):
            gallery.identify(sent(walker(person, 5), -1), camera="door")
        assert {(v.camera, v.heading): v.walks for v in gallery.cameras()} == {
            ("door", "left"): WELL_KNOWN,
            ("door", "right"): WELL_KNOWN,
        }
        after = gallery.identify(sent(walker(2, 1), -1), camera="door", top_k=WELL_KNOWN, explained=True)
        assert (after.seen.walks, after.seen.applied) == (WELL_KNOWN, True)
        assert (after.threshold.value, after.threshold.source) == (0.02, "calibration")

        corrections = gallery.corrections(GEI)
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
        assert (claim.threshold.value, claim.threshold.basis) == (0.02, "prior")  # none was measured in units here
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
        gallery.passers_by.keep(3600)
        for person in range(WELL_KNOWN + 2):
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


def test_a_camera_that_keeps_passers_by_is_its_own_yardstick(store_url, walker, monkeypatch):
    monkeypatch.setattr("gaitkeeper.gallery.identification.passers.LIKE", 0.0)
    table = FpirThresholds(fpir=0.01, gallery_sizes=(1, 1000), distances=(0.5, 0.5))
    (known,) = calibrated(1e-6).values()
    units = InUnits(thresholds=(table,), confidence=known.confidence)
    known = known.model_copy(update={"camera": units, "collection": units})
    with Gallery.open(store_url, network="gei", calibrations={GEI: known}) as gallery:
        gallery.passers_by.keep(3600)
        gallery.enroll("ann", sent(walker(1), 1))
        probe = sent(walker(1, 1), 1)
        assert gallery.identify(probe, camera="door").threshold.basis == "prior"
        for person in range(20, 22):
            gallery.identify(sent(walker(person), 1), camera="door")
        seen = gallery.passers_by.of(GEI, View("door", "right"))
        assert len(seen) == 3
        answer = gallery.identify(probe, camera="door")
        own = torch.from_numpy(gallery.embedding(gallery.enroll("probe", probe).id))[None]
        assert answer.threshold.basis == "camera (3 passers-by)"
        expected = float(part_distances(own, seen)[0].median())
        assert answer.threshold.unit == pytest.approx(expected, rel=1e-5), "the median, for one of them is the walker"
        assert answer.threshold.value == pytest.approx(expected / 2, rel=1e-5)
        for other in (None, "hall"):
            assert gallery.identify(probe, camera=other).threshold.basis == "prior"
        assert gallery.identify(sent(walker(1, 1), -1), camera="door").threshold.basis == "prior", "another view"
        gallery.forget_camera("door")
        assert gallery.identify(probe, camera="door").threshold.basis == "prior"
