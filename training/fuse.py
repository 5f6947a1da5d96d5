"""Combine networks into one, whose distance is the weighted sum of their distances: ``gaitkeeper fuse``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from gaitkeeper import models
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.fusion import factors_of
from gaitkeeper.training.datasets import Dataset
from gaitkeeper.training.errors import BadTrainingConfig
from gaitkeeper.training.evaluation.embedding import Embedded, embed_dataset

PAIRS = 200_000
"""Number of pairs of different people's walks, drawn to measure their distances."""


def fuse(
    nets: Sequence[GaitNetwork],
    shares: Sequence[float],
    walks: Dataset,
    *,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> GaitNetwork:
    """One network whose distance is Σ share · distance / scale.

    A member's scale is the median distance between walks of two people, so that the shares do not depend on the
    members' units, and the fused distance of two people is about 1.

    Args:
        nets: the members, which must not be fusions.
        shares: share of each member; only their ratios count.
        walks: walks of people that are not used for tests.
        seed: seed of the draw of pairs.
        on_progress: called with the number of embedded walks, network after network.

    Raises:
        BadTrainingConfig: the networks or shares cannot be fused.
        BadDataset, InputMissing: the walks cannot be read.
    """
    if len(nets) != len(shares) or not nets or min(shares) <= 0:
        raise BadTrainingConfig("Give each network a share above 0.")
    scales = [stranger_distance(embed_dataset(net, walks, on_progress=on_progress), seed) for net in nets]
    weights = tuple(share / sum(shares) / scale for share, scale in zip(shares, scales, strict=True))
    configs, states = zip(*(net.without_classifier() for net in nets), strict=True)
    try:
        fused = models.build(
            "fusion",
            members=tuple(net.name for net in nets),
            options=tuple(tuple(sorted(vars(config).items())) for config in configs),
            factors=factors_of(tuple(net.out_shape for net in nets), weights),
        )
    except ValueError as error:
        raise BadTrainingConfig(f"These networks cannot be fused: {error}.") from error
    for member, state in zip(fused.get_submodule("members").children(), states, strict=True):
        member.load_state_dict(state)
    return fused.eval()


def stranger_distance(embedded: Embedded, seed: int) -> float:
    """Median part-wise distance of different people's walks."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(len(embedded.subjects), size=(2, PAIRS))
    apart = embedded.subjects[a] != embedded.subjects[b]
    x = embedded.embeddings
    distances = [
        torch.linalg.vector_norm(x[i] - x[j], dim=2).mean(dim=1)
        for i, j in zip(np.array_split(a[apart], 200), np.array_split(b[apart], 200), strict=True)
    ]
    return float(torch.cat(distances).median())
