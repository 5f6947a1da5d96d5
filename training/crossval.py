"""Cross-validation: the other folds train the network and are the gallery, each probe walk is named by the nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import models
from models.base import GaitNetwork
from models.distance import part_distances
from models.inference import embed
from training.batches import arrays
from training.config import DataTable, TrainingConfig
from training.datasets import Sample, open_dataset
from training.errors import BadTrainingConfig
from training.folds import stratified_folds
from training.loop import train


@dataclass(frozen=True)
class FoldResult:
    """Identification of one fold's walks among those of all others.

    Attributes:
        fold: its number.
        probes: walks of the fold.
        gallery: walks of the others, of everybody.
        hits: probes whose nearest gallery walk, by the part-wise distance, is the same person's.
    """

    fold: int
    probes: int
    gallery: int
    hits: int

    @property
    def rank1(self) -> float:
        """Share of hits."""
        return self.hits / self.probes


def cross_validate(config: TrainingConfig, runs: Path, folds: Sequence[int] | None = None) -> list[FoldResult]:
    """Train and test fold after fold, each in ``runs/fold-K``; a fold that was trained before is only tested.

    Raises:
        BadTrainingConfig: the configuration names no number of folds.
    """
    count = config.data.folds
    if count is None:
        raise BadTrainingConfig("The configuration says nothing of folds: set data.folds.")
    results = []
    for fold in folds if folds is not None else range(count):
        chosen = config.model_copy(update={"data": config.data.model_copy(update={"fold": fold})})
        trained = train(chosen, runs / f"fold-{fold}")
        results.append(identify_fold(models.load(trained.weights), chosen.data))
    return results


def identify_fold(net: GaitNetwork, table: DataTable) -> FoldResult:
    """Identify the walks of ``table.fold`` among those of the other folds with a trained network."""
    walks = open_dataset(table.format, table.root)
    gallery, probe = stratified_folds(walks, table.folds or 0)[table.fold]
    enrolled = embed_walks(net, [walks[i] for i in gallery], table)
    sought = embed_walks(net, [walks[i] for i in probe], table)
    nearest = part_distances(sought, enrolled).argmin(dim=1).tolist()
    hits = sum(walks[i].subject == walks[gallery[j]].subject for i, j in zip(probe, nearest, strict=True))
    return FoldResult(table.fold, len(probe), len(gallery), hits)


def embed_walks(net: GaitNetwork, samples: Sequence[Sample], table: DataTable) -> Tensor:
    """Embeddings (N, P, C) of whole walks."""
    out = []
    for sample in samples:
        walk = arrays(sample.load(), net, scaled=table.scaled, min_score=table.min_score)
        tensors = [torch.from_numpy(frames).float()[None] for frames in walk.values()]
        scale = [1 / 255 if name != "joints" else 1.0 for name in walk]
        out.append(embed(net, [x * s for x, s in zip(tensors, scale, strict=True)]))
    return torch.cat(out)
