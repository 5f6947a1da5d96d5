"""Cross-validation over walks: all people are known, and each walk is a probe once."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.model_selection import StratifiedKFold

from gaitkeeper.training.datasets.sample import Array, Dataset
from gaitkeeper.training.errors import BadTrainingConfig


def stratified_folds(walks: Dataset, folds: int, seed: int = 0) -> list[tuple[Array, Array]]:
    """Indices of the training and the probe walks of each fold, with people spread as evenly as possible.

    This is scikit-learn's ``StratifiedKFold(folds, shuffle=True, random_state=seed)`` by person. It refuses data in
    which every person has fewer walks than there are folds, such as the Kinect data set with four to six walks a person
    and ten folds. A stand-in class with enough walks avoids that. Its name sorts last, so it does not change the folds
    of the real people.

    Raises:
        BadTrainingConfig: there are fewer walks than folds.
    """
    if len(walks) < folds:
        raise BadTrainingConfig(f"{len(walks)} walks cannot be divided into {folds} folds.")
    people = np.array([walks.subjects.index(sample.subject) for sample in walks] + [len(walks.subjects)] * folds)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        splits = list(splitter.split(np.zeros(len(people)), people))
    return [(train[train < len(walks)], probe[probe < len(walks)]) for train, probe in splits]
