"""Cameras learn from passers-by: what a view does to everybody's embedding is taken off before distances.

A view is a camera and the way people walk in it. Seen from the side, everybody's embedding lies elsewhere than seen
from ahead; the mean over many passers-by tells where, without telling who. Of each view a collection keeps that mean
and how many walks it rests on, nothing of single people: walks are pooled in memory, and only a pool of eight or more
is added to what is stored; of somebody who was named it counts one walk a pool. What is stored is not encrypted, so in
an encrypted store it stays in memory.

The distance of a probe a from view v to a template b from view w is that of a - c(v) and b - c(w). The correction
c(v) = n / (n + 8) * (m(v) - m), of n walks with the mean m(v) and the mean m of all well-known views' means, so a view
that is little known is corrected little, and one that is not known at all not at all.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from gallery.errors import BadStore, StoreUnavailable
from gallery.store import Store
from gallery.types import ViewStatistics
from pipelines.fingerprint import Fingerprint

K = TypeVar("K")

POOL = 8
"""Walks that are added to a view at once, so that what is kept is never of one walk."""
SHRINK = 8.0
REFRESH_SECONDS = 1.0
MAX_VIEWS = 1024  # of a collection; further ones are not learnt
ATTEMPTS = 20
_HEAD = struct.Struct("<III")


@dataclass(frozen=True)
class View:
    """From where a walker is seen.

    Attributes:
        camera: as the caller names it.
        heading: which way the walker goes, one of :class:`pipelines.heading.Heading`.
    """

    camera: str
    heading: str

    def __str__(self) -> str:
        return f"{self.heading}/{self.camera}"

    @classmethod
    def parse(cls, text: str) -> View:
        """The inverse of ``str``."""
        heading, _, camera = text.partition("/")
        return cls(camera, heading)


Corrections = Mapping[View, Tensor]
"""What is taken off the embeddings of each view, float32 (P, C)."""


class Figures(Protocol):
    """Where means are kept; every :class:`gallery.store.Store` is one."""

    def statistics(self, collection: str) -> dict[str, bytes]:
        """See :meth:`gallery.store.Store.statistics`."""

    def put_statistic(self, collection: str, name: str, value: bytes | None, was: bytes | None) -> bool:
        """See :meth:`gallery.store.Store.put_statistic`."""


class InMemory:
    """Figures that end with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, bytes] = {}

    def statistics(self, collection: str) -> dict[str, bytes]:
        """See :class:`Figures`, here and below."""
        with self._lock:
            return dict(self._values)

    def put_statistic(self, collection: str, name: str, value: bytes | None, was: bytes | None) -> bool:
        with self._lock:
            if self._values.get(name) != was:
                return False
            self._values.pop(name, None)
            if value is not None:
                self._values[name] = value
            return True


