"""Cross-validation: the other folds train the network and are the gallery, each probe walk is named by the nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import models
from models.base import GaitNetwork
from models.distance import part_distances
from training.config import DataTable, TrainingConfig
from training.datasets import Dataset, open_dataset
from training.errors import BadTrainingConfig
from training.evaluation.embedding import embed_dataset
from training.evaluation.metrics import error_curve
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
        equal_error_rate: one to one, over all pairs of a probe and a gallery walk: it tells networks apart that rank-1
            does not.
    """

    fold: int
    probes: int
    gallery: int
    hits: int
    equal_error_rate: float

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
    train_walks, probe_walks = stratified_folds(walks, table.folds or 0)[table.fold]
    gallery, probes = (
        embed_dataset(net, Dataset(walks.name, tuple(walks[i] for i in chosen)), scaled=table.scaled)
        for chosen in (train_walks, probe_walks)
    )
    distances = part_distances(probes.embeddings, gallery.embeddings).numpy()
    mates = probes.subjects[:, None] == gallery.subjects
    hits = int(mates[np.arange(len(mates)), distances.argmin(axis=1)].sum())
    curve = error_curve(distances[mates], distances[~mates])
    return FoldResult(table.fold, len(probe_walks), len(gallery.samples), hits, curve.equal_error_rate)
