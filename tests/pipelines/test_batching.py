"""Calls of several threads in one batch: who shares it, whose error it is, and the same numbers as alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from gaitkeeper.models import build
from gaitkeeper.pipelines.batching import MicroBatcher, SharedEmbedding
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.errors import HeatmapsMissing
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.walk_quality import Quality

SMALL = {"gaitheat": {"channels": (8, 8, 16, 16), "embed_dim": 16}}


def make_sequence(frames, seed=0):
    rng = np.random.default_rng([seed, frames])
    return GaitSequence(
        silhouettes=rng.integers(0, 2, (frames, 64, 64), np.uint8) * np.uint8(255),
        joints=rng.uniform(0, 500, (frames, 17, 3)).astype(np.float32),
        heatmaps=rng.integers(0, 256, (frames, 17, 64, 48), np.uint8),
        timestamps=np.arange(frames) / 30,
        boxes=np.zeros((frames, 4), np.float32),
        quality=Quality(frames, {}, 0.9, 0.9, 0.0, 1.0, 30.0, False),
    )


class Held:
    """Doubles numbers, once it is let go; notes each batch."""

    def __init__(self):
        self.batches, self.go = [], threading.Event()
        self.at_work = threading.Event()

    def __call__(self, items):
        self.batches.append(list(items))
        self.at_work.set()
        assert self.go.wait(60)
        if any(item < 0 for item in items):
            raise ValueError(f"{min(items)} cannot be doubled")
        return [2 * item for item in items]


def waits(batcher, items):
    deadline = time.monotonic() + 60
    while batcher._stage.waiting < items:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_whoever_comes_while_a_batch_is_at_work_shares_the_next():
    work = Held()
    batcher = MicroBatcher(work, most=8)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(batcher, [1])
        assert work.at_work.wait(60)
        others = [pool.submit(batcher, [i, 10 * i]) for i in (2, 3)]
        waits(batcher, 4)
        work.go.set()
        assert first.result(60) == [2]
        assert [other.result(60) for other in others] == [[4, 40], [6, 60]]
    assert work.batches[0] == [1] and sorted(work.batches[1]) == [2, 3, 20, 30] and len(work.batches) == 2
    assert batcher._stage.waiting == 0


def test_a_batch_takes_no_more_than_it_may_and_parts_nobodys_items():
    work = Held()
    batcher = MicroBatcher(work, most=4)
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(batcher, [0])]
        assert work.at_work.wait(60)
        for count, already in ((3, 0), (2, 3), (2, 5), (6, 7)):
            waits(batcher, already)
            running.append(pool.submit(batcher, [count] * count))
        waits(batcher, 13)
        work.go.set()
        assert [one.result(60) for one in running] == [[0], [6] * 3, [4] * 2, [4] * 2, [12] * 6]
    assert sorted(work.batches[1:], key=len) == [[3] * 3, [2] * 4, [6] * 6]
    assert batcher([]) == []


def test_a_lone_call_waits_for_others_no_longer_than_asked():
    work = Held()
    work.go.set()
    began = time.monotonic()
    assert MicroBatcher(work, most=8, wait=0.2)([1]) == [2]
    assert time.monotonic() - began >= 0.2
    patient = MicroBatcher(work, most=2, wait=60)  # but not at all once the batch is full
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(patient, [[3], [4]])) == [[6], [8]]
    assert sorted(work.batches[-1]) == [3, 4]


def test_an_error_reaches_none_but_the_caller_whose_it_is():
    work = Held()
    batcher = MicroBatcher(work, most=8)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(batcher, [1])
        assert work.at_work.wait(60)
        good, bad = [pool.submit(batcher, [i]) for i in (2, 3)], pool.submit(batcher, [-5])
        waits(batcher, 3)
        work.go.set()
        assert first.result(60) == [2] and [one.result(60) for one in good] == [[4], [6]]
        with pytest.raises(ValueError, match="-5 cannot"):
            bad.result(60)
    assert batcher([7]) == [14]


def test_followers_are_answered_where_the_leader_is_torn_away():
    at_work, torn = threading.Event(), threading.Event()

    def work(items):
        if 1 in items and not torn.is_set():
            at_work.set()
            waits(batcher, 8)
            torn.set()
            raise KeyboardInterrupt
        return items

    batcher = MicroBatcher(work, most=8, wait=60)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(batcher, [1])
        waits(batcher, 1)
        second = pool.submit(batcher, [2] * 7)  # which fills the batch
        assert at_work.wait(60)
        third = pool.submit(batcher, [3] * 8)
        assert second.result(60) == [2] * 7 and third.result(60) == [3] * 8
        with pytest.raises(KeyboardInterrupt):
            first.result(60)


@pytest.mark.parametrize("name", ["gaitpart", "gaitheat", "jointsgait"])
def test_embeddings_of_shared_batches_are_those_of_lone_calls(name):
    net = build(name, seed=0, **SMALL.get(name, {})).eval()
    calls = [[make_sequence(t, seed=t) for t in lengths] for lengths in ((9,), (17, 9), (12,), (30,))]
    alone = [embed(seqs, net) for seqs in calls]
    shared = SharedEmbedding(most=5, wait=60)
    with ThreadPoolExecutor() as pool:
        together = list(pool.map(lambda seqs: shared(seqs, net), calls))
    for found, expected in zip(together, alone, strict=True):
        scale = float(expected.abs().max())
        assert found.shape == expected.shape and float((found - expected).abs().max()) <= 1e-5 * scale
    assert shared.stage.busy_seconds > 0 and shared.stage.waiting == 0


def test_only_the_same_network_shares_a_batch(monkeypatch):
    batches = []
    monkeypatch.setattr(
        "gaitkeeper.pipelines.batching.embed",
        lambda seqs, net, **given: batches.append((net.name, len(seqs))) or embed(seqs, net, **given),
    )
    twins = [build("gei").eval(), build("gei").eval()]  # no weights, so the same
    strangers = [build("gstsn", seed=seed).eval() for seed in (1, 2)]  # whose weights nobody can tell apart
    shared, seq = SharedEmbedding(most=4, wait=0.5), make_sequence(9)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda net: shared([seq, seq], net), twins + strangers))
    assert sorted(batches) == [("gei", 4), ("gstsn", 2), ("gstsn", 2)]


def test_a_sequence_that_cannot_be_embedded_spoils_nobody_elses():
    net = build("gaitheat", seed=0, **SMALL["gaitheat"]).eval()
    shared = SharedEmbedding(most=2, wait=60)
    good, bad = make_sequence(9), make_sequence(9).without_heatmaps()
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(shared, [seq], net) for seq in (good, bad)]
        assert torch.isfinite(running[0].result(60)).all()
        with pytest.raises(HeatmapsMissing):
            running[1].result(60)
    assert torch.equal(shared([], net), torch.empty(0, *net.out_shape))
