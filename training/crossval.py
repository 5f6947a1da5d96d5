"""Cross-validation: the other folds are the training set and the gallery; the nearest walk names each probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gaitkeeper import models
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.distance import part_distances
from gaitkeeper.training.config import DataTable, TrainingConfig
from gaitkeeper.training.datasets import Dataset, open_dataset
from gaitkeeper.training.errors import BadTrainingConfig
from gaitkeeper.training.evaluation.embedding import embed_dataset
from gaitkeeper.training.evaluation.metrics import error_curve
from gaitkeeper.training.folds import stratified_folds
from gaitkeeper.training.loop import train


@dataclass(frozen=True)
class FoldResult:
    """Identification of one fold's walks among those of all other folds.

    Attributes:
        fold: number of the fold.
        probes: number of walks of the fold.
        gallery: number of walks of the other folds, of all people.
        hits: probes whose nearest gallery walk, by the part-wise distance, is of the same person.
        equal_error_rate: one to one, over all pairs of a probe and a gallery walk; it separates networks with equal
            rank-1.
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


def cross_validate(
    config: TrainingConfig, runs: Path, folds: Sequence[int] | None = None, *, anyway: bool = False
) -> list[FoldResult]:
    """Train and test fold after fold, each in ``runs/fold-K``; a fold that was trained before is only tested.

    Raises:
        BadTrainingConfig: the configuration does not set the number of folds.
    """
    count = config.data.folds
    if count is None:
        raise BadTrainingConfig("The configuration has no folds: set data.folds.")
    results = []
    for fold in folds if folds is not None else range(count):
        chosen = config.model_copy(update={"data": config.data.model_copy(update={"fold": fold})})
        trained = train(chosen, runs / f"fold-{fold}", anyway=anyway)
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
