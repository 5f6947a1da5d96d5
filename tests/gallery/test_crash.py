"""kill -9 of a process that enrols: what was acknowledged stays, what was not is whole or absent."""

from __future__ import annotations

import multiprocessing
import random
import time

import enrolling
import numpy as np

from gallery.stores import open_store

KILLS = 10


def test_killed_writers_lose_nothing_acknowledged(store_url, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gallery.stores"])
    acknowledged = tmp_path / "acknowledged"
    acknowledged.touch()
    rng = random.Random(0)
    for kill in range(KILLS):
        done = len(acknowledged.read_text().split())
        # Each burst starts a few clips back, as a caller that has seen no answer tries again.
        writer = context.Process(target=enrolling.enrol, args=(store_url, range(max(0, done - 3), 10**6), acknowledged))
        writer.start()
        enough = done + rng.randrange(3, 25)
        deadline = time.monotonic() + 60
        while len(acknowledged.read_text().split()) < enough and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.01))
        writer.kill()
        writer.join()
        assert writer.exitcode == -9, f"writer {kill} ended by itself"

        numbers = {int(line) for line in acknowledged.read_text().split()}
        store = open_store(store_url)
        stored = {}
        for subject in store.subjects("default"):
            for template in store.templates("default", subject.id):
                number = int(template.clip_sha256, 16)
                assert number not in stored
                stored[number] = template.id
                assert subject.id == f"s{number // 5}"
        assert numbers <= set(stored)
        assert len(stored) - len(numbers) <= kill + 1  # one enrolment a kill may have been cut off before its answer
        for number, template in stored.items():
            expected = enrolling.template_of(number)
            assert np.array_equal(store.embedding("default", template), expected.embedding)
            assert store.sequence("default", template) == expected.sequence
        assert {change.template for change in store.changes("default", limit=10**6).changes} == set(stored.values())
        store.close()
