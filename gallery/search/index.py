"""In-memory index of a collection, kept up to date from the store."""

from __future__ import annotations

import math
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gaitkeeper.gallery.errors import FingerprintMismatch, StoreUnavailable
from gaitkeeper.gallery.search.by_view import ViewedIndex
from gaitkeeper.gallery.search.partwise import Hit
from gaitkeeper.gallery.search.table import digest_order
from gaitkeeper.gallery.stores.protocol import Change, Digest, Feed, xor_of
from gaitkeeper.gallery.views import Corrections, View
from gaitkeeper.pipelines.fingerprint import Fingerprint

NONE: Corrections = {}
RETRY_SECONDS = 1.0  # pause before an unreachable store is tried again


@dataclass(frozen=True, eq=False)
class Found:
    """Result of a search.

    Attributes:
        hits: hits of each probe, nearest subject first.
        size: number of searched templates.
        subjects: upper bound of the number of their subjects.
        cursor: cursor of ``Feed.changes``. The search covered exactly the changes up to it.
        age: seconds since the last complete update, if the store is unreachable now; otherwise None.
    """

    hits: list[list[Hit]]
    size: int
    cursor: str
    age: float | None = None
    subjects: int = 0


class Index(Protocol):
    """Interface of a gallery's index. The methods are those of :class:`CollectionIndex`."""

    def search(
        self,
        fingerprint: Fingerprint,
        probes: Tensor,
        k: int,
        where: Mapping[str, str] | None = None,
        corrections: Corrections = NONE,
    ) -> Found: ...

    def nearest_of(
        self, subject: str, fingerprint: Fingerprint, probe: Tensor, corrections: Corrections = NONE
    ) -> Hit | None: ...

    def embeddings(
        self, fingerprint: Fingerprint, templates: Sequence[str], corrections: Corrections = NONE
    ) -> dict[str, Tensor]: ...

    def cohort(
        self, fingerprint: Fingerprint, people: int, each: int = 1, corrections: Corrections = NONE
    ) -> dict[str, Tensor] | None: ...

    def ready(self) -> bool: ...

    def close(self) -> None: ...


@dataclass(frozen=True, eq=False)
class _Cohort:
    """Templates of some subjects, grouped by subject.

    Attributes:
        full: whether there are as many subjects as requested.
        sizes: number of templates of each subject, in the order of
            :func:`gaitkeeper.gallery.search.partwise.digest_order`.
        templates: ids of the templates.
        embeddings: as stored, float32 (n, P, C).
        expires: time when the first of them expires, in seconds since 1970.
    """

    full: bool
    sizes: dict[str, int]
    templates: list[str]
    embeddings: Tensor
    expires: float

    @cached_property
    def _members(self) -> frozenset[str]:
        return frozenset(self.templates)

    @cached_property
    def _last(self) -> bytes:
        return digest_order(next(reversed(self.sizes)))

    def outlives(self, change: Change) -> bool:
        """Whether it is unaffected by a change: one that concerns neither its subjects nor new members.

        This holds for most changes of a large collection.
        """
        if change.template in self._members:  # a member that has changed may belong to another subject now
            return False
        return change.subject is None or (self.full and digest_order(change.subject) > self._last)


@dataclass(frozen=True)
class Share:
    """The share of the subjects of one of several searchers, by a digest of the ids.

    Attributes:
        number: number of the searcher, from 0.
        of: number of searchers.
    """

    number: int = 0
    of: int = 1

    def __contains__(self, subject: str) -> bool:
        return zlib.crc32(subject.encode()) % self.of == self.number


