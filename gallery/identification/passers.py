"""Passers-by: walks from the cameras of a collection, kept for a limited time if the collection enables it.

Passers-by show how a camera shifts all embeddings, and how near different people are in its view. For each one the
embedding, its gait sequence (for migrations to another network) and the view are kept, but no name, no clip and no
digest of a clip. Nothing is kept unless the collection has a time to keep it.

The number of walks per view is limited, and they are spread over people and time. A walk similar to a kept one is not
kept, so frequent passers-by count little; "similar" means nearer than half the median distance within the view. In a
full view a new walk replaces the oldest, at most once per 1/64 of the time to keep. So the kept walks cover that time,
and the store has few writes. 64 and 1,024 were not measured; for the half see docs/cameras.md.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from gaitkeeper.gallery.errors import NotFound, StoreUnavailable
from gaitkeeper.gallery.identification.companions import Companion, Followed
from gaitkeeper.gallery.names import PASSERS_BY
from gaitkeeper.gallery.stores.protocol import Change, Store
from gaitkeeper.gallery.types import Removal, ViewStatistics
from gaitkeeper.gallery.views import WELL_KNOWN, Corrections, View, corrections_of
from gaitkeeper.models import GaitNetwork
from gaitkeeper.models.distance import part_distances
from gaitkeeper.pipelines.fingerprint import Fingerprint, fingerprint_of
from gaitkeeper.pipelines.sequence import GaitSequence

PER_VIEW = 64
IN_ALL = 1024
LIKE = 0.5
"""Fraction of the median distance within a view. Nearer walks count as one person's."""
FEW = 3
"""Minimum number of passers-by in a view for a meaningful median distance."""
SAME = 1e-4
"""Fraction of an embedding's length. Only the same walk embedded twice is nearer than this."""
REFRESH_SECONDS = 1.0
"""Seconds after which the store is read again for walks of other processes."""


@dataclass(frozen=True, eq=False)
class Group:
    """The kept walks of one view, oldest first.

    Attributes:
        templates: ids of n templates.
        embeddings: float32 (n, P, C).
        expiries: time of expiry of each, in seconds since 1970.
    """

    templates: tuple[str, ...]
    embeddings: Tensor
    expiries: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Kept:
    """The kept walks of one fingerprint. Valid until ``until``, in seconds since 1970."""

    fingerprint: Fingerprint | None = None
    groups: Mapping[View, Group] = field(default_factory=dict)
    until: float = math.inf

    @cached_property
    def corrections(self) -> Corrections:
        """Corrections of the views with enough walks."""
        enough = {view: group for view, group in self.groups.items() if len(group.templates) >= WELL_KNOWN}
        return corrections_of(
            {view: (len(group.templates), group.embeddings.double().mean(0)) for view, group in enough.items()}
        )

    def __len__(self) -> int:
        return sum(len(group.templates) for group in self.groups.values())