class Views:
    """What is known of a collection's views, under one store that several processes may share. Safe under threads.

    Args:
        store: holds it.
        collection: name of the collection.
    """

    def __init__(self, store: Store, collection: str) -> None:
        self._store: Figures = InMemory() if store.promises().encrypted else store
        self._collection = collection
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, View], dict[str, Tensor]] = {}
        self._known: dict[str, dict[View, tuple[int, Tensor]]] = {}
        self._read = -REFRESH_SECONDS

    def learn(self, fingerprint: Fingerprint, view: View, walks: Mapping[str, Tensor]) -> None:
        """Take walks into account; stored as soon as eight of a view are together.

        Args:
            fingerprint: of the embeddings.
            view: where they were seen from.
            walks: embeddings float32 (P, C), by who walks, or by something that tells one walk from another: a walk
                that is sent twice before it was stored, or two of one person, count once.
        """
        with self._lock:
            pool = self._pools.setdefault((str(fingerprint), view), {})
            pool.update({name: embedding.float().cpu() for name, embedding in walks.items()})
            if len(pool) < POOL:
                return
            total = torch.stack(list(pool.values())).double().sum(0)
            count = len(pool)
            del self._pools[str(fingerprint), view]
        self._add(fingerprint, view, count, total)
        with self._lock:
            self._read = -REFRESH_SECONDS

    def _add(self, fingerprint: Fingerprint, view: View, count: int, total: Tensor) -> None:
        name = _name(fingerprint, view)
        for _ in range(ATTEMPTS):  # another process may be adding to it, too
            statistics = self._store.statistics(self._collection)
            there = statistics.get(name)
            if there is None and len(statistics) >= MAX_VIEWS:
                return
            known, mean = (0, torch.zeros_like(total)) if there is None else _decoded(there)
            if mean.shape != total.shape:
                return  # of embeddings of another shape, under the fingerprint of weights that were made anew
            value = _encoded(known + count, (mean * known + total) / (known + count))
            if self._store.put_statistic(self._collection, name, value, there):
                return

    def corrections(self, fingerprint: Fingerprint) -> Corrections:
        """What is to be taken off the embeddings of each well-known view, float32 (P, C)."""
        return corrections_of(self._current().get(str(fingerprint), {}))

    def walks(self, fingerprint: Fingerprint, view: View | None) -> int:
        """How many walks what is known of a view rests on."""
        known = self._current().get(str(fingerprint), {})
        return 0 if view is None or view not in known else known[view][0]

    def listed(self, fingerprint: Fingerprint | None) -> list[ViewStatistics]:
        """The views that are known under a fingerprint, by camera and heading."""
        known = self._current(now=True).get(str(fingerprint), {})
        found = [ViewStatistics(camera=v.camera, heading=v.heading, walks=n) for v, (n, _) in known.items()]
        return sorted(found, key=lambda one: (one.camera, one.heading))

    def forget(self, camera: str) -> int:
        """Forget what is known of a camera; the number of views that were, under whatever fingerprint."""
        gone = 0
        for name, value in self._store.statistics(self._collection).items():
            if _view(name)[1].camera == camera:
                gone += self._store.put_statistic(self._collection, name, None, value)
        with self._lock:
            self._pools = {key: pool for key, pool in self._pools.items() if key[1].camera != camera}
            self._read = -REFRESH_SECONDS
        return gone

    def _current(self, now: bool = False) -> dict[str, dict[View, tuple[int, Tensor]]]:
        with self._lock:
            if now or time.monotonic() - self._read >= REFRESH_SECONDS:
                self._read = time.monotonic()
                try:
                    statistics = self._store.statistics(self._collection)
                except StoreUnavailable:
                    return self._known  # as with templates: what was known last
                known: dict[str, dict[View, tuple[int, Tensor]]] = {}
                for name, value in statistics.items():
                    fingerprint, view = _view(name)
                    known.setdefault(fingerprint, {})[view] = _decoded(value)
                self._known = known
            return self._known


def corrections_of(known: Mapping[K, tuple[int, Tensor]]) -> dict[K, Tensor]:
    """Corrections of views, float32 (P, C), from how many walks each is known by and their mean (P, C)."""
    if len(known) < 2:
        return {}  # one view alone: what it does to everybody cancels out
    middle = torch.stack([mean for _, mean in known.values()]).mean(0)
    return {view: (count / (count + SHRINK) * (mean - middle)).float() for view, (count, mean) in known.items()}


def centred(embeddings: Tensor, views: Sequence[View | None], corrections: Corrections) -> Tensor:
    """Embeddings (N, P, C) less what is known of their views."""
    if not corrections or not any(view in corrections for view in views):
        return embeddings
    none = torch.zeros_like(embeddings[0])
    return embeddings - torch.stack(
        [none if view is None else corrections.get(view, none).to(none.device) for view in views]
    )


def _name(fingerprint: Fingerprint, view: View) -> str:
    return f"{fingerprint} {view}"


def _view(name: str) -> tuple[str, View]:
    fingerprint, _, view = name.partition(" ")
    return fingerprint, View.parse(view)


def _encoded(count: int, mean: Tensor) -> bytes:
    return _HEAD.pack(count, *mean.shape) + mean.numpy().astype("<f8").tobytes()


def _decoded(value: bytes) -> tuple[int, Tensor]:
    try:
        count, parts, dims = _HEAD.unpack_from(value)
        mean = np.frombuffer(value, "<f8", offset=_HEAD.size).reshape(parts, dims)
    except (struct.error, ValueError) as error:
        raise BadStore("What is stored of a camera's view is damaged.") from error
    return count, torch.from_numpy(mean.astype(np.float64))
