"""Searchers as Ray actors: each follows the store and searches its share of every collection."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import ray
from ray.actor import ActorHandle

from gallery.search.index import CollectionIndex, Share
from gallery.stores.open import open_store
from gallery.types import Collection
from service.errors import ClusterUnavailable
from service.hosts.cluster import persistently
from service.settings import load_settings

AT_ONCE = 8
"""Calls that one searcher takes at a time; of one collection it searches for one at a time."""


class Searcher:
    """Searches one share, on the store that its own host's settings name.

    Args:
        share: of the subjects.
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
        """What a method of the collection's index gives.

        Raises:
            ClusterUnavailable: the collection was made at another time: this is another store.
        """
        return getattr(self._index(collection, made), method)(*args)

    def _index(self, collection: str, made: datetime) -> CollectionIndex:
        with self._lock:
            if (collection, made) not in self._indices:
                if self._store.collection(collection).created != made:
                    raise ClusterUnavailable(
                        "A searcher has another store: every host needs the same GAITKEEPER_STORE."
                    )
                # One of that name that was deleted meanwhile is forgotten.
                self._indices = {key: index for key, index in self._indices.items() if key[0] != collection}
                self._indices[collection, made] = CollectionIndex(
                    self._store, collection, self._device, self._precision, self._share
                )
            return self._indices[collection, made]


def start_searchers(count: int) -> list[ActorHandle[Any]]:
    """Searchers on as many hosts as there are. They end with this process; one whose host is lost is started on another
    host, where it reads its share anew before it answers."""
    actor: Any = ray.remote(Searcher)
    options = {"max_restarts": -1, "max_task_retries": -1, "max_concurrency": AT_ONCE, "num_cpus": 0}
    return [
        actor.options(scheduling_strategy="SPREAD", **options).remote(Share(number, count)) for number in range(count)
    ]


class RaySearchers:
    """The searchers of one collection; see :class:`gallery.search.sharded.Searchers`.

    Args:
        actors: by :func:`start_searchers`.
        collection: to be searched.
    """

    def __init__(self, actors: list[ActorHandle[Any]], collection: Collection) -> None:
        self._actors = actors
        self._collection = collection.name, collection.created

    def __len__(self) -> int:
        return len(self._actors)

    def ask(self, method: str, *args: Any, only: int | None = None) -> list[Any]:
        """As :meth:`gallery.search.sharded.Searchers.ask`. Raises HostsUnavailable where hosts are lost again and
        again."""
        actors = self._actors if only is None else [self._actors[only]]
        # What is handed to all of them is put into shared memory once.
        shared = ray.put(args) if len(actors) > 1 else args
        return persistently(lambda: ray.get([actor.ask.remote(*self._collection, method, shared) for actor in actors]))

    def close(self) -> None:
        """Nothing: the actors search other collections, too."""