class CollectionIndex:
    """Searches the current content of the store, whichever thread or process wrote it.

    Before each search the index reads the changes since the last one, which is cheap if there are none. The index has
    one fingerprint at a time: if another set of embeddings has gone live, it is cleared first. One search runs at a
    time; a batch of probes is one search. While the store is unreachable, the last known content is searched.

    Args:
        store: kept open by the caller.
        collection: name of the collection.
        device: device for the embeddings and the search.
        precision: number format of the embeddings; see :class:`gaitkeeper.gallery.search.partwise.PartwiseIndex`.
        share: the subjects to search. The index always follows and verifies the whole store.
    """

    def __init__(
        self,
        store: Feed,
        collection: str,
        device: str = "cpu",
        precision: str = "float32",
        share: Share = Share(),
    ) -> None:
        self._store = store
        self._collection = collection
        self._device = device
        self._precision = precision
        self._share = share
        self._lock = threading.Lock()
        self._proven = False
        self._forget()

    def search(
        self,
        fingerprint: Fingerprint,
        probes: Tensor,
        k: int,
        where: Mapping[str, str] | None = None,
        corrections: Corrections = NONE,
    ) -> Found:
        """The ``k`` nearest subjects of each probe (Q, P, C).

        Args:
            fingerprint: fingerprint of the probes.
            probes: finite (Q, P, C), with the corrections of their views subtracted.
            k: at least 1.
            where: metadata that subjects must have.
            corrections: corrections by view, subtracted from the templates.

        Raises:
            FingerprintMismatch: the collection's embeddings have another fingerprint or another shape.
        """
        with self._lock:
            index = self._current(fingerprint, probes)
            if index is None:
                return Found([[] for _ in probes], 0, self._cursor, self._age())
            hits, size = index.search(probes, k, where, corrections)
            return Found(hits, size, self._cursor, self._age(), min(size, index.subjects()))

    def nearest_of(
        self, subject: str, fingerprint: Fingerprint, probe: Tensor, corrections: Corrections = NONE
    ) -> Hit | None:
        """The nearest template of one subject to a probe (P, C); None if it has none.

        Raises:
            FingerprintMismatch: as :meth:`search`.
        """
        with self._lock:
            index = self._current(fingerprint, probe[None])
            return None if index is None else index.nearest_of(subject, probe, corrections)

    def embeddings(
        self, fingerprint: Fingerprint, templates: Sequence[str], corrections: Corrections = NONE
    ) -> dict[str, Tensor]:
        """The embeddings (P, C), float32, of the given templates that still exist with this fingerprint."""
        with self._lock:
            self._follow_if_possible()
            if self._index is None or self._fingerprint != fingerprint:
                return {}
            known = [template for template in templates if template in self._index]
            return dict(zip(known, self._index.embeddings(known, corrections), strict=True))

    def cohort(
        self, fingerprint: Fingerprint, people: int, each: int = 1, corrections: Corrections = NONE
    ) -> dict[str, Tensor] | None:
        """Embeddings (k, P, C), float32, k up to ``each``, of some subjects; None under another fingerprint.

        The selection depends only on stored data; see :meth:`gaitkeeper.gallery.search.partwise.PartwiseIndex.cohort`.
        The result is cached until a change concerns one of these subjects, or one of the templates expires.
        """
        with self._lock:
            if self._index is None or self._fingerprint != fingerprint:
                return None
            asked = (people, each)
            known = self._cohorts.get(asked)
            if known is None or known.expires <= time.time():
                known = self._cohorts[asked] = self._cohort(people, each)
            found = self._index.corrected(known.templates, known.embeddings, corrections)
            return dict(zip(known.sizes, torch.split(found, list(known.sizes.values())), strict=True))

    def followed(self) -> str:
        """Update from the store if it is reachable. Returns the current cursor."""
        with self._lock:
            self._follow_if_possible()
            return self._cursor

    def ready(self, attempts: int = 5) -> bool:
        """Update from the store, and verify once that the index equals its content, by count and digest.

        Verified again after a full reload. Returns False if the two differed ``attempts`` times, for example during
        heavy writing.
        """
        for _ in range(attempts):
            with self._lock:
                self._follow()
                if self._proven:
                    return True
                digest = self._store.digest(self._collection)
                if self._leaves and digest.salt != self._salt:
                    # The store has a new key since: compute the leaves again.
                    self._forget()
                    continue
                known = xor_of(b"".join(self._leaves.values())) if self._leaves else bytes(32)
                self._proven = digest.count == len(self._leaves) and digest.value == known
        return self._proven

    def close(self) -> None:
        """Clear the index."""
        with self._lock:
            self._forget()

    def _cohort(self, people: int, each: int) -> _Cohort:
        assert self._index is not None
        found = self._index.cohort(people, each)
        templates = [template for some in found.values() for template in some]
        return _Cohort(
            len(found) == people,
            {subject: len(some) for subject, some in found.items()},
            templates,
            self._index.embeddings(templates, NONE),
            min((self._ends.get(template, math.inf) for template in templates), default=math.inf),
        )

    def _current(self, fingerprint: Fingerprint, probes: Tensor) -> ViewedIndex | None:
        """The index of the current content, if it can be compared with the probes; None if the store is empty."""
        self._follow_if_possible()
        if self._index is None or self._fingerprint is None:
            return None
        if self._fingerprint != fingerprint:
            raise FingerprintMismatch.between(self._collection, self._fingerprint, fingerprint)
        if probes.shape[1:] != self._index.shape:
            raise FingerprintMismatch.shapes(self._collection, self._index.shape, tuple(probes.shape[1:]))
        return self._index

    def _forget(self) -> None:
        self._cursor = ""
        self._fingerprint: Fingerprint | None = None
        self._index: ViewedIndex | None = None
        self._leaves: dict[str, bytes] = {}
        self._ends: dict[str, float] = {}  # of templates that expire
        self._cohorts: dict[tuple[int, int], _Cohort] = {}
        self._salt: bytes | None = None
        self._proven = False
        self._followed: float | None = None  # when, to the end
        self._failed: float | None = None  # when, since then

    def _age(self) -> float | None:
        return None if self._failed is None or self._followed is None else time.monotonic() - self._followed

    def _follow_if_possible(self) -> None:
        """Update. If the store is unreachable, continue with the last content, provided that it was complete."""
        if self._failed is not None and self._followed is not None and time.monotonic() - self._failed < RETRY_SECONDS:
            return
        try:
            self._follow()
        except StoreUnavailable:
            if self._followed is None:
                raise
            self._failed = time.monotonic()

    def _follow(self) -> None:
        while True:
            news = self._store.changes(self._collection, self._cursor)
            if news.reset:
                self._forget()
            for asked, cohort in list(self._cohorts.items()):
                if not all(map(cohort.outlives, news.changes)):
                    del self._cohorts[asked]
            for come, group in groupby(news.changes, key=lambda change: change.embedding is not None):
                if come:
                    self._add(list(group))
                else:
                    self._remove([change.template for change in group])
            self._cursor = news.cursor
            if not news.changes and not news.reset:
                self._followed, self._failed = time.monotonic(), None
                return

    def _add(self, changes: Sequence[Change]) -> None:
        # Reported twice if its subject or that one's metadata changed: the latest counts.
        latest = {change.template: change for change in changes}
        new = [change for change in latest.values() if self._is_new(change)]
        for change in new:
            if self._index is not None and change.template in self._index:
                self._index.remove(change.template)
        if new:
            self._take(new)
        assert self._index is not None
        for change in latest.values():
            if change.template in self._index:
                self._index.annotate(change.template, change.metadata or {}, _end(change))
                if change.expires is not None:
                    self._ends[change.template] = _end(change)

    def _is_new(self, change: Change) -> bool:
        """Whether a template must be added: an unknown one, or one that belongs to another subject now."""
        if self._index is None or change.template not in self._leaves:
            return True
        owner = self._index.owner(change.template)
        return (change.subject or "") in self._share if owner is None else owner != change.subject

    def _take(self, changes: Sequence[Change]) -> None:
        embeddings = np.stack([change.embedding for change in changes if change.embedding is not None])
        if self._index is None:
            parts, dims = embeddings.shape[1:]
            self._index = ViewedIndex(parts, dims, self._device, self._precision)
            self._fingerprint = changes[0].fingerprint
        own = [i for i, change in enumerate(changes) if (change.subject or "") in self._share]
        self._index.add(
            [changes[i].template for i in own],
            [changes[i].subject or "" for i in own],
            torch.from_numpy(embeddings[own]),
            [_view(changes[i]) for i in own],
        )
        if self._salt is None:
            self._salt = self._store.digest(self._collection).salt
        leaf = Digest(0, b"", self._salt).leaf
        for change, embedding in zip(changes, embeddings, strict=True):
            self._leaves[change.template] = leaf(change.template, embedding)

    def _remove(self, templates: Sequence[str]) -> None:
        for template in templates:
            self._leaves.pop(template, None)
            self._ends.pop(template, None)
            if self._index is not None and template in self._index:
                self._index.remove(template)
        if not self._leaves:
            # An empty collection can be pinned again.
            self._index = self._fingerprint = None


def _view(change: Change) -> View | None:
    if change.camera is None or change.heading is None:
        return None
    return View(change.camera, change.heading)


def _end(change: Change) -> float:
    return math.inf if change.expires is None else change.expires.timestamp()
