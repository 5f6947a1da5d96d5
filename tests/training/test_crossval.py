"""Cross-validation over walks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from making import kinect_config, write_kinect
from sklearn.metrics import det_curve
from sklearn.model_selection import StratifiedKFold

from gaitkeeper import models
from gaitkeeper.training.batches import training_walks
from gaitkeeper.training.crossval import cross_validate
from gaitkeeper.training.datasets import Dataset, Inputs, Sample, open_dataset
from gaitkeeper.training.errors import BadTrainingConfig
from gaitkeeper.training.evaluation.embedding import embed_dataset
from gaitkeeper.training.folds import stratified_folds


def dataset(walks: list[int]) -> Dataset:
    def unread() -> Inputs:
        raise AssertionError

    return Dataset(
        "made", tuple(Sample(f"{p:03d}", "", "", str(t), unread) for p, count in enumerate(walks) for t in range(count))
    )


def test_folds_are_scikit_learns_where_it_has_them() -> None:
    walks = dataset([5, 4, 6, 5])
    people = [walks.subjects.index(sample.subject) for sample in walks]
    theirs = StratifiedKFold(4, shuffle=True, random_state=0).split(np.zeros(len(people)), people)
    for ours, expected in zip(stratified_folds(walks, 4), theirs, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, expected, strict=True))


def test_more_folds_than_anybody_has_walks() -> None:
    walks = dataset([5] * 30 + [4, 6])
    folds = stratified_folds(walks, 10)
    probes = np.concatenate([probe for _, probe in folds])
    assert sorted(probes) == list(range(160))
    for train, probe in folds:
        assert not set(train) & set(probe)
        assert {walks[i].subject for i in train} == set(walks.subjects)
        assert 15 <= len(probe) <= 17
        assert len({walks[i].subject for i in probe}) == len(probe)
    with pytest.raises(BadTrainingConfig, match="160 walks"):
        stratified_folds(walks, 161)


def test_a_fold_is_trained_without_and_named_by_the_others(tmp_path: Path) -> None:
    root = write_kinect(tmp_path / "data")
    config = kinect_config(root, steps=2, data={"folds": 4})
    results = cross_validate(config, tmp_path / "runs", [1, 3])
    assert [r.fold for r in results] == [1, 3]
    everybody = open_dataset("kinect", root)
    for result in results:
        table = config.data.model_copy(update={"fold": result.fold})
        train, probe = stratified_folds(everybody, 4)[result.fold]
        trained_on = training_walks(config.model_copy(update={"data": table}))
        assert [(s.subject, s.take) for s in trained_on] == [(everybody[i].subject, everybody[i].take) for i in train]
        net = models.load(max((tmp_path / "runs" / f"fold-{result.fold}").glob("step-*")) / "weights.safetensors")
        embeddings = embed_dataset(net, everybody).embeddings.double().numpy()
        hits, wrong, right = 0, [], []
        for i in probe:
            distances = [np.linalg.norm(embeddings[i] - embeddings[j], axis=1).mean() for j in train]
            hits += everybody[train[int(np.argmin(distances))]].subject == everybody[i].subject
            for j, distance in zip(train, distances, strict=True):
                (right if everybody[j].subject == everybody[i].subject else wrong).append(distance)
        assert (result.hits, result.probes, result.gallery) == (hits, len(probe), len(train))
        assert result.rank1 == hits / len(probe)
        fmr, fnmr, _ = det_curve([0] * len(wrong) + [1] * len(right), -np.array(wrong + right))
        crossing = np.argmin(np.abs(fmr - fnmr))
        least = 1 / len(right)  # a step of the curve: scikit-learn does not interpolate
        assert abs(result.equal_error_rate - (fmr[crossing] + fnmr[crossing]) / 2) <= least


def test_without_folds_there_is_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadTrainingConfig, match="folds"):
        cross_validate(kinect_config(write_kinect(tmp_path / "data")), tmp_path / "runs")
