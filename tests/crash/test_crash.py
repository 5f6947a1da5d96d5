"""kill -9 in the midst of bursts of enrolments or merges: what was acknowledged stays, what was not is whole or absent.

A few random points in `make test`; `make crash` takes as many as GAITKEEPER_CRASH_POINTS says.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from pathlib import Path

import enrolling
import numpy as np
import pytest
from following import Follower
from redis_servers import DURABLE, RedisServer

from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject

POINTS = int(os.environ.get("GAITKEEPER_CRASH_POINTS", "8"))
pytestmark = pytest.mark.timeout(600 + 10 * POINTS)  # each point starts a process, on a busy machine slowly
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["gaitkeeper.gallery.stores.redis.store", "enrolling"])


@pytest.fixture
def redis_server(tmp_path):
    server = RedisServer(tmp_path / "redis", *DURABLE)
    yield server
    server.kill()


class Ledger:
    """What writers have been told, and the proof that the store holds it.

    Attributes:
        path: a line for each enrolment that was acknowledged, the number of its clip.
        cut: enrolments that may have been written without anybody hearing of it.
    """

    def __init__(self, url: str, path: Path) -> None:
        self.url, self.path, self.cut = url, path, 0
        self._proven: set[str] = set()
        path.touch()

    def acknowledged(self) -> int:
        return self.path.read_bytes().count(b"\n")

    def await_acknowledged(self, number: int) -> None:
        deadline = time.monotonic() + 60
        while self.acknowledged() < number:
            assert time.monotonic() < deadline, "nothing is enrolled any more"
            time.sleep(0.001)

    def check(self) -> int:
        """Compare everything stored with what was sent; how many enrolments are stored."""
        numbers = set(map(int, self.path.read_text().split()))
        store = open_store(self.url)
        stored = {}
        for subject in store.subjects("default"):
            for template in store.templates("default", subject.subject):
                number = int(template.clip_sha256, 16)
                assert number not in stored, "enrolled twice"
                stored[number] = template.id
                assert subject.subject == f"s{number // 5}"
                if template.id not in self._proven:
                    assert store.sequence("default", template.id) == enrolling.template_of(number).sequence
        assert numbers <= stored.keys(), "acknowledged and lost"
        assert len(stored) - len(numbers) <= self.cut
        known = Follower(store).follow()
        assert known.keys() == set(stored.values())
        for number, template in stored.items():
            if template not in self._proven:
                assert np.array_equal(known[template].embedding, enrolling.template_of(number).embedding)
        self._proven |= set(stored.values())
        store.close()
        return len(stored)

    def report(self, what: str) -> None:
        print(f"\n{POINTS} kills of {what}: {self.acknowledged()} enrolments acknowledged,")
        print(f"{self.check()} stored, 0 lost, 0 half-written, 0 twice")


@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_killed_writers_lose_nothing_acknowledged(kind, request, tmp_path):
    url = f"sqlite:///{tmp_path / 'gallery.db'}" if kind == "sqlite" else request.getfixturevalue("redis_server").url
    ledger, rng = Ledger(url, tmp_path / "acknowledged"), random.Random(0)
    for _ in range(POINTS):
        done = ledger.acknowledged()
        # Each burst starts a few clips back, as a caller that has seen no answer tries again.
        numbers = range(max(0, done - 3), 10**6)
        writer = CONTEXT.Process(target=enrolling.enrol, args=(url, numbers, ledger.path))
        writer.start()
        ledger.await_acknowledged(done + rng.randrange(1, 20))
        time.sleep(rng.uniform(0, 0.01))
        writer.kill()
        writer.join()
        assert writer.exitcode == -9, "the writer ended by itself"
        _forget_repeats(ledger.path)
        ledger.cut += 1
        ledger.check()
    ledger.report(f"the writer on {kind}")


def test_a_killed_redis_loses_nothing_acknowledged(redis_server, tmp_path):
    ledger, rng = Ledger(redis_server.url, tmp_path / "acknowledged"), random.Random(1)
    writer = CONTEXT.Process(target=enrolling.enrol, args=(redis_server.url, range(10**6), ledger.path))
    writer.start()
    for _ in range(POINTS):
        ledger.await_acknowledged(ledger.acknowledged() + rng.randrange(1, 20))
        time.sleep(rng.uniform(0, 0.01))
        redis_server.kill()
        redis_server.start()
    ledger.await_acknowledged(ledger.acknowledged() + 1)
    assert writer.is_alive()  # it has come through all of that without being started anew
    writer.kill()
    writer.join()
    ledger.cut = 1
    ledger.check()
    ledger.report("redis-server")


@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_killed_merges_are_whole_or_absent(kind, request, tmp_path):
    """Each subject has walks of its own number; merged into the first one, every walk reads back under it alone."""
    url = f"sqlite:///{tmp_path / 'gallery.db'}" if kind == "sqlite" else request.getfixturevalue("redis_server").url
    key, others, walks, rng = bytes(32), 4 * POINTS, 4, random.Random(2)
    store = open_store(url, Vault([key]))
    store.ensure_collection("default")
    sent = {f"s{number}": [number * walks + i for i in range(walks)] for number in range(others + 1)}
    for subject, numbers in sent.items():
        for number in numbers:
            store.enroll("default", NewSubject(subject), enrolling.template_of(number))
    follower = Follower(store)
    follower.follow()
    path = tmp_path / "merged"
    path.touch()

    def check(cut):
        merged = set(path.read_text().split())
        there = {subject.subject for subject in store.subjects("default")}
        assert not merged & there, "acknowledged and undone"
        assert len(sent) - len(there) - len(merged) <= cut, "merged without being asked"
        expected = {n: subject if subject in there else "s0" for subject, numbers in sent.items() for n in numbers}
        found = {}
        for subject in there:
            for template in store.templates("default", subject):
                number = int(template.clip_sha256, 16)
                assert number not in found, "under two subjects"
                found[number] = subject
                assert store.sequence("default", template.id) == enrolling.template_of(number).sequence
                assert np.array_equal(follower.known[template.id].embedding, enrolling.template_of(number).embedding)
        assert found == expected
        follower.follow()
        assert {int(t.clip_sha256, 16): follower.known[t.id].subject for t in _templates(store, there)} == expected
        return len(there)

    for cut in range(1, POINTS + 1):
        left = sorted(subject.subject for subject in store.subjects("default") if subject.subject != "s0")
        done = path.read_bytes().count(b"\n")
        writer = CONTEXT.Process(target=enrolling.merge, args=(url, [("s0", other) for other in left], path, key))
        writer.start()
        deadline = time.monotonic() + 60
        while path.read_bytes().count(b"\n") < min(done + rng.randrange(1, 3), done + len(left)):
            assert time.monotonic() < deadline, "nothing is merged any more"
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.01))
        writer.kill()
        writer.join()
        check(cut)
    enrolling.merge(url, [("s0", s.subject) for s in store.subjects("default") if s.subject != "s0"], path, key)
    assert check(POINTS) == 1
    assert store.audit("default").left == ()
    assert store.erase("default", "s0").templates == walks * len(sent)
    store.close()


def _templates(store, subjects):
    return [template for subject in subjects for template in store.templates("default", subject)]


def _forget_repeats(path: Path) -> None:
    path.write_text("".join(f"{number}\n" for number in sorted(set(map(int, path.read_text().split())))))
