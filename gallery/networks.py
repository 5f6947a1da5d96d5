"""The network of a collection: found by its fingerprint, loaded on first use, and replaced after a migration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from gaitkeeper import models
from gaitkeeper.gallery.errors import BadEmbedding, FingerprintMismatch
from gaitkeeper.gallery.stores.protocol import Records
from gaitkeeper.models import GaitNetwork
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.models.weights import manifest
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.fingerprint import Fingerprint, fingerprint_of
from gaitkeeper.pipelines.sequence import GaitSequence

T = TypeVar("T")

Embed = Callable[[Sequence[GaitSequence], GaitNetwork], Tensor]
"""Embeds sequences like :func:`gaitkeeper.pipelines.embed.embed`, locally or on another host."""

DEFAULT_NETWORK = "fusion"


def network_of(fingerprint: Fingerprint, known: Iterable[str | Path] = ()) -> GaitNetwork:
    """The network of a fingerprint, in eval mode on the CPU.

    Args:
        fingerprint: the fingerprint of a collection.
        known: names or paths for ``models.load`` to try, in addition to the manifest.

    Returns:
        The network with this fingerprint. If there is none, the network with the same name; the later fingerprint check
        rejects it.

    Raises:
        UnknownNetwork, WeightsMissing, WeightsCorrupt: there is no network of this name either.
    """
    listed = [e.name for e in manifest().values() if e.kind == "network" and e.sha256.startswith(fingerprint.weights)]
    for source in (*listed, fingerprint.network, *known):
        try:
            network = models.load(source)
        except GaitkeeperError:
            continue
        if fingerprint_of(network, fingerprint.perception) == fingerprint:
            return network
    return models.load(fingerprint.network)


class EmbedOnce:
    """Embeds each sequence once with each network, and remembers the result. Meant for one request, in one thread.

    Args:
        by: embeds sequences that are not remembered.
    """

    def __init__(self, by: Embed) -> None:
        self._by = by
        self._known: dict[tuple[int, int], tuple[GaitSequence, GaitNetwork, Tensor]] = {}  # by identity, hence kept

    def __call__(self, seqs: Sequence[GaitSequence], net: GaitNetwork) -> Tensor:
        """As :func:`gaitkeeper.pipelines.embed.embed`."""
        if not seqs:
            return self._by(seqs, net)
        if new := [seq for seq in seqs if (id(seq), id(net)) not in self._known]:
            for seq, embedding in zip(new, self._by(new, net), strict=True):
                self._known[id(seq), id(net)] = seq, net, embedding
        return torch.stack([self._known[id(seq), id(net)][2] for seq in seqs])


class PinnedNetwork:
    """The network that computes the embeddings of one collection.

    Args:
        store: store of the collection.
        collection: name of the collection.
        wanted, device, fallback: as ``network``, ``device`` and ``fallback`` of :class:`gaitkeeper.gallery.Gallery`.
    """

    def __init__(
        self,
        store: Records,
        collection: str,
        wanted: GaitNetwork | str | Path | None,
        device: str,
        fallback: str | Path | None,
    ) -> None:
        self._store = store
        self._collection = collection
        self._wanted = wanted
        self._device = device
        self._fallback = fallback
        self._network = wanted if isinstance(wanted, GaitNetwork) else None

    @property
    def network(self) -> GaitNetwork:
        """The last known network, loaded on first use."""
        if self._network is None:
            self._network = self._load()
        return self._network

    def following(self, act: Callable[[GaitNetwork], T]) -> T:
        """Run ``act`` with the collection's network. Repeated if the collection moved to another network in the
        meantime.

        Raises:
            FingerprintMismatch: ``act`` raised it, and the network is the caller's choice or there is no other.
        """
        while True:
            network = self.network
            try:
                return act(network)
            except FingerprintMismatch:
                if self._wanted is not None:
                    raise
                fresh = self._load()
                if (fresh.name, fresh.weights_id) == (network.name, network.weights_id):
                    raise
                self._network = fresh

    def _load(self) -> GaitNetwork:
        if isinstance(self._wanted, GaitNetwork):
            return self._wanted
        if self._wanted is not None:
            return models.load(self._wanted).to(self._device)
        pinned = self._store.collection(self._collection).fingerprint
        known = () if self._fallback is None else (self._fallback,)
        network = models.load(self._fallback or DEFAULT_NETWORK) if pinned is None else network_of(pinned, known)
        return network.to(self._device)


def embedded(network: GaitNetwork, seqs: Sequence[GaitSequence], by: Embed = embed) -> Tensor:
    """Embeddings of sequences, finite float32 (N, P, C). Raises BadEmbedding if they are not finite."""
    embeddings = by(seqs, network)
    if not torch.isfinite(embeddings).all():
        raise BadEmbedding(f"The network {network.name!r} returned an embedding that is not finite.")
    return embeddings
