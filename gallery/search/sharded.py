"""Sharded search: each searcher searches one share of a collection, and the results are merged exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from torch import Tensor

from gaitkeeper.gallery.search.by_view import nearest
from gaitkeeper.gallery.search.index import NONE, Found, Share
from gaitkeeper.gallery.search.partwise import Hit
from gaitkeeper.gallery.search.table import digest_order
from gaitkeeper.gallery.views import Corrections
from gaitkeeper.pipelines.fingerprint import Fingerprint


class Searchers(Protocol):
    """Searchers, local or remote. Each follows the store and searches one share of a collection's subjects."""

    def __len__(self) -> int:
        """Number of searchers, at least 1."""
        ...

    def ask(self, method: str, *args: Any, only: int | None = None) -> list[Any]:
        """Call a method of :class:`gaitkeeper.gallery.search.index.CollectionIndex` on every searcher, or on one.

        Returns the results in the order of the searchers. Raises the error of any searcher.
        """
        ...

    def close(self) -> None:
        """Stop using the searchers."""
        ...


class ShardedIndex:
    """As :class:`gaitkeeper.gallery.search.index.CollectionIndex`, for the shares of several searchers.

    Every searcher returns the nearest of its subjects, measured in float64 from the stored embeddings. The nearest of
    all are among them, with the same distances that a single searcher would give. They are merged by distance, then by
    id.

    Args:
        searchers: the searchers of one collection.
    """

    def __init__(self, searchers: Searchers) -> None:
        self._searchers = searchers

    def search(
        self,
        fingerprint: Fingerprint,
        probes: Tensor,
        k: int,
        where: Mapping[str, str] | None = None,
        corrections: Corrections = NONE,
    ) -> Found:
        """As :meth:`gaitkeeper.gallery.search.index.CollectionIndex.search`.

        All changes up to the cursor of the answer were searched. Later changes may be included.
        """
        # Read the cursor first: each searcher updates when it is called, so all of them know at least as much.
        [cursor] = self._searchers.ask("followed", only=0)
        found: list[Found] = self._searchers.ask("search", fingerprint, probes, k, where, corrections)
        ages = [one.age for one in found if one.age is not None]
        return Found(
            hits=[nearest(chain.from_iterable(hits), k) for hits in zip(*(one.hits for one in found), strict=True)],
            size=sum(one.size for one in found),
            cursor=cursor,
            age=max(ages, default=None),
            subjects=sum(one.subjects for one in found),
        )

    def nearest_of(
        self, subject: str, fingerprint: Fingerprint, probe: Tensor, corrections: Corrections = NONE
    ) -> Hit | None:
        """As :meth:`gaitkeeper.gallery.search.index.CollectionIndex.nearest_of`."""
        count = len(self._searchers)
        owner = next(number for number in range(count) if subject in Share(number, count))
        [hit] = self._searchers.ask("nearest_of", subject, fingerprint, probe, corrections, only=owner)
        return hit  # type: ignore[no-any-return]

    def embeddings(
        self, fingerprint: Fingerprint, templates: Sequence[str], corrections: Corrections = NONE
    ) -> dict[str, Tensor]:
        """As :meth:`gaitkeeper.gallery.search.index.CollectionIndex.embeddings`."""
        found: dict[str, Tensor] = {}
        for some in self._searchers.ask("embeddings", fingerprint, templates, corrections):
            found |= some
        return {template: found[template] for template in templates if template in found}

    def cohort(
        self, fingerprint: Fingerprint, people: int, each: int = 1, corrections: Corrections = NONE
    ) -> dict[str, Tensor] | None:
        """As :meth:`gaitkeeper.gallery.search.index.CollectionIndex.cohort`."""
        found: dict[str, Tensor] = {}
        for some in self._searchers.ask("cohort", fingerprint, people, each, corrections):
            if some is None:
                return None
            found |= some
        return {subject: found[subject] for subject in sorted(found, key=digest_order)[:people]}

    def ready(self) -> bool:
        """Whether every searcher has verified its index against the store."""
        return all(self._searchers.ask("ready"))

    def close(self) -> None:
        """Stop using the searchers."""
        self._searchers.close()
