"""What a gallery says beside a ranking: filters, one-to-one verification, look-alikes, outliers, gates, readiness."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import following_process
import numpy as np
import pytest
import racing_process
import torch

from gaitkeeper.gallery import Calibration, Gallery, Reason, Verdict
from gaitkeeper.gallery.decision.calibration import ConfidenceMap, FmrThresholds, FpirThresholds
from gaitkeeper.gallery.decision.verdict import outliers
from gaitkeeper.gallery.errors import (
    BadFmr,
    BadSubject,
    FingerprintMismatch,
    LooksLikeOtherSubject,
    NotFound,
    PoorQuality,
)
from gaitkeeper.gallery.search import partwise
from gaitkeeper.gallery.search.partwise import Hit
from gaitkeeper.gallery.stores.protocol import NewSubject, NewTemplate
from gaitkeeper.gallery.types import OutlierReason, Verification
from gaitkeeper.pipelines.errors import TooShort
from gaitkeeper.pipelines.fingerprint import Fingerprint

GEI = Fingerprint("gei", "none", "1", "blazepose-full/1")


def calibration(distance, fmrs=(0.001, 0.01)):
    """A match up to this distance at an FPIR of 0.001, up to twice as much at 0.01, and the same for the FMR."""
    return {
        GEI: Calibration(
            fingerprint=GEI,
            thresholds=tuple(
                FpirThresholds(fpir=fpir, gallery_sizes=(1,), distances=(value,))
                for fpir, value in ((0.01, 2 * distance), (0.001, distance))
            ),
            confidence=ConfidenceMap(distances=(0.0, 2 * distance), confidences=(1.0, 0.0)),
            verification=FmrThresholds(fmrs=fmrs, distances=(distance, 2 * distance)) if fmrs else None,
        )
    }


@pytest.fixture
def between(store_url, walker):
    """Distances: between two walks of one person, and to the nearest other person."""
    with Gallery.open(store_url, "measured", "gei") as gallery:
        for person in range(4):
            gallery.enroll(f"p{person}", walker(person))
        candidates = gallery.identify(walker(1, 1)).candidates
    assert candidates[0].subject == "p1"
    return candidates[0].distance, candidates[1].distance


def opened(store_url, distance, **kwargs):
    return Gallery.open(store_url, network="gei", calibrations=calibration(distance, **kwargs))


def test_candidates_are_those_with_the_metadata(store_url, walker):
    with Gallery.open(store_url, network="gei") as gallery:
        for person in range(6):
            gallery.enroll(f"p{person}", walker(person), metadata={"site": "north" if person < 2 else "south"})
        answer = gallery.identify(walker(3), where={"site": "north"})
        assert {c.subject for c in answer.candidates} == {"p0", "p1"}
        assert answer.threshold.gallery_size == 2
        gallery.update_subject("p3", metadata={"site": "north"}, display_name="Three")
        answer = gallery.identify(walker(3), where={"site": "north"})
        assert (answer.candidates[0].subject, answer.threshold.gallery_size) == ("p3", 3)
        assert gallery.subject("p3").display_name == "Three"
        assert gallery.identify(walker(3), where={"site": "east"}).reason is Reason.EMPTY_GALLERY
        with pytest.raises(BadSubject):
            gallery.identify(walker(3), where={"": "north"})
        with pytest.raises(NotFound):
            gallery.update_subject("nobody", display_name="Nobody")


def test_a_subject_is_verified_by_its_own_templates_alone(store_url, walker, between):
    own, other = between
    with opened(store_url, (own + other) / 2) as gallery:
        for person in range(4):
            gallery.enroll(f"p{person}", walker(person))
        answer = gallery.verify("p1", walker(1, 1))
        assert (answer.verdict, answer.reason, answer.subject) == (Verdict.MATCH, None, "p1")
        assert answer.distance == pytest.approx(own)
        assert answer.template == gallery.templates("p1")[0].id
        assert (answer.threshold.value, answer.threshold.fmr, answer.threshold.source) == (
            (own + other) / 2,
            0.001,
            "calibration",
        )
        assert 0 < answer.confidence < 1
        assert gallery.verify("p2", walker(1, 1)).verdict is Verdict.UNKNOWN
        assert gallery.verify("p1", walker(1, 1, frames=5)).reason is Reason.TOO_SHORT
        assert gallery.verify("p1", walker(1, 1, mask_stability=0.1)).reason is Reason.POOR_QUALITY
        assert Verification.model_validate_json(answer.model_dump_json()) == answer
        with pytest.raises(NotFound):
            gallery.verify("nobody", walker(1, 1))
        for fmr in (0.0, 1.0, 0.05):
            with pytest.raises(BadFmr):
                gallery.verify("p1", walker(1, 1), fmr=fmr)
        with pytest.raises(FingerprintMismatch):
            gallery.verify("p1", replace(walker(1, 1), perception="yolo+hrnet/1"))
        gallery.delete_template(answer.template)
        empty = gallery.verify("p1", walker(1, 1))
        assert (empty.verdict, empty.reason, empty.distance) == (Verdict.INCONCLUSIVE, Reason.EMPTY_GALLERY, None)


def test_without_thresholds_for_it_nothing_is_verified(store_url, walker):
    for calibrations in ({}, calibration(1.0, fmrs=None)):
        with Gallery.open(store_url, network="gei", calibrations=calibrations) as gallery:
            gallery.enroll("p1", walker(1))
            answer = gallery.verify("p1", walker(1, 1))
            assert (answer.verdict, answer.reason) == (Verdict.INCONCLUSIVE, Reason.UNCALIBRATED)
            assert (answer.threshold.value, answer.threshold.source) == (None, None)
            assert answer.distance > 0


def test_whoever_looks_like_somebody_else_is_enrolled_with_a_warning_or_strictly_not(store_url, walker, between):
    own, other = between
    with opened(store_url, (own + other) / 2) as gallery:
        assert gallery.enrolment("p1", walker(1)).warning is None
        assert gallery.enrolment("p1", walker(1, 2), strict=True).warning is None  # herself
        assert gallery.enrolment("p2", walker(2), strict=True).warning is None
        with pytest.raises(LooksLikeOtherSubject, match="'p1'") as caught:
            gallery.enroll("imposter", walker(1, 1), strict=True)
        assert caught.value.extra["subject"] == "p1"
        with pytest.raises(NotFound):
            gallery.subject("imposter")
        done = gallery.enrolment("imposter", walker(1, 1))
        assert done.template.subject == "imposter"
        assert (done.warning.subject, done.warning.code) == ("p1", "looks_like_other_subject")
        assert done.warning.distance <= done.warning.threshold.value == (own + other) / 2
        assert done.warning.threshold.fpir == 0.001
    with Gallery.open(store_url, network="gei", calibrations={}) as gallery:
        assert gallery.enrolment("third", walker(1, 3), strict=True).warning is None  # nothing is known to be near


def test_a_strict_enrolment_that_is_overtaken_looks_again(store_url, walker, between):
    distance = sum(between) / 2
    with opened(store_url, distance) as gallery, opened(store_url, distance) as other:
        enroll, overtakers = gallery.store.enroll, [("p1", walker(1)), ("p3", walker(3))]

        def overtaken(*args):
            if overtakers:
                other.enroll(*overtakers.pop())
            return enroll(*args)

        gallery.store.enroll = overtaken
        assert gallery.enrolment("p2", walker(2), strict=True).warning is None  # overtaken twice, by others
        assert not overtakers
        overtakers.append(("p4", walker(4)))
        with pytest.raises(LooksLikeOtherSubject, match="'p4'"):
            gallery.enroll("imposter", walker(4, 1), strict=True)
        assert [subject.subject for subject in gallery.subjects()] == ["p1", "p2", "p3", "p4"]


def test_of_two_look_alikes_enrolled_strictly_at_once_by_two_processes_one_is(store_url, walker, between):
    calibrations = calibration(sum(between) / 2)
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=racing_process.enrol, args=(store_url, calibrations, there))
    process.start()
    try:
        assert here.recv() == "ready"
        for lap in range(10):
            with Gallery.open(store_url, f"lap{lap}", "gei", calibrations=calibrations) as gallery:
                gallery.ready()
                here.send((f"lap{lap}", walker(1)))
                assert here.recv() == "set"
                here.send("go")
                try:
                    gallery.enroll("p1", walker(1, 1), strict=True)
                    won = True
                except LooksLikeOtherSubject:
                    won = False
                assert won != here.recv()
                assert [subject.subject for subject in gallery.subjects()] == ["p1" if won else "racer"]
    finally:
        here.send(None)
        process.join(60)
    assert process.exitcode == 0


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({"mean_joint_score": 0.29}, ["joints"]),
        ({"mask_stability": 0.49}, ["masks"]),
        ({"rate_hz": 5.0, "low_rate": True}, ["rate"]),
        ({"rate_hz": 5.0, "low_rate": True, "mask_stability": 0.4}, ["masks", "rate"]),
    ],
)
def test_a_walker_of_low_quality_is_not_enrolled(store_url, walker, fields, reasons):
    with Gallery.open(store_url, network="gei") as gallery:
        with pytest.raises(PoorQuality, match="quality is too low") as caught:
            gallery.enroll("p1", walker(1, **fields))
        assert caught.value.extra["reasons"] == reasons
        assert gallery.subjects() == []
        with pytest.raises(TooShort):
            gallery.enroll("p1", walker(1, frames=14))


def test_a_low_rate_can_be_enrolled_where_the_network_is_calibrated_for_it(store_url, walker):
    known = calibration(1.0)[GEI].model_copy(update={"min_rate_hz": 4.0})
    with Gallery.open(store_url, network="gei", calibrations={GEI: known}) as gallery:
        gallery.enroll("p1", walker(1, rate_hz=5.0, low_rate=True))


def test_a_template_of_somebody_else_is_told(store_url, walker):
    with Gallery.open(store_url, network="gei", calibrations={}) as gallery:
        for walk in range(3):
            gallery.enroll("p1", walker(1, walk))
        gallery.enroll("p2", walker(2))
        assert gallery.outliers("p1") == gallery.outliers("p2") == []
        wrong = gallery.enroll("p1", walker(2, 1))
        (found,) = gallery.outliers("p1")
        assert (found.template, found.reason, found.other_subject) == (
            wrong.id,
            OutlierReason.NEARER_TO_OTHER,
            "p2",
        )
        assert found.other_distance < found.own_distance
        with pytest.raises(NotFound):
            gallery.outliers("nobody")


def test_a_template_far_from_all_others_is_told():
    points = np.float64([0.0, 1.0, 2.0, 3.0, 4.2, 20.0])
    among = torch.from_numpy(abs(points[:, None] - points))
    ids = [f"t{i}" for i in range(6)]
    far = Hit("other", "x", 100.0)
    assert [o.template for o in outliers(ids, among, [far] * 6, None)] == ["t5"]
    assert outliers(ids, among, [None] * 6, None)[0].other_subject is None
    assert [o.template for o in outliers(ids, among, [far] * 6, 1.1)] == ["t4", "t5"]
    assert outliers(ids[:3], among[[0, 1, 5]][:, [0, 1, 5]], [far] * 3, None) == []  # too few to say what is usual
    same = torch.zeros(5, 5)
    assert outliers(ids[:5], same, [far] * 5, None) == []
    assert outliers(ids[:1], same[:1, :1], [far], None) == []


def test_what_has_expired_is_no_candidate(store_url, walker, monkeypatch):
    with Gallery.open(store_url, network="gei") as gallery:
        kept = gallery.enroll("p1", walker(1))
        embedding, now = gallery.embedding(kept.id), datetime.now(UTC)
        soon = NewTemplate(
            GEI, embedding, b"", False, kept.quality, 1, 0.0, 1.0, "b" * 64, expires=now + timedelta(hours=1)
        )
        gallery.store.enroll("default", NewSubject("p2"), soon)
        assert {c.subject for c in gallery.identify(walker(1)).candidates} == {"p1", "p2"}
        later = SimpleNamespace(time=lambda: time.time() + 3601)
        monkeypatch.setattr(partwise, "time", later)
        answer = gallery.identify(walker(1))
        assert ([c.subject for c in answer.candidates], answer.threshold.gallery_size) == (["p1"], 1)
        assert gallery.verify("p2", walker(1)).reason is Reason.EMPTY_GALLERY
        assert gallery.ready()  # though the store still has it


def test_a_gallery_is_ready_once_it_equals_the_store(store_url, walker):
    with Gallery.open(store_url, network="gei") as gallery, Gallery.open(store_url, network="gei") as other:
        assert gallery.ready()
        for person in range(3):
            other.enroll(f"p{person}", walker(person))
        other.update_subject("p1", metadata={"a": "b"})
        other.erase("p0")
        fresh = Gallery(other.store, network="gei")
        assert gallery.ready() and fresh.ready()
        # One that missed something is not.
        lost = Gallery(other.store, network="gei")
        lost._answers.index._store = Forgetful(other.store)
        assert not lost.ready()


class Forgetful:
    """A store whose followers are not told of the first change."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    def changes(self, collection, after=""):
        news = self._store.changes(collection, after)
        return news if after else replace(news, changes=news.changes[1:])


def test_another_process_finds_and_loses_people(store_url, walker):
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=following_process.search, args=(store_url, walker(1, 1), there))
    with Gallery.open(store_url, network="gei") as gallery:
        gallery.enroll("p0", walker(0))
        process.start()
        try:
            assert here.poll(120) and here.recv()[:2] == ("ready", True)
            assert here.poll(120) and here.recv()[:2] == ("p0", 1)
            for act, expected in ((lambda: gallery.enroll("p1", walker(1)), "p1"), (lambda: gallery.erase("p1"), "p0")):
                act()
                assert here.poll(120)
                assert here.recv()[0] == expected
        finally:
            here.send("end")
            process.join(60)
    assert process.exitcode == 0
