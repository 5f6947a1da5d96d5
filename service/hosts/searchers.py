"""Searchers as Ray actors. Each follows the store and searches its share of every collection."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import ray
from ray.actor import ActorHandle

from gaitkeeper.gallery.search.index import CollectionIndex, Share
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.types import Collection
from gaitkeeper.service.errors import ClusterUnavailable
from gaitkeeper.service.hosts.cluster import persistently
from gaitkeeper.service.settings import load_settings

AT_ONCE = 8
"""Maximum number of concurrent calls per searcher. It runs one search per collection at a time."""

ANSWER_WITHIN = 600.0
"""Seconds that a search waits for its searchers. A restarted searcher reads its share of a collection again first."""


class Searcher:
    """Searches one share, with the store in the settings of its own host.

    Args:
        share: share of the subjects.
    """

    def __init__(self, share: Share) -> None:
        settings = load_settings()
        self._store = open_store(settings.store_url, settings.vault)
        self._precision = settings.precision
        self._device = settings.pipeline.device
        self._share = share
        self._indices: dict[tuple[str, datetime], CollectionIndex] = {}
        self._lock = threading.Lock()

    def ask(self, collection: str, made: datetime, method: str, args: tuple[Any, ...]) -> Any:
        """Call a method of the collection's index.

        Raises:
            ClusterUnavailable: the collection has another creation time, so this is another store.
        """
        return getattr(self._index(collection, made), method)(*args)

    def _index(self, collection: str, made: datetime) -> CollectionIndex:
        with self._lock:
            if (collection, made) not in self._indices:
                if self._store.collection(collection).created != made:
                    raise ClusterUnavailable(
                        "A searcher has another store: set the same GAITKEEPER_STORE on all hosts."
                    )
                # Forget a deleted collection of the same name.
                self._indices = {key: index for key, index in self._indices.items() if key[0] != collection}
                self._indices[collection, made] = CollectionIndex(
                    self._store, collection, self._device, self._precision, self._share
                )
            return self._indices[collection, made]


def start_searchers(count: int) -> list[ActorHandle[Any]]:
    """Start searchers, spread over all hosts. They end with this process. If a host is lost, its searcher is restarted
    on another host, and reads its share again before it answers.
    """
    actor: Any = ray.remote(Searcher)
    options = {"max_restarts": -1, "max_task_retries": -1, "max_concurrency": AT_ONCE, "num_cpus": 0}
    return [
        actor.options(scheduling_strategy="SPREAD", **options).remote(Share(number, count)) for number in range(count)
    ]


class RaySearchers:
    """The searchers of one collection; see :class:`gaitkeeper.gallery.search.sharded.Searchers`.

    Args:
        actors: actors from :func:`start_searchers`.
        collection: name of the collection to search.
    """

    def __init__(self, actors: list[ActorHandle[Any]], collection: Collection) -> None:
        self._actors = actors
        self._collection = collection.name, collection.created

    def __len__(self) -> int:
        return len(self._actors)

    def ask(self, method: str, *args: Any, only: int | None = None) -> list[Any]:
        """As :meth:`gaitkeeper.gallery.search.sharded.Searchers.ask`.

        Raises:
            DeadlineExceeded: a searcher did not answer within :data:`ANSWER_WITHIN`.
            HostsUnavailable: hosts were lost repeatedly.
        """
        actors = self._actors if only is None else [self._actors[only]]
        # Put arguments for all searchers into shared memory once.
        shared = ray.put(args) if len(actors) > 1 else args

        def asked() -> list[Any]:
            answers = [actor.ask.remote(*self._collection, method, shared) for actor in actors]
            found: list[Any] = ray.get(answers, timeout=ANSWER_WITHIN)
            return found

        return persistently(asked)

    def close(self) -> None:
        """Do nothing: the actors also search other collections."""
