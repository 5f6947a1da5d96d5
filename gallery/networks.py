"""The network that made a collection's embeddings."""

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
        fingerprint: what a collection is pinned to.
        known: names or paths for ``models.load`` to look among, beside all that is in the manifest.

    Returns:
        That very network; where none here is, the one of its name, whose fingerprint will not be the collection's and
        will be refused for it.

    Raises:
        UnknownNetwork, WeightsMissing, WeightsCorrupt: there is not even one of its name.
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
