"""Who passes the cameras of a collection, on every store: kept where that is asked for, bounded, forgotten."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitkeeper import models
from gaitkeeper.gallery import Calibration, Gallery
from gaitkeeper.gallery.decision.calibration import ConfidenceMap, FpirThresholds
from gaitkeeper.gallery.errors import BadCollection, NotFound, StoreUnavailable
from gaitkeeper.gallery.identification.companions import forget_companions
from gaitkeeper.gallery.identification.passers import PassersBy
from gaitkeeper.gallery.migration import migrate, rollback
from gaitkeeper.gallery.names import PASSERS_BY, companion_of
from gaitkeeper.gallery.stores.archive import export_collection
from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.views import View
from gaitkeeper.pipelines.fingerprint import Fingerprint, fingerprint_of

EYES = "blazepose-full/1"
GEI = Fingerprint("gei", "none", "1", EYES)
DOOR, HALL = View("door", "left"), View("hall", "away")
COMPANION = companion_of("default", PASSERS_BY)


@pytest.fixture(scope="module")
def gei():
    return models.load("gei")


@pytest.fixture(scope="module")
def small():
    return models.build("gaitpart", seed=0, channels=(4, 8, 16), embed_dim=8).eval()


@pytest.fixture
def add(gei, walker):
    """Adds a walk with an embedding (2, 3) that follows from a number, or is given."""

    def added(passers, view, number, **options):
        made = number
        if not isinstance(number, torch.Tensor):
            made = torch.from_numpy(np.random.default_rng(number).normal(size=(2, 3))).float()
        return passers.add(gei, walker(1, frames=16), made, view, **options)

    return added


def sent(seq, way):
    """The same walker, drifting through the picture: +1 to the right, -1 to the left."""
    boxes = seq.boxes + np.float32(way * 120 * 0.8) * seq.timestamps[:, None].astype(np.float32) * [1, 0, 1, 0]
    return replace(seq, boxes=boxes.astype(np.float32))


def test_nobody_is_kept_unless_asked_for(store, add):
    passers = PassersBy(store, "default")
    assert passers.keep_seconds is None and not add(passers, DOOR, 1)
    assert passers.of(GEI, DOOR).shape == (0, 0, 0) and passers.count(GEI, None) == 0
    assert passers.forget("door") == 0 and passers.keep(None).templates == 0
    assert [one.name for one in store.collections()] == ["default"]


def test_they_are_given_by_view_as_they_were_made(store, add):
    passers, other = PassersBy(store, "default"), PassersBy(store, "default")
    passers.keep(3600)
    first, second = torch.ones(2, 3), torch.tensor([[4.0, 0, 0], [0, 4, 0]])
    assert add(passers, DOOR, first) and add(passers, DOOR, second) and add(passers, HALL, first)
    torch.testing.assert_close(passers.of(GEI, DOOR), torch.stack([first, second]))
    torch.testing.assert_close(other.of(GEI, HALL), first[None])
    assert (other.count(GEI, DOOR), other.count(GEI, View("door", "right"))) == (2, 0)
    assert other.count(replace(GEI, weights="others"), DOOR) == 0
    assert passers.of(GEI, DOOR) is passers.of(GEI, DOOR), "from memory until something changes"
    (left, away) = store.subjects(COMPANION)[::-1]
    assert {left.subject, away.subject} == {"left/door", "away/hall"}
    for template in store.templates(COMPANION, "left/door"):
        assert template.clip_sha256 is None and template.subject == "left/door"
        assert timedelta(seconds=3590) < template.expires - datetime.now(UTC) <= timedelta(seconds=3600)


def test_whoever_passes_often_counts_little(store, add):
    passers = PassersBy(store, "default")
    passers.keep(3600)
    assert add(passers, DOOR, 1) and not add(passers, DOOR, 1), "the very same walk"
    for number in range(2, 6):
        assert add(passers, DOOR, number)
    among = passers.of(GEI, DOOR)
    assert not add(passers, DOOR, among[2] + 0.1 * torch.randn(2, 3, generator=torch.manual_seed(0)))
    assert add(passers, HALL, among[2]), "seen from elsewhere it is another walk"
    assert add(passers, DOOR, 10 + among[2]) and passers.count(GEI, DOOR) == 6


def test_a_view_that_is_full_renews_itself_over_the_time_to_keep(store, add, monkeypatch):
    monkeypatch.setattr("gaitkeeper.gallery.identification.passers.PER_VIEW", 3)
    passers = PassersBy(store, "default")
    passers.keep(3600)
    assert [add(passers, DOOR, number) for number in range(5)] == [True] * 3 + [False] * 2
    before = passers.of(GEI, DOOR)
    assert add(passers, HALL, 1), "another view has room"
    later = time.time() + 1201
    assert add(passers, DOOR, 5, now=later)
    after = passers.of(GEI, DOOR)
    torch.testing.assert_close(after[:2], before[1:])
    assert len(after) == 3


def test_a_collection_that_is_full_makes_room_where_there_is_most(store, add, monkeypatch):
    monkeypatch.setattr("gaitkeeper.gallery.identification.passers.IN_ALL", 4)
    passers = PassersBy(store, "default")
    passers.keep(3600)
    assert all(add(passers, DOOR, number) for number in range(4))
    assert all(add(passers, HALL, number) for number in range(2))
    assert (passers.count(GEI, DOOR), passers.count(GEI, HALL)) == (2, 2)


def test_they_expire_and_are_purged(store, add, monkeypatch):
    passers = PassersBy(store, "default")
    passers.keep(3600)
    add(passers, DOOR, 1)
    assert passers.count(GEI, DOOR) == 1
    later = time.time() + 3601
    monkeypatch.setattr("gaitkeeper.gallery.identification.passers.time.time", lambda: later)
    assert passers.count(GEI, DOOR) == 0, "before anything is purged"
    assert store.purge(COMPANION, datetime.now(UTC) + timedelta(seconds=3601)).templates == 1


def test_a_camera_is_forgotten_and_one_that_is_turned_off_forgets_all(store, add):
    passers = PassersBy(store, "default")
    passers.keep(3600)
    for view in (DOOR, View("door", "right"), HALL):
        add(passers, view, 1)
    assert passers.forget("door") == 2 and passers.forget("door") == 0
    assert (passers.count(GEI, DOOR), passers.count(GEI, HALL)) == (0, 1)
    assert store.audit(COMPANION).left == ()
    assert passers.keep(None).templates == 1
    assert passers.keep_seconds is None and passers.count(GEI, HALL) == 0
    passers.keep(60)
    assert passers.count(GEI, HALL) == 0
    forget_companions(store, "default")
    assert passers.keep_seconds is None


def test_a_shorter_time_forgets_who_was_to_be_kept_for_longer(store, add):
    passers = PassersBy(store, "default")
    passers.keep(3600)
    add(passers, DOOR, 1)
    assert passers.keep(7200).templates == 0 and passers.count(GEI, DOOR) == 1
    assert passers.keep(60).templates == 1
    assert (passers.keep_seconds, passers.count(GEI, DOOR)) == (60, 0)


def test_no_archive_holds_them(store, add, tmp_path):
    PassersBy(store, "default").keep(3600)
    with pytest.raises(BadCollection):
        export_collection(store, COMPANION, tmp_path / "passers.gallery")
    assert list(tmp_path.glob("*.gallery")) == []


def test_another_process_follows_what_is_erased_and_made_anew(store, add, monkeypatch):
    monkeypatch.setattr("gaitkeeper.gallery.identification.passers.REFRESH_SECONDS", 0)
    passers, other = PassersBy(store, "default"), PassersBy(store, "default")
    passers.keep(3600)
    add(passers, DOOR, 1)
    add(passers, DOOR, 2)
    assert other.count(GEI, DOOR) == 2
    oldest = passers.kept(GEI)[DOOR].templates[0]
    assert passers.erase([oldest, oldest]).templates == 1
    assert other.count(GEI, DOOR) == 1
    passers.keep(None)
    assert other.count(GEI, DOOR) == 0
    passers.keep(3600)
    add(passers, HALL, 3)
    assert (other.count(GEI, DOOR), other.count(GEI, HALL)) == (0, 1)


def test_while_the_store_cannot_be_reached_what_was_known_last_holds(store, add, monkeypatch):
    passers = PassersBy(store, "default")
    passers.keep(3600)
    add(passers, DOOR, 1)
    assert passers.count(GEI, DOOR) == 1

    def gone(*given):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(store, "changes", gone)
    monkeypatch.setattr("gaitkeeper.gallery.identification.passers.REFRESH_SECONDS", 0)
    assert passers.count(GEI, DOOR) == 1
    assert PassersBy(store, "default").count(GEI, DOOR) == 0


def test_whoever_is_identified_or_enrolled_by_a_camera_is_kept_where_seen_well(store_url, walker):
    with Gallery.open(store_url, network="gei") as gallery:
        gallery.identify(sent(walker(1), 1), camera="door")
        gallery.passers_by.keep(3600)
        right, left = View("door", "right"), View("door", "left")
        gallery.enroll("ann", sent(walker(2), 1), camera="door", clip_sha256="0" * 64)
        gallery.identify(sent(walker(3), 1), camera="door")
        gallery.identify_many([sent(walker(4), 1)], camera="door", learn=False)
        gallery.identify(sent(walker(4), 1))
        gallery.verify("ann", sent(walker(4), 1), camera="door")
        gallery.identify(sent(walker(4, frames=10), 1), camera="door")
        gallery.identify(sent(walker(4, mean_joint_score=0.1), 1), camera="door")
        gallery.identify(walker(5, frames=16), camera="hall")
        fingerprint = gallery.collection.fingerprint
        assert gallery.passers_by.count(fingerprint, right) == 2
        (template, _) = gallery.store.templates(COMPANION, str(right))
        stored = torch.from_numpy(gallery.store.embedding(COMPANION, template.id))
        torch.testing.assert_close(gallery.passers_by.of(fingerprint, right)[0], stored)
        assert gallery.learn([sent(walker(6), -1), sent(walker(7), -1), walker(8)], "door") == 3
        assert gallery.learn([sent(walker(6), -1)], "door") == 0
        assert gallery.passers_by.count(fingerprint, left) == 2
        assert {c.subject for c in gallery.identify(sent(walker(3), 1), camera="door").candidates} == {"ann"}
        assert [one.name for one in gallery.collections()] == ["default"]


def test_whoever_is_erased_is_no_passer_by_any_longer_as_far_as_can_be_told(store_url, walker):
    right, left = View("door", "right"), View("door", "left")
    with Gallery.open(store_url, network="gei", calibrations={}) as gallery:
        gallery.keep_passers_by(3600)
        gallery.enroll("ann", sent(walker(2), 1), camera="door")
        gallery.learn([sent(walker(2, 1), -1), sent(walker(3), -1)], "door")
        assert gallery.erase("ann").passers_by == 1, "uncalibrated, the very same walk alone"
        assert (gallery.passers_by.count(GEI, right), gallery.passers_by.count(GEI, left)) == (0, 2)
        gallery.enroll("ann", walker(2))
        gallery.enroll("bob", walker(5))
        near = gallery.identify(sent(walker(2, 1), -1)).candidates[0].distance
        far = gallery.identify(sent(walker(3), -1)).candidates[0].distance
    assert near < far
    threshold = FpirThresholds(fpir=0.01, gallery_sizes=(1,), distances=((near + far) / 2,))
    confidence = ConfidenceMap(distances=(0.0, far), confidences=(1.0, 0.0))
    calibration = Calibration(fingerprint=GEI, thresholds=(threshold,), confidence=confidence)
    with Gallery.open(store_url, network="gei", calibrations={GEI: calibration}) as gallery:
        assert gallery.erase("bob").passers_by == 0
        erased = gallery.erase("ann")
        assert (erased.templates, erased.passers_by) == (1, 1)
        assert gallery.passers_by.count(GEI, left) == 1
        assert gallery.store.audit(COMPANION).left == ()
        assert [entry.action for entry in gallery.store.audit("default").entries[:2]] == ["create", "keep_passers_by"]
        with pytest.raises(NotFound):
            gallery.erase("ann")


def test_they_move_with_their_collection_and_back(store_url, walker, gei, small):
    right = View("door", "right")
    with Gallery.open(store_url, network="gei") as before:
        before.enroll("known", walker(0))
        before.passers_by.keep(3600)
        assert before.learn([sent(walker(person), 1) for person in (1, 2)], "door") == 2
        was = before.passers_by.of(GEI, right)
        migrate(before.store, "default", small)
        moved = fingerprint_of(small, EYES)
        fresh = PassersBy(before.store, "default")
        assert (fresh.count(GEI, right), fresh.count(moved, right)) == (0, 2)
        assert before.store.collection(COMPANION).shadow is None
    with Gallery.open(store_url, network=small) as after:
        assert after.learn([sent(walker(3), 1)], "door") == 1
        rollback(after.store, "default", lambda fingerprint: gei)
        torch.testing.assert_close(PassersBy(after.store, "default").of(GEI, right)[:2], was)


def test_encrypted_they_are_in_no_file(tmp_path: Path, add):
    store = open_store(f"sqlite:///{tmp_path / 'sealed.db'}", Vault.parse("ab" * 32))
    store.ensure_collection("default")
    passers = PassersBy(store, "default")
    passers.keep(3600)
    embedding = torch.randn(2, 3, generator=torch.manual_seed(5))
    add(passers, DOOR, embedding)
    probe = embedding.numpy().astype("<f4").tobytes()
    torch.testing.assert_close(PassersBy(store, "default").of(GEI, DOOR)[0], embedding)
    for file in tmp_path.iterdir():
        assert probe not in file.read_bytes()
    store.close()
