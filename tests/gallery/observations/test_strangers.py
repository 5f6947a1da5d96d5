"""Walkers whom a collection did not know, on every store: kept, grouped, named, forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from gaitkeeper import models
from gaitkeeper.gallery import Calibration, Gallery
from gaitkeeper.gallery.decision.calibration import ConfidenceMap, FpirThresholds
from gaitkeeper.gallery.errors import NotFound, PoorQuality
from gaitkeeper.gallery.migration import migrate
from gaitkeeper.gallery.names import STRANGERS, companion_of, enrolled_only
from gaitkeeper.gallery.observations.strangers import MOST, Strangers
from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.pipelines.fingerprint import Fingerprint, fingerprint_of
from gaitkeeper.pipelines.sequence import GaitSequence

EYES = "blazepose-full/1"
GEI = Fingerprint("gei", "none", "1", EYES)


def calibrated(fingerprint, distance):
    return Calibration(
        fingerprint=fingerprint,
        thresholds=(FpirThresholds(fpir=0.01, gallery_sizes=(1,), distances=(distance,)),),
        confidence=ConfidenceMap(distances=(0.0, distance), confidences=(1.0, 0.0)),
    )


@pytest.fixture
def gallery(store_url, walker):
    """Knows person 0; a match up to half-way between one person's walks and two people's."""
    with Gallery.open(store_url, "measured", "gei") as measuring:
        for person in (5, 6):
            measuring.enroll(f"p{person}", walker(person))
        near, far = (candidate.distance for candidate in measuring.identify(walker(5, 1)).candidates)
    with Gallery.open(store_url, network="gei", calibrations={GEI: calibrated(GEI, (near + far) / 2)}) as opened:
        opened.enroll("known", walker(0), clip_sha256="0" * 64)
        yield opened


def clip(number):
    return f"{number:064x}"


def test_nobody_is_kept_unless_asked_for(gallery, walker):
    strangers = Strangers(gallery)
    assert strangers.keep_seconds is None
    assert strangers.add(walker(1), clip(1)) is None
    assert strangers.groups() == []
    assert strangers.forget().templates == 0 and strangers.keep(None).templates == 0
    with pytest.raises(NotFound):
        strangers.sequence("0" * 32)


def test_those_alike_are_grouped_named_and_enrolled(gallery, walker):
    strangers = Strangers(gallery)
    strangers.keep(3600)
    assert strangers.keep_seconds == 3600
    ids = [strangers.add(walker(person, walk), clip(10 * person + walk)) for person, walk in ((1, 0), (2, 0), (1, 1))]
    assert strangers.add(walker(1, 0), clip(10)) is None, "the same walk of the same clip"
    first, second = strangers.groups()
    assert [[s.id for s in group.strangers] for group in (first, second)] == [[ids[0], ids[2]], [ids[1]]]
    assert first.last_seen >= second.last_seen and first.spread > second.spread == 0
    kept = first.strangers[0]
    assert (kept.clip_sha256, kept.track) == (clip(10), 1)
    assert timedelta(seconds=3590) < kept.expires - datetime.now(UTC) < timedelta(seconds=3600)
    walk = strangers.sequence(ids[0])
    np.testing.assert_array_equal(walk.silhouettes, walker(1, 0).silhouettes)
    assert walk.heatmaps is None

    templates = strangers.name(first.id, "carol", "Carol")
    assert [t.clip_sha256 for t in templates] == [clip(10), clip(11)] and gallery.subject("carol").templates == 2
    assert gallery.identify(walker(1, 2)).candidates[0].subject == "carol"
    assert [[s.id for s in group.strangers] for group in strangers.groups()] == [[ids[1]]]
    for stale in (lambda: strangers.name(first.id, "dave"), lambda: strangers.forget(first.id)):
        with pytest.raises(NotFound):
            stale()
    assert strangers.forget(second.id).subjects == 1
    with pytest.raises(NotFound):
        strangers.sequence(ids[1])


def test_a_group_that_somebody_joins_is_another_one(gallery, walker):
    strangers = Strangers(gallery)
    strangers.keep(3600)
    strangers.add(walker(1, 0), clip(1))
    (before,) = strangers.groups()
    strangers.add(walker(1, 1), clip(2))
    with pytest.raises(NotFound):
        strangers.name(before.id, "carol")
    assert "carol" not in [subject.subject for subject in gallery.subjects()]


def test_they_are_no_candidates_and_in_no_list(gallery, walker):
    strangers = Strangers(gallery)
    strangers.keep(3600)
    strangers.add(walker(1), clip(1))
    assert [c.subject for c in gallery.identify(walker(1, 1)).candidates] == ["known"]
    assert [s.subject for s in gallery.subjects()] == ["known"] and gallery.collection.templates == 1
    assert companion_of("default", STRANGERS) not in [one.name for one in gallery.collections()]
    assert {one.name for one in enrolled_only(gallery.store.collections())} == {"default", "measured"}


def test_they_expire_and_are_forgotten_when_turned_off(gallery, walker):
    strangers = Strangers(gallery)
    strangers.keep(1000)
    strangers.add(walker(1), clip(1))
    gallery.store.purge(companion_of("default", STRANGERS), datetime.now(UTC) + timedelta(seconds=1001))
    assert strangers.groups() == []
    strangers.add(walker(2), clip(2))
    assert strangers.keep(None).templates == 1
    assert strangers.keep_seconds is None and strangers.groups() == []
    strangers.keep(10)
    assert strangers.groups() == []


def test_the_oldest_go_for_new_ones(gallery, walker, monkeypatch):
    monkeypatch.setattr("gaitkeeper.gallery.observations.strangers.MOST", 2)
    strangers = Strangers(gallery)
    strangers.keep(3600)
    ids = [strangers.add(walker(person), clip(person)) for person in (1, 2, 3)]
    assert sorted(s.id for group in strangers.groups() for s in group.strangers) == sorted(ids[1:])
    assert MOST == 1000


def test_whoever_makes_room_or_turns_it_off_meanwhile_stops_no_answer(gallery, walker, monkeypatch):
    monkeypatch.setattr("gaitkeeper.gallery.observations.strangers.MOST", 1)
    strangers, store = Strangers(gallery), gallery.store
    subjects, enroll = store.subjects, store.enroll
    strangers.keep(3600)
    first = strangers.add(walker(1), clip(1))

    def overtaken(name):
        listed = subjects(name)
        store.erase(name, first)
        return listed

    monkeypatch.setattr(store, "subjects", overtaken)
    assert strangers.add(walker(2), clip(2))
    monkeypatch.setattr(store, "subjects", subjects)

    def turned_off(*given):
        strangers.keep(None)
        return enroll(*given)

    monkeypatch.setattr(store, "enroll", turned_off)
    assert strangers.add(walker(3), clip(3)) is None
    assert strangers.keep_seconds is None


def test_a_poor_walk_is_not_enrolled_and_stays(gallery, walker):
    strangers = Strangers(gallery)
    strangers.keep(3600)
    strangers.add(walker(1, mean_joint_score=0.1), clip(1))
    (group,) = strangers.groups()
    with pytest.raises(PoorQuality):
        strangers.name(group.id, "carol")
    assert strangers.groups() == [group]


def test_they_move_with_their_collection_to_another_network(store_url, walker):
    small = models.build("gaitpart", seed=0, channels=(4, 8, 16), embed_dim=8).eval()
    prints = {GEI: calibrated(GEI, 1e-3), fingerprint_of(small, EYES): calibrated(fingerprint_of(small, EYES), 1e6)}
    with Gallery.open(store_url, network="gei", calibrations=prints) as before:
        before.enroll("known", walker(0))
        Strangers(before).keep(3600)
        for person in (1, 2):
            Strangers(before).add(walker(person), clip(person))
        assert len(Strangers(before).groups()) == 2
        migrate(before.store, "default", small)
    with Gallery.open(store_url, network=small, calibrations=prints) as after:
        strangers = Strangers(after)
        (group,) = strangers.groups()  # this calibration takes everybody for one person
        assert len(group.strangers) == 2
        assert strangers.add(walker(3), clip(3)) is not None
        companion = after.store.collection(companion_of("default", STRANGERS))
        assert companion.fingerprint == fingerprint_of(small, EYES) and companion.shadow is None


def test_encrypted_they_are_in_no_file(tmp_path: Path, walker):
    vault = Vault.parse("ab" * 32)
    store = open_store(f"sqlite:///{tmp_path / 'sealed.db'}", vault)
    store.ensure_collection("default")
    with Gallery(store, network="gei", calibrations={GEI: calibrated(GEI, 1.0)}) as gallery:
        gallery.enroll("known", walker(0))
        strangers = Strangers(gallery)
        strangers.keep(3600)
        stranger = strangers.add(walker(1), clip(1))
        kept = strangers.sequence(stranger)
        probe = kept.to_bytes()[200:260]
        for file in tmp_path.iterdir():
            assert probe not in file.read_bytes()
        assert isinstance(kept, GaitSequence)
        assert not strangers.forget().pending
        for file in tmp_path.iterdir():
            assert stranger.encode() not in file.read_bytes()
        assert store.audit(companion_of("default", STRANGERS)).left == ()
