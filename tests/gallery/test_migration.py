"""A collection moves to another network while it is searched."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.errors import Conflict, FingerprintMismatch
from gaitkeeper.gallery.migration import migrate, rollback
from gaitkeeper.gallery.networks import network_of
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject, NewTemplate
from gaitkeeper.models import build, load, save
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.errors import HeatmapsMissing
from gaitkeeper.pipelines.fingerprint import fingerprint_of

PEOPLE = 25


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A tiny network, saved: a stand-in for one that was trained."""
    path = tmp_path / "small.safetensors"
    save(build("gaitset", seed=3, embed_dim=4, channels=(4, 4, 8)), path)
    return path


def filled(store_url, walker, count, **kwargs):
    """A store with so many templates of GEI, each walk a clip of its own."""
    store = open_store(store_url)
    store.ensure_collection("default", **kwargs)
    walks = [walker(i % PEOPLE, i // PEOPLE, frames=16) for i in range(min(count, 2 * PEOPLE))]
    network = load("gei")
    embeddings = embed(walks, network).numpy()
    fingerprint = fingerprint_of(network, walks[0].perception)
    for i in range(count):
        walk = walks[i % len(walks)]
        template = NewTemplate(
            fingerprint,
            embeddings[i % len(walks)],
            walk.without_heatmaps().to_bytes(),
            False,
            walk.quality,
            1,
            0.0,
            0.5,
            f"{i:064x}",
        )
        store.enroll("default", NewSubject(f"p{i % PEOPLE:02}"), template)
    return store


class Searcher(threading.Thread):
    """Identifies the same walkers over and over."""

    def __init__(self, gallery, probes):
        super().__init__()
        self.gallery, self.probes = gallery, probes
        self.answers, self.errors, self.stop = [], [], threading.Event()

    def run(self):
        while not self.stop.is_set():
            try:
                for person, probe in self.probes.items():
                    answer = self.gallery.identify(probe, top_k=3)
                    distances = tuple(c.distance for c in answer.candidates)
                    self.answers.append((person, str(answer.fingerprint), distances, answer.threshold.gallery_size))
            except Exception as error:
                self.errors.append(error)


def test_searches_go_on_while_a_collection_moves_there_and_back(store_url, walker, small):
    count = 200
    store = filled(store_url, walker, count)
    network, probes = load(small), {i: walker(i, 5, frames=16) for i in range(3)}
    # As another process would: a store of its own, and the network found by the collection's fingerprint.
    with Gallery.open(store_url, fallback=small) as gallery:
        before = {i: gallery.identify(probe, top_k=3) for i, probe in probes.items()}
        searcher = Searcher(gallery, probes)
        searcher.start()
        told = []
        moved = migrate(store, "default", network, lambda done, of: told.append((done, of)))
        there = {i: gallery.identify(probe, top_k=3) for i, probe in probes.items()}
        back = rollback(store, "default", network_of)
        again = {i: gallery.identify(probe, top_k=3) for i, probe in probes.items()}
        searcher.stop.set()
        searcher.join()
    store.close()
    assert not searcher.errors
    assert told[-1] == (count, count)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert moved.fingerprint == fingerprint_of(network, "blazepose-full/1")
    assert back.fingerprint == before[0].fingerprint
    # Every answer is wholly the one network's or wholly the other's.
    known = {
        (person, str(answer.fingerprint), tuple(c.distance for c in answer.candidates), count)
        for answers in (before, there, again)
        for person, answer in answers.items()
    }
    assert len(known) == 6
    assert set(searcher.answers) <= known
    assert {str(moved.fingerprint), str(back.fingerprint)} >= {fingerprint for _, fingerprint, _, _ in searcher.answers}


def test_what_was_interrupted_is_taken_up_again(store_url, walker, small):
    store, network = filled(store_url, walker, 70), load(small)

    def give_up(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(store, "default", network, give_up)
    shadow = store.collection("default").shadow
    assert (shadow.templates, shadow.missing) == (64, 6)
    told = []
    assert migrate(store, "default", network, lambda *progress: told.append(progress)).shadow.was_live
    assert told == [(70, 70)]
    store.close()


def test_whoever_is_enrolled_after_a_move_is_there_after_the_way_back(store_url, walker, small):
    store = filled(store_url, walker, 30)
    migrate(store, "default", load(small))
    with Gallery.open(store_url, fallback=small) as gallery:
        assert gallery.network.name == "gaitset"
        gallery.enroll("late", walker(100, frames=16))
        rollback(store, "default", network_of)
        answer = gallery.identify(walker(100, frames=16))
        assert answer.candidates[0].subject == "late"
        assert answer.candidates[0].distance == pytest.approx(0, abs=1e-4)
        assert answer.fingerprint.network == "gei"
        gallery.enroll("later", walker(101, frames=16))  # and enrolments follow, too
    store.close()


def test_what_cannot_be_moved_is_refused(store_url, walker, small, tmp_path):
    store = open_store(store_url)
    store.ensure_collection("default")
    with pytest.raises(Conflict, match="empty"):
        migrate(store, "default", load(small))
    store.close()
    store = filled(store_url, walker, 3)
    with pytest.raises(Conflict, match="already"):
        migrate(store, "default", load("gei"))
    with pytest.raises(HeatmapsMissing, match="does not keep"):
        migrate(store, "default", build("gaitheat", seed=0).eval())
    with pytest.raises(Conflict):
        rollback(store, "default", network_of)
    assert store.collection("default").shadow is None
    store.close()


def test_a_former_network_that_is_gone_is_missed_only_where_it_is_needed(store_url, walker, small):
    store = filled(store_url, walker, 5)
    migrate(store, "default", load(small))
    migrate(store, "default", load("gei"))
    with Gallery.open(store_url) as gallery:
        gallery.enroll("late", walker(100, frames=16))
    with pytest.raises(FingerprintMismatch, match=r"gaitset:\w+.*gaitset:untrained"):
        rollback(store, "default", network_of)
    rollback(store, "default", lambda fingerprint: network_of(fingerprint, [small]))
    assert store.collection("default").fingerprint.network == "gaitset"
    store.close()


def test_a_network_is_found_by_its_fingerprint(small, tmp_path):
    network = load(small)
    fingerprint = fingerprint_of(network, "blazepose-full/1")
    assert network_of(fingerprint).weights_id != network.weights_id
    nothing = tmp_path / "nothing.safetensors"
    assert network_of(fingerprint, [nothing, small]).weights_id == network.weights_id
    assert network_of(replace(fingerprint, network="gei", weights="none")).name == "gei"
