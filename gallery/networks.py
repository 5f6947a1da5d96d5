"""Finds the network that made a collection's embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import models
from models import GaitNetwork
from models.errors import GaitkeeperError
from models.weights import manifest
from pipelines.fingerprint import Fingerprint, fingerprint_of


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
