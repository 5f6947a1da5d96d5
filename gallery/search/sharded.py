"""A collection searched in shares, each by a searcher of its own, and merged without loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from torch import Tensor

from gallery.search.by_view import nearest
from gallery.search.index import NONE, Found, Share
from gallery.search.partwise import Hit, digest_order
from gallery.views import Corrections
from pipelines.fingerprint import Fingerprint


class Searchers(Protocol):
    """Searchers that each follow the store and search one share of a collection's subjects, wherever they run."""

    def __len__(self) -> int:
        """How many there are, at least 1."""
        ...

    def ask(self, method: str, *args: Any, only: int | None = None) -> list[Any]:
        """What a method of :class:`gallery.search.index.CollectionIndex` gives at every searcher, by number, or at one.

        Raises whatever one of them raised.
        """
        ...

    def close(self) -> None:
        """Ask them no more."""
        ...


class ShardedIndex:
    """As :class:`gallery.search.index.CollectionIndex`, over the shares of several searchers.

    Every searcher gives the nearest of its own subjects, measured in float64 from the stored embeddings alone, so the
    nearest of all are among them, with the very distances that one searcher of everything would give. They are merged
    by distance, then by id.

    Args:
        searchers: of one collection.
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
        """As :meth:`gallery.search.index.CollectionIndex.search`.

        What happened after the cursor of the answer may have been searched, too; what happened before was.
        """
        # Asked first: each searcher follows the store when it is asked, so all of them know at least as much.
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
        """As :meth:`gallery.search.index.CollectionIndex.nearest_of`."""
        count = len(self._searchers)
        owner = next(number for number in range(count) if subject in Share(number, count))
        [hit] = self._searchers.ask("nearest_of", subject, fingerprint, probe, corrections, only=owner)
        return hit  # type: ignore[no-any-return]

    def embeddings(
        self, fingerprint: Fingerprint, templates: Sequence[str], corrections: Corrections = NONE
    ) -> dict[str, Tensor]:
        """As :meth:`gallery.search.index.CollectionIndex.embeddings`."""
        found: dict[str, Tensor] = {}
        for some in self._searchers.ask("embeddings", fingerprint, templates, corrections):
            found |= some
        return {template: found[template] for template in templates if template in found}

    def cohort(
        self, fingerprint: Fingerprint, people: int, each: int = 1, corrections: Corrections = NONE
    ) -> dict[str, Tensor] | None:
        """As :meth:`gallery.search.index.CollectionIndex.cohort`."""
        found: dict[str, Tensor] = {}
        for some in self._searchers.ask("cohort", fingerprint, people, each, corrections):
            if some is None:
                return None
            found |= some
        return {subject: found[subject] for subject in sorted(found, key=digest_order)[:people]}

    def ready(self) -> bool:
        """Whether every searcher has proven that it knows what the store holds."""
        return all(self._searchers.ask("ready"))

    def close(self) -> None:
        """Ask the searchers no more."""
        self._searchers.close()
