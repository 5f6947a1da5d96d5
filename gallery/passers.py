"""Passers-by: walks that the cameras of a collection saw, kept for a while where the collection asks for it.

What a camera does to everybody, and how near strangers come to each other in it, can be learnt from whoever passes.
Of a passer-by are kept the embedding, the gait sequence that it was made from, so that it moves along to another
network, and the view; no name, no clip, no digest of one. Nothing is kept unless a collection was told for how long.

What is kept of a view is bounded, and spread over people and time. A walk that is like one that is there is not kept,
so that whoever passes often counts little; like is nearer than half the median distance within the view. Of a view
that is full the oldest gives way, at most once in a sixty-fourth of the time to keep, so that what is kept reaches
back over that time, and the store is spared. 64 and 1,024 are no result of measurements; of the half see
docs/cameras.md.
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

from gallery.companions import Companion, Followed
from gallery.errors import NotFound, StoreUnavailable
from gallery.names import PASSERS_BY
from gallery.stores.protocol import Change, Store
from gallery.types import Removal, ViewStatistics
from gallery.views import WELL_KNOWN, Corrections, View, corrections_of
from models import GaitNetwork
from models.distance import part_distances
from pipelines.fingerprint import Fingerprint, fingerprint_of
from pipelines.sequence import GaitSequence

PER_VIEW = 64
IN_ALL = 1024
LIKE = 0.5
"""Of the median distance within a view: walks nearer than that count as one person's."""
FEW = 3
"""Passers-by of a view from which on their distances have a median worth the name."""
SAME = 1e-4
"""Of an embedding's length: no two walks are so near, only the same one embedded twice."""
REFRESH_SECONDS = 1.0
"""After which the store is asked again for what other processes have kept."""


@dataclass(frozen=True, eq=False)
class Group:
    """What is kept of one view, oldest first.

    Attributes:
        templates: n ids.
        embeddings: float32 (n, P, C).
        expiries: seconds since 1970, of each.
    """

    templates: tuple[str, ...]
    embeddings: Tensor
    expiries: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Kept:
    """What is kept under one fingerprint, and holds until ``until``, seconds since 1970."""

    fingerprint: Fingerprint | None = None
    groups: Mapping[View, Group] = field(default_factory=dict)
    until: float = math.inf

    @cached_property
    def corrections(self) -> Corrections:
        """Of the views of which there are enough."""
        enough = {view: group for view, group in self.groups.items() if len(group.templates) >= WELL_KNOWN}
        return corrections_of(
            {view: (len(group.templates), group.embeddings.double().mean(0)) for view, group in enough.items()}
        )

    def __len__(self) -> int:
        return sum(len(group.templates) for group in self.groups.values())


class PassersBy:
    """The passers-by of a collection, under one store that several processes share. Safe under threads.

    Every process holds all of them in memory, however the collection itself is searched.

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
        """For how long passers-by are kept; None where they are not."""
        return self._companion.keep_seconds

    def keep(self, keep_seconds: float | None) -> Removal:
        """Keep who passes from now on, for so many seconds; None keeps nothing, and forgets all.

        So does a shorter time than before: who was to be kept for longer than is allowed now is kept no longer.
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
        """All who have not expired, by view; empty under any other fingerprint than theirs."""
        kept = self._current()
        return kept.groups if kept.fingerprint == fingerprint else {}

    def of(self, fingerprint: Fingerprint, view: View | None) -> Tensor:
        """Embeddings of those who passed in a view, float32 (n, P, C), as they were made: nothing is taken off.

        (0, 0, 0) where none is kept. From memory: what other processes keep is seen within a second.
        """
        group = None if view is None else self.kept(fingerprint).get(view)
        return torch.zeros(0, 0, 0) if group is None else group.embeddings

    def count(self, fingerprint: Fingerprint, view: View | None) -> int:
        """How many :meth:`of` gives."""
        return len(self.of(fingerprint, view))

    def corrections(self, fingerprint: Fingerprint) -> Corrections:
        """What is to be taken off the embeddings of each well-known view, float32 (P, C); see :mod:`gallery.views`."""
        kept = self._current()
        return kept.corrections if kept.fingerprint == fingerprint else {}

    def listed(self, fingerprint: Fingerprint | None) -> list[ViewStatistics]:
        """The views of which somebody is kept under a fingerprint, by camera and heading."""
        self._look_again()
        found = {} if fingerprint is None else self.kept(fingerprint)
        views = sorted(found, key=lambda view: (view.camera, view.heading))
        return [ViewStatistics(camera=v.camera, heading=v.heading, walks=len(found[v].templates)) for v in views]

    def add(
        self, network: GaitNetwork, seq: GaitSequence, embedding: Tensor, view: View, now: float | None = None
    ) -> bool:
        """Take a walk into account; whether it is kept.

        Args:
            network: of the collection.
            seq: the walk, one that is long and clear enough.
            embedding: float32 (P, C), of ``network``.
            view: where it was seen from.
            now: seconds since 1970; the clock's where not given.

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
        """Erase who passed a camera; the number of views of it that were known."""
        gone = 0
        for subject in self._store.subjects(self._companion.name) if self._companion.own() else []:
            if View.parse(subject.id).camera == camera:
                self._store.erase(self._companion.name, subject.id)
                gone += bool(subject.templates)
        self._look_again()
        return gone

    def erase(self, templates: Sequence[str]) -> Removal:
        """Erase passers-by, by the ids that :meth:`kept` gives; those who are gone already do not count."""
        pending, erased = False, 0
        for template in templates:
            try:
                pending = self._store.delete_template(self._companion.name, template).pending
                erased += 1
            except NotFound:  # it has expired, or another process was quicker
                continue
        self._look_again()
        return self._companion.told(
            Removal(collection=self._companion.name, templates=erased, subjects=0, pending=pending)
        )

    def _make_room(self, view: View, kept: Kept, now: float, keep_seconds: float) -> bool:
        """Erase the oldest where there are as many as may be; False where it is too early for that."""
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
                    return self._kept  # as with templates: what was known last
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
    """Whether a walk (P, C) is too near to one of its view that is there; the very same one always is."""
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
    """The distance up to which two embeddings are of one and the same walk, by the length of some (n, P, C)."""
    return SAME * float(embeddings.norm(dim=2).mean())
