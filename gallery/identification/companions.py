"""Companion collections: they hold strangers and passers-by of a collection for a limited time, if it is enabled.

Each kind has a companion collection in the same store. So it is handled like enrolled people: encrypted, expired,
erased without a trace, logged, and visible to every process. No user's collection can have a companion's name, and no
archive contains a companion.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress

from torch import Tensor

from gaitkeeper.gallery.errors import ClipOfOtherSubject, Conflict, NotFound
from gaitkeeper.gallery.migration import move_along
from gaitkeeper.gallery.names import COMPANIONS, companion_of
from gaitkeeper.gallery.stores.protocol import Change, Feed, NewSubject, NewTemplate, Store
from gaitkeeper.gallery.types import Collection, Removal
from gaitkeeper.gallery.views import View
from gaitkeeper.models import GaitNetwork
from gaitkeeper.pipelines.fingerprint import fingerprint_of
from gaitkeeper.pipelines.sequence import GaitSequence


class Companion:
    """The companion collection of one kind. It is created when something is first kept.

    Args:
        store: kept open by the caller.
        collection: name of the main collection.
        kind: one of :data:`gaitkeeper.gallery.names.COMPANIONS`.
    """

    def __init__(self, store: Store, collection: str, kind: str) -> None:
        self.store, self.name = store, companion_of(collection, kind)
        self._collection = collection

    def own(self) -> Collection | None:
        """The current state of the companion; None if nothing is kept."""
        try:
            return self.store.collection(self.name)
        except NotFound:
            return None

    @property
    def keep_seconds(self) -> float | None:
        """Time in seconds to keep new walks; None if none are kept."""
        own = self.own()
        return None if own is None else own.ttl_seconds

    def keep(self, keep_seconds: float | None) -> Removal:
        """Keep new walks for this number of seconds. None stops this and deletes all kept ones."""
        if keep_seconds is None:
            with suppress(NotFound):
                return self.told(self.store.delete_collection(self.name))
        else:
            heatmaps = self.store.collection(self._collection).keeps_heatmaps
            self.store.ensure_collection(self.name, keeps_heatmaps=heatmaps, ttl_seconds=keep_seconds)
            self.store.set_ttl(self.name, keep_seconds)
        return Removal(collection=self._collection, templates=0, subjects=0, pending=False)

    def told(self, removal: Removal) -> Removal:
        """Rename a removal from the companion to its main collection."""
        return removal.model_copy(update={"collection": self._collection})

    def add(
        self,
        network: GaitNetwork,
        seq: GaitSequence,
        embedding: Tensor,
        subject: str,
        view: View | None,
        metadata: Mapping[str, str] | None = None,
        clip_sha256: str | None = None,
    ) -> bool:
        """Keep a walk. Returns False if keeping is disabled, or if this walk of this clip exists already.

        Args:
            network: network of the collection. Walks kept with another network are migrated to it first.
            seq: the walk.
            embedding: float32 (P, C), by ``network``.
            subject: subject id of the kept walk.
            view: view of the walk, if known.
            metadata: metadata of the subject.
            clip_sha256: digest of the clip.

        Raises:
            FingerprintMismatch: the collection, and its companion, moved to another network meanwhile.
        """
        own = self.own()
        if own is None:
            return False
        fingerprint = fingerprint_of(network, seq.perception)
        if own.fingerprint not in (None, fingerprint):
            move_along(self.store, self.name, network)
        template = NewTemplate.of(
            seq, fingerprint, embedding, heatmaps=own.keeps_heatmaps, view=view, clip_sha256=clip_sha256
        )
        try:
            self.store.enroll(self.name, NewSubject(subject, metadata=metadata), template)
        except (ClipOfOtherSubject, Conflict, NotFound):  # keeping was disabled meanwhile
            return False
        return True


class Followed:
    """In-memory copy of a companion's content. Each call updates it from the store.

    Searched collections use :class:`gaitkeeper.gallery.search.index.CollectionIndex` instead.
    """

    def __init__(self, store: Feed, name: str) -> None:
        self._store, self._name = store, name
        self._lock = threading.Lock()
        self._cursor = ""
        self._known: dict[str, Change] = {}

    def now(self) -> tuple[str, list[Change]]:
        """A cursor that changes with the content, and the content, including expired walks that are not purged yet.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        with self._lock:
            try:
                while self._step():
                    pass
            except NotFound:
                self._cursor = ""
                self._known.clear()
            return self._cursor, list(self._known.values())

    def _step(self) -> bool:
        news = self._store.changes(self._name, self._cursor)
        if news.reset:
            self._known.clear()
        for change in news.changes:
            self._known.pop(change.template, None)
            if change.embedding is not None:
                self._known[change.template] = change
        self._cursor = news.cursor
        return bool(news.changes) or news.reset


def forget_companions(store: Store, collection: str) -> None:
    """Delete all companions of a collection, for example when the collection is deleted."""
    for kind in COMPANIONS:
        Companion(store, collection, kind).keep(None)
