"""What every store must do with sightings and with pictures of subjects."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject
from gaitkeeper.gallery.stores.redis import seen as redis_seen
from gaitkeeper.gallery.types import Action, LastSeen, Reason, Verdict
from gaitkeeper.gallery.types.sightings import Known, NewSighting, SeenWalk, Source, Wanted

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
ALICE, BOB = NewSubject("alice"), NewSubject("bob")
DAY = 86400.0
MOST = 1000


def picture(seed):
    return b"\xff\xd8" + np.random.default_rng([5, seed]).bytes(2000) + b"\xff\xd9"


@pytest.fixture
def sighting(fingerprint):
    """Makes sightings whose pictures and walks follow from a number; they were seen so many seconds ago."""
    now = datetime.now(UTC)

    def make(seed, ago=0.0, subject=None, **fields):
        verdict = Verdict.UNKNOWN if subject is None else Verdict.MATCH
        embedding = np.random.default_rng([6, seed]).normal(size=(4, 8)).astype(np.float32)
        values = {
            "source": Source.REQUEST,
            "verdict": verdict,
            "track": seed,
            "start": 0.25,
            "end": 1.5,
            "camera": "door",
            "subject": subject,
            "distance": None if subject is None else 0.3125,
            "clip_sha256": f"{seed:064x}",
            "thumbnail": picture(seed),
            "walk": None if subject else SeenWalk(fingerprint, embedding, "left"),
            "time": now - timedelta(seconds=ago),
        }
        return NewSighting(**(values | fields))

    return make


@pytest.fixture
def keeping(store):
    """An open store whose collection ``default`` keeps sightings for a day."""
    store.keep_sightings("default", DAY)
    return store


def test_nothing_is_kept_unless_the_collection_says_so(store, new_template, sighting):
    store.enroll("default", ALICE, new_template(1))
    assert store.collection("default").sightings_seconds is None
    assert store.see("default", sighting(1), MOST) is None
    assert not store.keep_picture("default", "alice", picture(1))
    assert store.sightings("default") == store.seen_walks("default") == []
    assert store.known("default", ["alice", "nobody"]) == [Known(), Known()]
    for ask in (store.sighting, store.thumbnail):
        with pytest.raises(NotFound):
            ask("default", "0" * 32)
    with pytest.raises(NotFound):
        store.picture("default", "alice")
    with pytest.raises(NotFound):
        store.keep_sightings("cellar", DAY)
    assert store.keep_sightings("default", 60.5).sightings == 0
    assert store.collection("default").sightings_seconds == 60.5
    assert store.ensure_collection("default").sightings_seconds == 60.5


def test_a_sighting_reads_back_whole(keeping, new_template, sighting, fingerprint):
    keeping.enroll("default", ALICE, new_template(1))
    known = sighting(1, 30, "alice", confidence=0.75, source=Source.STREAM, clip_sha256=None)
    unknown = sighting(2, 20, stranger="f" * 32)
    bare = sighting(3, 10, verdict=Verdict.INCONCLUSIVE, reason=Reason.TOO_SHORT, camera=None, thumbnail=b"", walk=None)
    made = [keeping.see("default", new, MOST) for new in (known, unknown, bare)]
    assert keeping.sightings("default") == made[::-1]
    assert [keeping.sighting("default", one.id) for one in made] == made
    first, second, third = made
    assert (first.verdict, first.subject, first.distance, first.confidence) == ("match", "alice", 0.3125, 0.75)
    assert (first.camera, first.source, first.clip_sha256, first.stranger) == ("door", "stream", None, None)
    assert (first.track, first.start, first.end, first.reason) == (1, 0.25, 1.5, None)
    assert (first.time, first.expires) == (known.time, known.time + timedelta(days=1))
    assert (first.thumbnail, first.searchable) == (True, False)
    assert (second.subject, second.distance, second.stranger, second.searchable) == (None, None, "f" * 32, True)
    assert (third.camera, third.reason, third.thumbnail, third.searchable) == (None, "too_short", False, False)
    assert keeping.thumbnail("default", first.id) == picture(1)
    with pytest.raises(NotFound, match="no picture"):
        keeping.thumbnail("default", third.id)
    [(found, walk)] = keeping.seen_walks("default")
    assert (found, walk.fingerprint, walk.heading) == (second, fingerprint, "left")
    assert walk.embedding.dtype == np.float32 and np.array_equal(walk.embedding, unknown.walk.embedding)
    assert keeping.seen_walks("default", until=unknown.time) == []
    assert keeping.known("default", ["alice"]) == [Known(LastSeen(time=known.time, camera="door"))]


def test_a_sighting_takes_the_place_of_the_one_with_its_id_at_its_time(keeping, new_template, sighting):
    keeping.enroll("default", ALICE, new_template(1))
    unknown = keeping.see("default", sighting(1, 60), MOST)
    match = keeping.see("default", sighting(2, 0, "alice", id=unknown.id), MOST)
    assert keeping.sightings("default") == [match]
    assert (match.time, match.subject, match.searchable) == (unknown.time, "alice", False)
    assert keeping.thumbnail("default", match.id) == picture(2)
    assert keeping.seen_walks("default") == []
    keeping.see("default", sighting(3, 0, id=unknown.id), MOST)
    assert keeping.known("default", ["alice"]) == [Known()]


def test_filters_and_pages(keeping, new_template, sighting, monkeypatch):
    monkeypatch.setattr(redis_seen, "AT_ONCE", 2)
    for seed, subject in enumerate((ALICE, BOB)):
        keeping.enroll("default", subject, new_template(seed))
    same = {"time": sighting(0, 50).time}
    new = [
        sighting(1, 70, "alice", camera="hall"),
        sighting(2, id="b" * 32, **same),
        sighting(3, id="a" * 32, **same),
        sighting(4, id="c" * 32, subject="bob", **same),
        sighting(5, 30, "alice"),
        sighting(6, 10, verdict=Verdict.INCONCLUSIVE, reason=Reason.LOW_RATE, camera=None, walk=None),
    ]
    for one in new:
        keeping.see("default", one, MOST)

    def tracks(**wanted):
        return [one.track for one in keeping.sightings("default", Wanted(**wanted))]

    assert tracks() == [6, 5, 4, 2, 3, 1]
    assert tracks(subject="alice") == [5, 1]
    assert tracks(subject="nobody") == tracks(subject="' OR 1=1 --") == []
    assert tracks(camera="hall") == [1]
    assert tracks(verdict=Verdict.UNKNOWN) == [2, 3]
    assert tracks(subject="alice", camera="door", verdict=Verdict.MATCH) == [5]
    assert tracks(since=same["time"]) == [6, 5, 4, 2, 3]
    assert tracks(until=same["time"]) == [1]
    assert tracks(since=same["time"], until=same["time"] + timedelta(microseconds=1)) == [4, 2, 3]
    for size in (1, 2, 5):
        pages, before = [], None
        while page := keeping.sightings("default", before=before, limit=size):
            pages += page
            before = page[-1].time, page[-1].id
        assert [one.track for one in pages] == [6, 5, 4, 2, 3, 1]
    last = keeping.sightings("default")[3]
    keeping.forget_sightings("default", sightings=[last.id])  # a page after a deleted one goes on where it was
    assert [one.track for one in keeping.sightings("default", before=(last.time, last.id))] == [3, 1]


def test_no_more_are_kept_than_allowed_and_the_oldest_go(keeping, sighting):
    for seed in range(6):
        keeping.see("default", sighting(seed, 60 - seed), 4)
    assert [one.track for one in keeping.sightings("default")] == [5, 4, 3, 2]
    assert keeping.see("default", sighting(9, 3600), 4)  # older than all: it goes at once
    assert [one.track for one in keeping.sightings("default")] == [5, 4, 3, 2]
    keeping.see("default", sighting(7), 2)
    assert [one.track for one in keeping.sightings("default")] == [7, 5]
    assert keeping.audit("default").left == ()


def test_they_expire_and_are_purged(keeping, new_template, sighting):
    keeping.enroll("default", ALICE, new_template(1))
    keeping.see("default", sighting(1, DAY - 600, "alice"), MOST)
    recent = keeping.see("default", sighting(2, 100), MOST)
    stale = keeping.see("default", sighting(3, DAY + 1), MOST)
    assert [one.track for one in keeping.sightings("default")] == [2, 1]  # what is not purged yet is not found
    for ask in (keeping.sighting, keeping.thumbnail):
        with pytest.raises(NotFound):
            ask("default", stale.id)
    assert [one.id for one, _ in keeping.seen_walks("default")] == [recent.id]
    now = datetime.now(UTC)
    first = keeping.purge("default", now)
    assert (first.sightings, first.templates, first.subjects, first.pending) == (1, 0, 0, False)
    second = keeping.purge("default", now + timedelta(seconds=700))
    assert second.sightings == 1
    assert keeping.known("default", ["alice"]) == [Known()]
    assert keeping.keep_sightings("default", 30).sightings == 1  # a shorter time applies to what is kept
    assert keeping.sightings("default") == []
    assert keeping.subject("default", "alice").templates == 1


def test_they_are_deleted_by_id_by_filter_and_with_the_setting(keeping, new_template, sighting):
    keeping.enroll("default", ALICE, new_template(1))
    made = [keeping.see("default", sighting(i, 60 - i, "alice" if i % 2 else None), MOST) for i in range(6)]
    assert keeping.forget_sightings("default", sightings=[made[0].id, "0" * 32]).sightings == 1
    assert keeping.forget_sightings("default", Wanted(subject="alice"), [made[1].id, made[2].id]).sightings == 1
    assert keeping.forget_sightings("default", Wanted(verdict=Verdict.UNKNOWN)).sightings == 2
    assert keeping.forget_sightings("default", sightings=[]).sightings == 0
    assert [one.id for one in keeping.sightings("default")] == [made[5].id, made[3].id]
    keeping.keep_picture("default", "alice", picture(9))
    assert keeping.keep_sightings("default", None).sightings == 2
    keeping.keep_sightings("default", DAY)
    assert keeping.sightings("default") == []
    assert keeping.known("default", ["alice"]) == [Known()]
    actions = [entry.action for entry in keeping.audit("default").entries]
    assert actions.count(Action.KEEP_SIGHTINGS) == 3 and actions.count(Action.FORGET_SIGHTINGS) == 4
    assert len(actions) == 9  # who was seen is not in the log, which is kept forever


def test_a_picture_of_a_subject(keeping, new_template):
    keeping.enroll("default", ALICE, new_template(1))
    assert not keeping.keep_picture("default", "nobody", picture(1))
    for seed in (1, 2):
        assert keeping.keep_picture("default", "alice", picture(seed))
        assert keeping.picture("default", "alice") == picture(seed)
    assert keeping.known("default", ["bob", "alice"]) == [Known(), Known(picture=True)]
    keeping.erase("default", "alice")
    keeping.enroll("default", ALICE, new_template(1))
    with pytest.raises(NotFound, match="no picture"):
        keeping.picture("default", "alice")
    with pytest.raises(NotFound):
        keeping.picture("default", "bob")


def test_they_go_with_their_subject(keeping, new_template, sighting):
    for seed, subject in enumerate((ALICE, BOB)):
        keeping.enroll("default", subject, new_template(seed))
    for i in range(4):
        keeping.see("default", sighting(i, 60 - i, "alice" if i % 2 else "bob"), MOST)
    assert keeping.erase("default", "alice").sightings == 2
    assert [one.subject for one in keeping.sightings("default")] == ["bob", "bob"]
    assert keeping.see("default", sighting(9, 0, "alice"), MOST) is None  # a verdict that was given just before
    template = keeping.enroll("default", ALICE, new_template(3))
    assert keeping.sightings("default", Wanted(subject="alice")) == []
    keeping.see("default", sighting(10, 5, "alice"), MOST)
    keeping.delete_template("default", template.id)
    keeping.enroll("default", ALICE, new_template(4, expires=datetime.now(UTC)))
    keeping.purge("default", datetime.now(UTC))  # she goes with her last template
    assert [one.subject for one in keeping.sightings("default")] == ["bob", "bob"]
    assert keeping.audit("default").left == ()


def test_those_of_a_merged_person_become_those_of_the_other(keeping, new_template, sighting):
    for number, subject in ((1, ALICE), (2, BOB)):
        keeping.enroll("default", subject, new_template(number))
        keeping.keep_picture("default", subject.id, picture(number))
    kept = [
        keeping.see("default", sighting(i, 60.0 - i, name), MOST) for i, name in ((3, "alice"), (4, "bob"), (5, None))
    ]
    keeping.merge("default", "alice", "bob")
    found = keeping.sightings("default", Wanted(subject="alice"))
    assert {one.id: one.distance for one in found} == {kept[0].id: 0.3125, kept[1].id: 0.3125}
    assert found[0] == kept[1].model_copy(update={"subject": "alice"})
    assert keeping.thumbnail("default", kept[1].id) == picture(4)
    assert keeping.known("default", ["alice"])[0].last_seen.time == kept[1].time
    assert keeping.picture("default", "alice") == picture(1)
    keeping.erase("default", "alice")
    assert [one.id for one in keeping.sightings("default")] == [kept[2].id]


def test_they_go_with_their_collection(store, new_template, sighting):
    store.ensure_collection("hall")
    store.keep_sightings("hall", DAY)
    store.keep_sightings("default", DAY)
    store.enroll("hall", ALICE, new_template(1))
    store.keep_picture("hall", "alice", picture(1))
    for collection in ("default", "hall"):
        store.see(collection, sighting(1, id="e" * 32), MOST)
    store.see("hall", sighting(2, 0, "alice"), MOST)
    assert store.delete_collection("hall").sightings == 2
    for ask in (store.sightings, store.seen_walks):
        with pytest.raises(NotFound):
            ask("hall")
    store.ensure_collection("hall")
    assert store.collection("hall").sightings_seconds is None
    store.keep_sightings("hall", DAY)
    assert store.sightings("hall") == []
    assert [one.id for one in store.sightings("default")] == ["e" * 32]
    assert store.audit("hall").left == ()


@pytest.fixture
def on_disk(store_url, tmp_path, request):
    """Whether bytes are in any of the store's files."""
    folder = tmp_path if store_url.startswith("sqlite") else request.getfixturevalue("redis_server").folder

    def look(needle):
        return any(needle in file.read_bytes() for file in folder.rglob("*") if file.is_file())

    return look


