"""A collection's embeddings in memory, following the store."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from gallery.errors import FingerprintMismatch
from gallery.search import Hit, PartwiseIndex
from gallery.store import Change, Store
from pipelines.fingerprint import Fingerprint


class CollectionIndex:
    """Searches what the store holds at the time of asking, whichever thread or process wrote it.

    Before each search the store is asked for changes since the last one, which costs next to nothing where there are
    none. One search runs at a time; a batch of probes is one search.

    Args:
        store: kept open by the caller.
        collection: name of the collection.
        device: where embeddings lie and are searched.
    """

    def __init__(self, store: Store, collection: str, device: str = "cpu") -> None:
        self._store = store
        self._collection = collection
        self._device = device
        self._lock = threading.Lock()
        self._cursor = ""
        self._fingerprint: Fingerprint | None = None
        self._index: PartwiseIndex | None = None

    def search(self, fingerprint: Fingerprint, probes: Tensor, k: int) -> tuple[list[list[Hit]], int]:
        """The ``k`` nearest subjects of each probe (Q, P, C), and the number of templates that were searched.

        Raises:
            FingerprintMismatch: the collection holds embeddings of another fingerprint, or of another shape.
        """
        with self._lock:
            self._follow()
            if self._index is None or self._fingerprint is None:
                return [[] for _ in probes], 0
            if self._fingerprint != fingerprint:
                raise FingerprintMismatch.between(self._collection, self._fingerprint, fingerprint)
            if probes.shape[1:] != self._index.shape:
                raise FingerprintMismatch.shapes(self._collection, self._index.shape, tuple(probes.shape[1:]))
            return self._index.search(probes, k), len(self._index)

    def _follow(self) -> None:
        while True:
            news = self._store.changes(self._collection, self._cursor)
            if news.reset:
                self._index = self._fingerprint = None
            for come, group in groupby(news.changes, key=lambda change: change.embedding is not None):
                if come:
                    self._add(list(group))
                else:
                    self._remove([change.template for change in group])
            self._cursor = news.cursor
            if not news.changes and not news.reset:
                return

    def _add(self, changes: Sequence[Change]) -> None:
        embeddings = torch.from_numpy(np.stack([c.embedding for c in changes if c.embedding is not None]))
        if self._index is None:
            parts, dims = embeddings.shape[1:]
            self._index = PartwiseIndex(parts, dims, self._device)
            self._fingerprint = changes[0].fingerprint
        self._index.add([c.template for c in changes], [c.subject or "" for c in changes], embeddings)

    def _remove(self, templates: Sequence[str]) -> None:
        for template in templates:
            if self._index is not None and template in self._index:
                self._index.remove(template)
        if self._index is not None and not len(self._index):
            # An empty collection is free to be pinned anew.
            self._index = self._fingerprint = None
