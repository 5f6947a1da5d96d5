from __future__ import annotations

import pytest

from gaitkeeper.gallery.decision.calibration import Calibration, ConfidenceMap, FpirThresholds, InUnits
from gaitkeeper.gallery.decision.units import Basis, Unit
from gaitkeeper.gallery.decision.verdict import QualityGates, candidates_of, check_fpir, decide, threshold_of
from gaitkeeper.gallery.errors import BadFpir
from gaitkeeper.gallery.search.partwise import Hit
from gaitkeeper.gallery.types import Reason, Verdict
from gaitkeeper.pipelines.errors import TooShort

HITS = [Hit("alice", "t1", 2.0), Hit("bob", "t2", 3.0)]
GATES = QualityGates()


@pytest.fixture
def calibration(fingerprint):
    return Calibration(
        fingerprint=fingerprint,
        thresholds=(FpirThresholds(fpir=0.01, gallery_sizes=(2, 100), distances=(2.0, 1.0)),),
        confidence=ConfidenceMap(distances=(1.0, 3.0), confidences=(1.0, 0.0)),
        min_rate_hz=12.0,
    )


def verdict(seq, calibration, hits=HITS, size=2):
    return decide(seq, hits, threshold_of(0.01, size, calibration), calibration, GATES)


def test_a_match_reaches_to_the_threshold_and_no_further(walker, calibration):
    assert verdict(walker(1), calibration) == (Verdict.MATCH, None)
    assert verdict(walker(1), calibration, [Hit("alice", "t1", 2.0000001)]) == (Verdict.UNKNOWN, None)
    assert verdict(walker(1), calibration, size=100) == (Verdict.UNKNOWN, None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"frames": 14}, Reason.TOO_SHORT),
        ({"rate_hz": 5.0, "low_rate": True}, Reason.LOW_RATE),
        ({"mean_joint_score": 0.29}, Reason.POOR_QUALITY),
        ({"mask_stability": 0.49}, Reason.POOR_QUALITY),
        ({"frames": 2, "rate_hz": 5.0, "low_rate": True}, Reason.TOO_SHORT),
    ],
)
def test_what_cannot_be_told_is_inconclusive_with_and_without_calibration(walker, calibration, fields, reason):
    assert verdict(walker(1, **fields), calibration) == (Verdict.INCONCLUSIVE, reason)
    assert verdict(walker(1, **fields), None) == (Verdict.INCONCLUSIVE, reason)


def test_a_low_rate_counts_only_where_the_calibration_does_not_cover_it(walker, calibration):
    seq = walker(1, rate_hz=15.0)
    strict = calibration.model_copy(update={"min_rate_hz": 20.0})
    assert verdict(seq, calibration) == (Verdict.MATCH, None)
    assert verdict(seq, strict) == (Verdict.INCONCLUSIVE, Reason.LOW_RATE)
    slower = walker(1, rate_hz=7.0, low_rate=True)
    assert verdict(slower, None) == (Verdict.INCONCLUSIVE, Reason.LOW_RATE)


def test_8_a_low_rate_needs_as_many_frames_as_last_as_long(walker, calibration):
    for rate, needed in ((30.0, 15), (20.0, 15), (15.0, 8), (12.5, 7)):
        assert verdict(walker(1, frames=needed, rate_hz=rate), calibration) == (Verdict.MATCH, None)
        short = verdict(walker(1, frames=needed - 1, rate_hz=rate), calibration)
        assert short == (Verdict.INCONCLUSIVE, Reason.TOO_SHORT)


def test_without_a_calibration_nothing_is_conclusive(walker):
    assert verdict(walker(1), None) == (Verdict.INCONCLUSIVE, Reason.UNCALIBRATED)
    threshold = threshold_of(0.01, 2, None)
    assert (threshold.value, threshold.source, threshold.extrapolated) == (None, None, False)
    assert (threshold.fpir, threshold.gallery_size) == (0.01, 2)


def test_one_distance_is_a_match_where_people_are_far_apart_and_unknown_where_all_are_near(walker, calibration):
    table = FpirThresholds(fpir=0.01, gallery_sizes=(3,), distances=(0.5,))
    known = calibration.model_copy(
        update={"collection": InUnits(thresholds=(table,), confidence=calibration.confidence)}
    )
    for length, expected in ((4.0, Verdict.MATCH), (3.9, Verdict.UNKNOWN)):
        threshold = threshold_of(0.01, 3, known, subjects=3, unit=Unit(length, Basis.COLLECTION, 2))
        assert decide(walker(1), HITS, threshold, known, GATES) == (expected, None)


def test_an_empty_gallery_knows_nobody(walker, calibration):
    for chosen in (None, calibration):
        assert verdict(walker(1), chosen, [], 0) == (Verdict.INCONCLUSIVE, Reason.EMPTY_GALLERY)


def test_candidates_are_ranked_and_rated(calibration):
    rated = candidates_of(HITS, calibration)
    assert [(c.subject, c.rank, c.distance, c.confidence, c.template) for c in rated] == [
        ("alice", 1, 2.0, 0.5, "t1"),
        ("bob", 2, 3.0, 0.0, "t2"),
    ]
    assert [c.confidence for c in candidates_of(HITS, None)] == [None, None]


def test_enrolment_needs_frames_and_says_how_many(walker):
    GATES.check_enrolment(walker(1, frames=15))
    with pytest.raises(TooShort, match="14 usable frames; 15"):
        GATES.check_enrolment(walker(1, frames=14))


@pytest.mark.parametrize("fpir", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_rate_lies_between_none_and_all(fpir):
    with pytest.raises(BadFpir):
        check_fpir(fpir)
