"""What is kept beside a collection for a while, where it asks for that: strangers, and passers-by of its cameras.

Either kind lies in a companion collection of the same store. So whatever holds for enrolled people holds for it: it is
encrypted, expires, is erased without a trace, is logged, and is seen by every process. No user's collection can have a
companion's name, and no archive holds a companion.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress

from torch import Tensor

from gallery.errors import ClipOfOtherSubject, Conflict, NotFound
from gallery.migration import move_along
from gallery.names import COMPANIONS, companion_of
from gallery.stores.protocol import Change, NewSubject, NewTemplate, Store
from gallery.types import Collection, Removal
from gallery.views import View
from models import GaitNetwork
from pipelines.fingerprint import fingerprint_of
from pipelines.sequence import GaitSequence


class Companion:
    """The companion of one kind of a collection, made when something is first kept.

    Args:
        store: kept open by the caller.
        collection: whose companion it is.
        kind: one of :data:`gallery.names.COMPANIONS`.
    """

    def __init__(self, store: Store, collection: str, kind: str) -> None:
        self.store, self.name = store, companion_of(collection, kind)
        self._collection = collection

    def own(self) -> Collection | None:
        """The companion as it stands; None where nothing is kept."""
        try:
            return self.store.collection(self.name)
        except NotFound:
            return None

    @property
    def keep_seconds(self) -> float | None:
        """For how long is kept what comes from now on; None where nothing is."""
        own = self.own()
        return None if own is None else own.ttl_seconds

    def keep(self, keep_seconds: float | None) -> Removal:
        """Keep what comes from now on, for so many seconds; None keeps nothing, and forgets all."""
        if keep_seconds is None:
            with suppress(NotFound):
                return self.told(self.store.delete_collection(self.name))
        else:
            heatmaps = self.store.collection(self._collection).keeps_heatmaps
            self.store.ensure_collection(self.name, keeps_heatmaps=heatmaps, ttl_seconds=keep_seconds)
            self.store.set_ttl(self.name, keep_seconds)
        return Removal(collection=self._collection, templates=0, subjects=0, pending=False)

    def told(self, removal: Removal) -> Removal:
        """A removal from the companion, in the name of its collection."""
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
        """Keep a walk; False where nothing is kept, or this walk of this clip is there.

        Args:
            network: of the collection; what was kept under another one is moved to it first.
            seq: the walk.
            embedding: float32 (P, C), of ``network``.
            subject: id under which it is kept.
            view: from where it was seen, where that is known.
            metadata: of the subject.
            clip_sha256: digest of the clip.

        Raises:
            FingerprintMismatch: the companion is at another network, to which the collection has moved meanwhile.
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
        except (ClipOfOtherSubject, Conflict, NotFound):  # nothing may be kept any longer
            return False
        return True


class Followed:
    """What a companion holds, in memory, following the store; each reply is of the moment of asking.

    Not for collections that are searched: those are followed by :class:`gallery.search.index.CollectionIndex`.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._lock = threading.Lock()
        self._cursor = ""
        self._known: dict[str, Change] = {}

    def now(self) -> tuple[str, list[Change]]:
        """A cursor that changes with what is kept, and all of that, what has expired and was not purged included.

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
    """Remove everything that is kept beside a collection, as when it is deleted itself."""
    for kind in COMPANIONS:
        Companion(store, collection, kind).keep(None)
