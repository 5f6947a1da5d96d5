"""Verdicts that a collection keeps, on every store: found again by the walk, and erased with the person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gaitkeeper import models
from gaitkeeper.gallery import Calibration, Gallery
from gaitkeeper.gallery.decision.calibration import ConfidenceMap, FpirThresholds
from gaitkeeper.gallery.errors import BadFpir, NotFound
from gaitkeeper.gallery.migration import migrate
from gaitkeeper.gallery.observations.sightings import Sightings
from gaitkeeper.gallery.stores.archive import export_collection, import_collection
from gaitkeeper.gallery.types import Reason, Verdict
from gaitkeeper.gallery.types.sightings import Source
from gaitkeeper.pipelines.fingerprint import Fingerprint

GEI = Fingerprint("gei", "none", "1", "blazepose-full/1")
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def calibrated(distance):
    return Calibration(
        fingerprint=GEI,
        thresholds=(FpirThresholds(fpir=0.01, gallery_sizes=(1,), distances=(distance,)),),
        confidence=ConfidenceMap(distances=(0.0, distance), confidences=(1.0, 0.0)),
    )


@pytest.fixture
def gallery(store_url, walker):
    """Knows person 0; a match up to half-way between one person's walks and two people's; keeps sightings."""
    with Gallery.open(store_url, "measured", "gei") as measuring:
        for person in (5, 6):
            measuring.enroll(f"p{person}", walker(person))
        near, far = (candidate.distance for candidate in measuring.identify(walker(5, 1)).candidates)
    with Gallery.open(store_url, network="gei", calibrations={GEI: calibrated((near + far) / 2)}) as opened:
        opened.enroll("known", walker(0), clip_sha256="0" * 64)
        opened.store.keep_sightings("default", 86400)
        yield opened


def clip(number):
    return f"{number:064x}"


def record(gallery, seq, number=None, **fields):
    answer = gallery.identify(seq)
    digest = None if number is None else clip(number)
    values = {"source": Source.REQUEST, "camera": "door", "clip_sha256": digest} | fields
    return Sightings(gallery).record(seq, answer, **values)


def test_an_unknown_walker_is_found_once_she_is_enrolled(gallery, walker):
    match = record(gallery, walker(0, 1), 1)
    unknown = record(gallery, walker(1, 0), 2)
    other = record(gallery, walker(2, 0), 3)
    assert (match.verdict, match.subject, match.searchable) == (Verdict.MATCH, "known", False)
    assert (unknown.verdict, unknown.subject, unknown.searchable) == (Verdict.UNKNOWN, None, True)
    gallery.enroll("ann", walker(1, 1))
    after = record(gallery, walker(2, 1), 4)

    sightings = Sightings(gallery)
    found = sightings.earlier("ann")
    assert (found.subject, found.searched, found.incomparable) == ("ann", 2, 0)
    assert found.before == gallery.subject("ann").created
    assert [(one.sighting.id, one.match) for one in found.found] == [(unknown.id, True), (other.id, False)]
    assert found.found[0].distance <= found.found[0].threshold < found.found[1].distance
    # As an identification of the same walk would say.
    again = gallery.identify(walker(1, 0))
    assert again.candidates[0].subject == "ann"
    assert found.found[0].distance == pytest.approx(again.candidates[0].distance)
    assert found.found[0].threshold == pytest.approx(again.threshold.value)
    assert [one.sighting.id for one in sightings.earlier("ann", before=LATER).found] == [unknown.id, other.id, after.id]
    assert sightings.earlier("ann", before=datetime(2000, 1, 1, tzinfo=UTC)).searched == 0
    with pytest.raises(BadFpir):
        sightings.earlier("ann", fpir=0.5)
    with pytest.raises(NotFound):
        sightings.earlier("nobody")

    erased = gallery.erase("ann")
    assert (erased.sightings, erased.templates) == (1, 1)
    assert {one.id for one in gallery.store.sightings("default")} == {match.id, other.id, after.id}
    assert gallery.erase("known").sightings == 1


def test_the_walk_that_she_was_enrolled_from_goes_with_her_whatever_was_said_of_it(gallery, walker):
    wrong = record(gallery, walker(1, 0), 7, says=(Verdict.MATCH, "known"))
    gallery.enroll("ann", walker(1, 0), clip_sha256=clip(7))
    assert wrong.subject == "known" and not wrong.searchable
    assert gallery.erase("ann").sightings == 1
    assert gallery.store.sightings("default") == []


def test_those_who_came_before_anybody_was_enrolled_can_be_found(store_url, walker):
    with Gallery.open(store_url, network="gei", calibrations={}) as gallery:
        gallery.store.keep_sightings("default", 3600)
        empty = record(gallery, walker(1, 0), 1)
        poor = record(gallery, walker(1, 0, mean_joint_score=0.05), 2)
        assert {(one.verdict, one.reason) for one in (empty, poor)} == {(Verdict.INCONCLUSIVE, Reason.EMPTY_GALLERY)}
        assert (empty.searchable, poor.searchable) == (True, False)
        gallery.enroll("bob", walker(3, 0))
        uncalibrated = record(gallery, walker(1, 2), 3)
        assert (uncalibrated.reason, uncalibrated.searchable) == (Reason.UNCALIBRATED, True)
        gallery.enroll("ann", walker(1, 1))
        found = Sightings(gallery).earlier("ann").found
        assert {one.sighting.id for one in found} == {empty.id, uncalibrated.id}
        assert [(one.threshold, one.match) for one in found] == [(None, None)] * 2
        assert found[0].distance <= found[1].distance


def test_after_a_move_to_another_network_old_walks_cannot_be_compared(gallery, walker):
    record(gallery, walker(1, 0), 1)
    gallery.enroll("ann", walker(1, 1))
    migrate(gallery.store, "default", models.build("gaitset"))
    found = Sightings(gallery).earlier("ann")
    assert (found.searched, found.incomparable, found.found) == (0, 1, ())
    assert gallery.erase("ann").sightings == 0


def test_a_verdict_on_somebody_erased_meanwhile_leaves_nothing(gallery, walker):
    seq = walker(0, 1)
    answer = gallery.identify(seq)
    assert answer.verdict is Verdict.MATCH
    gallery.erase("known")
    assert Sightings(gallery).record(seq, answer, source=Source.STREAM) is None
    assert gallery.store.sightings("default") == []


def test_an_archive_holds_no_sightings(gallery, walker, tmp_path):
    record(gallery, walker(0, 1), 1, thumbnail=b"\xff\xd8 a picture of somebody")
    gallery.store.keep_picture("default", "known", b"\xff\xd8 a picture of somebody")
    export_collection(gallery.store, "default", tmp_path / "archive")
    assert b"a picture of somebody" not in (tmp_path / "archive").read_bytes()
    import_collection(gallery.store, tmp_path / "archive", "copy")
    assert gallery.store.collection("copy").sightings_seconds is None
    gallery.store.keep_sightings("copy", 60)
    assert gallery.store.sightings("copy") == []
    assert [one.picture for one in gallery.store.known("copy", ["known"])] == [False]


def test_a_later_verdict_on_the_same_walk_of_the_same_clip_takes_its_place(gallery, walker):
    first = record(gallery, walker(1, 0), 5)
    gallery.enroll("ann", walker(1, 1))
    second = record(gallery, walker(1, 0), 5, source=Source.JOB)
    assert (second.id, second.time) == (first.id, first.time)
    assert (second.subject, second.source) == ("ann", Source.JOB)
    live = [record(gallery, walker(1, 0)) for _ in range(2)]
    assert len({one.id for one in (*live, second)}) == 3
    assert live[1].expires - live[1].time == timedelta(days=1)