def test_erased_pictures_and_walks_are_in_no_file(keeping, new_template, sighting, on_disk):
    keeping.enroll("default", ALICE, new_template(1))
    keeping.enroll("default", BOB, new_template(2))
    keeping.see("default", sighting(101, 5, "alice"), MOST)
    keeping.see("default", sighting(102, 5, "bob"), MOST)
    unknown = sighting(103)
    keeping.see("default", unknown, MOST)
    keeping.keep_picture("default", "alice", picture(104))
    walk = unknown.walk.embedding.tobytes()
    gone = [picture(101)[500:564], picture(104)[500:564], picture(103)[500:564], walk]
    assert all(map(on_disk, gone))
    assert not keeping.erase("default", "alice").pending
    assert not keeping.forget_sightings("default", Wanted(verdict=Verdict.UNKNOWN)).pending
    deadline = time.monotonic() + 60
    while any(map(on_disk, gone)) and time.monotonic() < deadline:
        time.sleep(0.01)  # Redis unlinks the old append-only file in a thread of its own
    assert not any(map(on_disk, gone))
    assert on_disk(picture(102)[500:564])


def test_they_are_sealed_and_keys_are_rotated(store_url, new_template, sighting, on_disk):
    store = open_store(store_url, Vault([OLD]))
    store.ensure_collection("default")
    store.keep_sightings("default", DAY)
    store.enroll("default", ALICE, new_template(1))
    known = store.see("default", sighting(201, 20, "alice"), MOST)
    unknown = sighting(202, 10)
    store.see("default", unknown, MOST)
    store.keep_picture("default", "alice", picture(203))
    assert store.thumbnail("default", known.id) == picture(201)
    secrets = [picture(201)[500:532], picture(202)[500:532], picture(203)[500:532], unknown.walk.embedding.tobytes()]
    assert not any(map(on_disk, secrets))
    rotating = open_store(store_url, Vault([NEW, OLD]))
    assert rotating.rotate_key() == 1
    rotating.close()
    store.close()
    renewed = open_store(store_url, Vault([NEW]))
    assert renewed.thumbnail("default", known.id) == picture(201)
    assert renewed.thumbnail("default", unknown.id) == picture(202)
    assert renewed.picture("default", "alice") == picture(203)
    [(_, walk)] = renewed.seen_walks("default")
    assert np.array_equal(walk.embedding, unknown.walk.embedding)
    renewed.close()


def test_a_collection_with_sightings_is_not_encrypted_by_the_way(store, store_url, sighting):
    store.keep_sightings("default", DAY)
    made = store.see("default", sighting(1), MOST)
    keyed = open_store(store_url, Vault([OLD]))
    keyed.ensure_collection("default")
    keyed.close()
    assert store.thumbnail("default", made.id) == picture(1)