class PassersBy:
    """The passers-by of a collection, in a store that several processes share. Thread-safe.

    Every process keeps all of them in memory, however the collection itself is searched.

    Args:
        store: kept open by the caller.
        collection: name of the collection.
    """

    def __init__(self, store: Store, collection: str) -> None:
        self._companion = Companion(store, collection, PASSERS_BY)
        self._store = store
        self._followed = Followed(store, self._companion.name)
        self._lock = threading.Lock()
        self._cursor: str | None = None
        self._kept = Kept()
        self._read = -math.inf

    @property
    def keep_seconds(self) -> float | None:
        """Time in seconds to keep passers-by; None if they are not kept."""
        return self._companion.keep_seconds

    def keep(self, keep_seconds: float | None) -> Removal:
        """Keep future passers-by for this number of seconds. None stops this and deletes all kept ones.

        A shorter time than before also deletes all kept ones, because they would stay longer than allowed now.
        """
        before = self.keep_seconds
        try:
            if before is None or keep_seconds is None or keep_seconds >= before:
                return self._companion.keep(keep_seconds)
            removed = self._companion.keep(None)
            self._companion.keep(keep_seconds)
            return removed
        finally:
            self._look_again()

    def kept(self, fingerprint: Fingerprint) -> Mapping[View, Group]:
        """All passers-by that have not expired, by view; empty for another fingerprint."""
        kept = self._current()
        return kept.groups if kept.fingerprint == fingerprint else {}

    def of(self, fingerprint: Fingerprint, view: View | None) -> Tensor:
        """Embeddings of the passers-by in a view, float32 (n, P, C), without correction.

        The shape is (0, 0, 0) if there are none. Read from memory: walks of other processes appear within a second.
        """
        group = None if view is None else self.kept(fingerprint).get(view)
        return torch.zeros(0, 0, 0) if group is None else group.embeddings

    def count(self, fingerprint: Fingerprint, view: View | None) -> int:
        """Number of embeddings that :meth:`of` returns."""
        return len(self.of(fingerprint, view))

    def corrections(self, fingerprint: Fingerprint) -> Corrections:
        """The correction of each view with enough walks, float32 (P, C); see :mod:`gaitkeeper.gallery.views`."""
        kept = self._current()
        return kept.corrections if kept.fingerprint == fingerprint else {}

    def listed(self, fingerprint: Fingerprint | None) -> list[ViewStatistics]:
        """The views with kept walks under a fingerprint, by camera and heading."""
        self._look_again()
        found = {} if fingerprint is None else self.kept(fingerprint)
        views = sorted(found, key=lambda view: (view.camera, view.heading))
        return [ViewStatistics(camera=v.camera, heading=v.heading, walks=len(found[v].templates)) for v in views]

    def add(
        self, network: GaitNetwork, seq: GaitSequence, embedding: Tensor, view: View, now: float | None = None
    ) -> bool:
        """Add a walk. Returns whether it was kept.

        Args:
            network: network of the collection.
            seq: the walk, of sufficient length and quality.
            embedding: float32 (P, C), by ``network``.
            view: view of the walk.
            now: current time in seconds since 1970; by default the clock's.

        Raises:
            FingerprintMismatch: as :meth:`Companion.add`.
            StoreUnavailable: the store cannot be reached.
        """
        keep_seconds = self.keep_seconds
        if keep_seconds is None:
            return False
        embedding = embedding.float().cpu()
        self._look_again()
        kept = self._current()
        instant = time.time() if now is None else now
        if kept.fingerprint == fingerprint_of(network, seq.perception) and (
            _like_one_kept(embedding, view, kept) or not self._make_room(view, kept, instant, keep_seconds)
        ):
            return False
        try:
            return self._companion.add(network, seq, embedding, str(view), view)
        finally:
            self._look_again()

    def forget(self, camera: str) -> int:
        """Erase the passers-by of a camera. Returns the number of its views that had any."""
        gone = 0
        for subject in self._store.subjects(self._companion.name) if self._companion.own() else []:
            if View.parse(subject.subject).camera == camera:
                self._store.erase(self._companion.name, subject.subject)
                gone += bool(subject.templates)
        self._look_again()
        return gone

    def erase(self, templates: Sequence[str]) -> Removal:
        """Erase passers-by, by the ids from :meth:`kept`. Ids that no longer exist do not count."""
        pending, erased = False, 0
        for template in templates:
            try:
                pending = self._store.delete_template(self._companion.name, template).pending
                erased += 1
            except NotFound:  # it has expired, or another process removed it
                continue
        self._look_again()
        return self._companion.told(
            Removal(collection=self._companion.name, templates=erased, subjects=0, pending=pending)
        )

    def _make_room(self, view: View, kept: Kept, now: float, keep_seconds: float) -> bool:
        """Erase the oldest walks if the limit is reached. Returns False if it is too early for that."""
        own = kept.groups.get(view)
        if own is not None and len(own.templates) >= PER_VIEW:
            if now + keep_seconds - own.expiries[-1] < keep_seconds / PER_VIEW:
                return False
            self.erase(own.templates[: len(own.templates) - PER_VIEW + 1])
        elif len(kept) >= IN_ALL:
            largest = max(kept.groups.values(), key=lambda group: len(group.templates))
            self.erase(largest.templates[: len(kept) - IN_ALL + 1])
        return True

    def _look_again(self) -> None:
        with self._lock:
            self._read = -math.inf

    def _current(self) -> Kept:
        with self._lock:
            now = time.monotonic()
            if now - self._read >= REFRESH_SECONDS or time.time() >= self._kept.until:
                self._read = now
                try:
                    cursor, changes = self._followed.now()
                except StoreUnavailable:
                    return self._kept  # as with templates, use the last known state
                if cursor != self._cursor or time.time() >= self._kept.until:
                    self._cursor, self._kept = cursor, _kept(changes, time.time())
            return self._kept


def _kept(changes: Sequence[Change], now: float) -> Kept:
    by_view: dict[View, list[tuple[float, str, Change]]] = {}
    for one in changes:
        end = math.inf if one.expires is None else one.expires.timestamp()
        if end > now and one.camera is not None and one.heading is not None:
            by_view.setdefault(View(one.camera, one.heading), []).append((end, one.template, one))
    groups, fingerprint, until = {}, None, math.inf
    for view, members in by_view.items():
        members.sort(key=lambda member: member[:2])
        ends, templates, rows = zip(*members, strict=True)
        stacked = np.stack([row.embedding for row in rows]).astype(np.float32)
        groups[view] = Group(templates, torch.from_numpy(stacked), ends)
        fingerprint, until = rows[0].fingerprint, min(until, ends[0])
    return Kept(fingerprint, groups, until)


def _like_one_kept(embedding: Tensor, view: View, kept: Kept) -> bool:
    """Whether a walk (P, C) is too near to a kept one of its view. The same walk always is."""
    own = kept.groups.get(view)
    if own is None:
        return False
    best_known = max(kept.groups.values(), key=lambda group: len(group.templates))
    among = own if len(own.templates) >= FEW else best_known
    usual = 0.0
    if len(among.templates) >= FEW:
        distances = part_distances(among.embeddings, among.embeddings)
        usual = float(distances[tuple(torch.triu_indices(len(distances), len(distances), 1))].median())
    nearest = float(part_distances(embedding[None], own.embeddings).amin())
    return nearest <= max(LIKE * usual, same(embedding[None]))


def same(embeddings: Tensor) -> float:
    """The distance up to which two embeddings show the same walk, from the length of embeddings (n, P, C)."""
    return SAME * float(embeddings.norm(dim=2).mean())
