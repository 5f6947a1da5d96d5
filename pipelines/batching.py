"""Micro-batching of calls from several threads: one batch of eight sequences is faster than eight calls.

There is no worker thread: the first caller of a batch runs it for all callers that joined. While one batch runs, the
next one fills, so batches grow under load. A lone call does not wait unless ``wait`` is set.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.inference import Precision
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.stages import Stage
from gaitkeeper.pipelines.tensors import device_of

T = TypeVar("T")
R = TypeVar("R")


class _Call(Generic[T, R]):
    """The items of one caller, and their results."""

    def __init__(self, items: list[T]) -> None:
        self.items = items
        self.results: list[R] | None = None
        self.error: Exception | None = None


class _Batch(Generic[T, R]):
    """Calls that are processed together."""

    def __init__(self) -> None:
        self.calls: list[_Call[T, R]] = []
        self.size = 0
        self.full = threading.Event()
        self.done = threading.Event()


class MicroBatcher(Generic[T, R]):
    """Runs work on the items of several callers at once; safe under threads.

    A batch starts when it has ``most`` items or its first call has waited for ``wait`` seconds, whichever is first, and
    no other batch is running. The items of one call stay together. If the work raises, each call of the batch is
    repeated alone, so that a caller gets only the errors of its own items.

    Args:
        work: returns one result per item, in order; called by one thread at a time.
        most: maximum number of items in a batch; a larger call is a batch of its own.
        wait: seconds.
        stage: records how many items wait, and when the work runs.
    """

    def __init__(
        self, work: Callable[[list[T]], Sequence[R]], *, most: int = 32, wait: float = 0.0, stage: Stage | None = None
    ) -> None:
        self._work = work
        self._most = most
        self._wait = wait
        self._stage = stage or Stage("batch")
        self._lock = threading.Lock()
        self._running = threading.Lock()
        self._open: _Batch[T, R] | None = None

    def __call__(self, items: Sequence[T]) -> list[R]:
        """The results of the items, in order; raises the errors of the work."""
        if not items:
            return []
        call: _Call[T, R] = _Call(list(items))
        batch, leads = self._joined(call)
        if leads:
            self._lead(batch)
        else:
            batch.done.wait()
        if call.results is None and call.error is None:  # the leader of the batch was interrupted
            with self._running:
                self._answer([call])
        if call.error is not None:
            raise call.error
        assert call.results is not None
        return call.results

    def _joined(self, call: _Call[T, R]) -> tuple[_Batch[T, R], bool]:
        """The batch that the call joined, and whether the call is its first."""
        with self._lock:
            batch = self._open
            if batch is not None and batch.size + len(call.items) > self._most:
                batch.full.set()
                batch = None
            leads = batch is None
            if batch is None:
                batch = self._open = _Batch()
            batch.calls.append(call)
            batch.size += len(call.items)
            self._stage.queued(len(call.items))
            if batch.size >= self._most:
                batch.full.set()
                self._open = None
            return batch, leads

    def _lead(self, batch: _Batch[T, R]) -> None:
        """Run the batch for all calls in it, once it is full or has waited."""
        try:
            batch.full.wait(self._wait)
            with self._running:
                self._close(batch)
                with self._stage.working():
                    self._answer(batch.calls)
        finally:
            self._close(batch)
            batch.done.set()

    def _close(self, batch: _Batch[T, R]) -> None:
        with self._lock:
            if self._open is batch:
                self._open = None
            self._stage.queued(-batch.size)
            batch.size = 0

    def _answer(self, calls: list[_Call[T, R]]) -> None:
        items = [item for call in calls for item in call.items]
        try:
            results = iter(self._work(items))
            for call in calls:
                call.results = [next(results) for _ in call.items]
        except Exception as error:
            if len(calls) == 1:
                calls[0].results, calls[0].error = None, error
                return
            for call in calls:
                self._answer([call])


class SharedEmbedding:
    """Batches the calls of several threads to :func:`gaitkeeper.pipelines.embed.embed`; thread-safe.

    Sequences share a batch if their networks have the same weights and device, even if each collection holds its own
    copy of the network. Embeddings equal those of a lone call up to rounding, 1e-5.

    Args:
        most, wait: as of :class:`MicroBatcher`, in sequences and seconds.
        precision: as of :func:`gaitkeeper.models.inference.embed`.
    """

    def __init__(self, most: int = 32, wait: float = 0.0, precision: Precision = "fp32") -> None:
        self.stage = Stage("network")
        self._most = most
        self._wait = wait
        self._precision = precision
        self._lock = threading.Lock()
        self._batchers: dict[Hashable, MicroBatcher[tuple[GaitSequence, GaitNetwork], Tensor]] = {}

    def __call__(self, seqs: Sequence[GaitSequence], net: GaitNetwork) -> Tensor:
        """Float32 (N, P, C) on the CPU, in the order of ``seqs``; raises as
        :func:`gaitkeeper.pipelines.embed.embed`."""
        if not seqs:
            return torch.empty(0, *net.out_shape)
        key = _identity(net)
        with self._lock:
            if key not in self._batchers:
                self._batchers[key] = MicroBatcher(self._embed, most=self._most, wait=self._wait, stage=self.stage)
            batcher = self._batchers[key]
        return torch.stack(batcher([(seq, net) for seq in seqs]))

    def _embed(self, items: list[tuple[GaitSequence, GaitNetwork]]) -> Sequence[Tensor]:
        return list(embed([seq for seq, _ in items], items[0][1], precision=self._precision))


def _identity(net: GaitNetwork) -> Hashable:
    """A key that is equal for networks with equal embeddings on the same device."""
    if net.weights_id == "untrained":  # random weights without a seed
        return id(net)
    return net.name, net.weights_id, net.config, device_of(net)
