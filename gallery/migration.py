"""Moving a collection to another network: its stored sequences are embedded anew, and all of it changes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import torch

from gallery.errors import BadEmbedding, Conflict, FingerprintMismatch, NotFound, ShadowBehind
from gallery.names import COMPANIONS, companion_of
from gallery.stores.protocol import Store
from gallery.types import Collection
from models import GaitNetwork
from pipelines.embed import embed
from pipelines.errors import HeatmapsMissing
from pipelines.fingerprint import Fingerprint, fingerprint_of
from pipelines.sequence import GaitSequence

BATCH = 64  # templates at a time, embedded and written together
WRITERS = 16  # side by side: each write waits for the disk

Progress = Callable[[int, int], None]
"""Told how many templates have an embedding of the other network, and how many there are."""


def migrate(store: Store, collection: str, network: GaitNetwork, on_progress: Progress | None = None) -> Collection:
    """Move a collection to another network, from the sequences that it keeps; searches and enrolments go on.

    What is kept beside it, strangers and passers-by, moves along once the collection has changed over.

    The new embeddings are kept as a shadow that nobody searches until every template has one; the store then changes
    over in one step. What was done before an interruption is taken up again.

    Args:
        store: holds the collection.
        collection: its name.
        network: the one to move to.
        on_progress: told after each batch.

    Returns:
        The collection as it stands after the move.

    Raises:
        NotFound: there is no such collection.
        Conflict: it is empty, has this network already, or is half-way to another one.
        HeatmapsMissing: the network reads heatmaps, and the sequences were kept without.
        BadEmbedding: the network gave numbers that are no embedding.
    """
    moved = _moved(store, collection, network, on_progress)
    _take_along(store, moved, lambda fingerprint: network)
    return moved


def move_along(store: Store, companion: str, network: GaitNetwork) -> None:
    """Move what is kept beside a collection to the network that this has moved to; there is no way back of its own."""
    with suppress(Conflict, NotFound):  # it is there already, is empty, or another process is at it
        _moved(store, companion, network, None)
        store.drop_shadow(companion)


def _take_along(store: Store, moved: Collection, network_of: Callable[[Fingerprint], GaitNetwork]) -> None:
    for kind in COMPANIONS:
        with suppress(NotFound, FingerprintMismatch):  # without its network here, it moves once it is written to
            companion = store.collection(companion_of(moved.name, kind))
            if moved.fingerprint and companion.fingerprint not in (None, moved.fingerprint):
                move_along(store, companion.name, network_of(moved.fingerprint))


def _moved(store: Store, collection: str, network: GaitNetwork, on_progress: Progress | None) -> Collection:
    found = store.collection(collection)
    if found.fingerprint is None:
        raise Conflict(f"The collection {collection!r} is empty: there is nothing to move, so just enrol with it.")
    if "heatmaps" in network.inputs and not found.keeps_heatmaps:
        raise HeatmapsMissing(f"The network {network.name!r} reads heatmaps, which {collection!r} does not keep.")
    fingerprint = fingerprint_of(network, found.fingerprint.perception)
    store.begin_shadow(collection, fingerprint)
    return _complete(store, collection, network, fingerprint, store.flip, on_progress)


def rollback(
    store: Store,
    collection: str,
    network_of: Callable[[Fingerprint], GaitNetwork],
    on_progress: Progress | None = None,
) -> Collection:
    """Go back to the embeddings that were live before the last move; what was enrolled since is embedded first.

    What is kept beside the collection is embedded anew by the former network, where that is here.

    Args:
        store: holds the collection.
        collection: its name.
        network_of: gives the former network, asked only where something was enrolled since.
        on_progress: as of :func:`migrate`, of the collection itself.

    Raises:
        NotFound: there is no such collection.
        Conflict: it has not been moved.
        FingerprintMismatch: the former network is not here any more, and is needed.
    """
    moved = _rolled_back(store, collection, network_of, on_progress)
    _take_along(store, moved, network_of)
    return moved


def _rolled_back(
    store: Store,
    collection: str,
    network_of: Callable[[Fingerprint], GaitNetwork],
    on_progress: Progress | None,
) -> Collection:
    try:
        return store.rollback(collection)
    except ShadowBehind:
        shadow = store.collection(collection).shadow
        if shadow is None:
            raise
    network = network_of(shadow.fingerprint)
    fingerprint = fingerprint_of(network, shadow.fingerprint.perception)
    return _complete(store, collection, network, fingerprint, store.rollback, on_progress)


def _complete(
    store: Store,
    collection: str,
    network: GaitNetwork,
    fingerprint: Fingerprint,
    change_over: Callable[[str], Collection],
    on_progress: Progress | None,
) -> Collection:
    """Embed what the shadow lacks until nothing is missing, and change over."""
    with ThreadPoolExecutor(WRITERS) as writers:
        while True:
            while missing := store.shadow_missing(collection, BATCH):
                _embed(store, collection, network, fingerprint, missing, writers)
                shadow = store.collection(collection).shadow
                if on_progress and shadow:
                    on_progress(shadow.templates, shadow.templates + shadow.missing)
            try:
                return change_over(collection)
            except ShadowBehind:
                continue  # somebody was enrolled in the meantime


def _embed(
    store: Store,
    collection: str,
    network: GaitNetwork,
    fingerprint: Fingerprint,
    templates: Sequence[str],
    writers: ThreadPoolExecutor,
) -> None:
    """Give some templates their embeddings in the shadow; those that went in the meantime are let go."""

    def read(template: str) -> GaitSequence | None:
        try:
            return GaitSequence.load(store.sequence(collection, template))
        except NotFound:
            return None

    def write(template: str, row: int) -> None:
        with suppress(NotFound):
            store.put_shadow(collection, template, fingerprint, embeddings[row].numpy())

    found = {t: seq for t, seq in zip(templates, writers.map(read, templates), strict=True) if seq is not None}
    if not found:
        return
    embeddings = embed(list(found.values()), network)
    if not torch.isfinite(embeddings).all():
        raise BadEmbedding(f"The network {network.name!r} gave an embedding that is not finite.")
    list(writers.map(write, found, range(len(found))))
