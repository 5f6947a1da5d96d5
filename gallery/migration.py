"""Migration of a collection to another network: embeds its stored sequences again, and switches atomically."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import torch

from gaitkeeper.gallery.errors import BadEmbedding, Conflict, FingerprintMismatch, NotFound, ShadowBehind
from gaitkeeper.gallery.names import COMPANIONS, companion_of
from gaitkeeper.gallery.stores.protocol import Store
from gaitkeeper.gallery.types import Collection
from gaitkeeper.models import GaitNetwork
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.errors import HeatmapsMissing
from gaitkeeper.pipelines.fingerprint import Fingerprint, fingerprint_of
from gaitkeeper.pipelines.sequence import GaitSequence

BATCH = 64  # templates per batch, embedded and written together
WRITERS = 16  # parallel writes, because each waits for the disk

Progress = Callable[[int, int], None]
"""Progress callback: takes the number of migrated templates and the total."""


def migrate(store: Store, collection: str, network: GaitNetwork, on_progress: Progress | None = None) -> Collection:
    """Migrate a collection to another network, from its stored sequences. Searches and enrolments continue.

    Its strangers and passers-by are migrated after the collection has switched.

    The new embeddings form a shadow, which is not searched, until every template has one. Then the store switches in
    one step. An interrupted migration is continued.

    Args:
        store: store of the collection.
        collection: name of the collection.
        network: the new network.
        on_progress: called after each batch.

    Returns:
        The collection after the migration.

    Raises:
        NotFound: there is no such collection.
        Conflict: the collection is empty, has this network already, or is being migrated to another one.
        HeatmapsMissing: the network reads heatmaps, and the sequences were stored without them.
        BadEmbedding: the network returned an embedding that is not finite.
    """
    moved = _moved(store, collection, network, on_progress)
    _take_along(store, moved, lambda fingerprint: network)
    return moved


def move_along(store: Store, companion: str, network: GaitNetwork) -> None:
    """Migrate the companions of a collection to its new network. This step cannot be reverted separately."""
    with suppress(Conflict, NotFound):  # it is migrated already, is empty, or another process migrates it
        _moved(store, companion, network, None)
        store.drop_shadow(companion)


def _take_along(store: Store, moved: Collection, network_of: Callable[[Fingerprint], GaitNetwork]) -> None:
    for kind in COMPANIONS:
        with suppress(NotFound, FingerprintMismatch):  # without the network here, it is migrated at the next write
            companion = store.collection(companion_of(moved.name, kind))
            if moved.fingerprint and companion.fingerprint not in (None, moved.fingerprint):
                move_along(store, companion.name, network_of(moved.fingerprint))


def _moved(store: Store, collection: str, network: GaitNetwork, on_progress: Progress | None) -> Collection:
    found = store.collection(collection)
    if found.fingerprint is None:
        raise Conflict(
            f"The collection {collection!r} is empty: there is nothing to migrate. Enrol with the new network."
        )
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
    """Return to the embeddings that were live before the last migration. Later enrolments are embedded first.

    The companions are embedded again by the former network, if it is available.

    Args:
        store: store of the collection.
        collection: name of the collection.
        network_of: returns the former network. Only called if there are later enrolments.
        on_progress: as of :func:`migrate`, of the collection itself.

    Raises:
        NotFound: there is no such collection.
        Conflict: the collection was not migrated.
        FingerprintMismatch: the former network is needed and not available.
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
        return store.flip(collection, back=True)
    except ShadowBehind:
        shadow = store.collection(collection).shadow
        if shadow is None:
            raise
    network = network_of(shadow.fingerprint)
    fingerprint = fingerprint_of(network, shadow.fingerprint.perception)
    return _complete(store, collection, network, fingerprint, partial(store.flip, back=True), on_progress)


def _complete(
    store: Store,
    collection: str,
    network: GaitNetwork,
    fingerprint: Fingerprint,
    change_over: Callable[[str], Collection],
    on_progress: Progress | None,
) -> Collection:
    """Embed the templates missing in the shadow until none is missing, then switch."""
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
                continue  # new templates were enrolled in the meantime


def _embed(
    store: Store,
    collection: str,
    network: GaitNetwork,
    fingerprint: Fingerprint,
    templates: Sequence[str],
    writers: ThreadPoolExecutor,
) -> None:
    """Set the embeddings of some templates in the shadow. Templates removed in the meantime are skipped."""

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
        raise BadEmbedding(f"The network {network.name!r} returned an embedding that is not finite.")
    list(writers.map(write, found, range(len(found))))
