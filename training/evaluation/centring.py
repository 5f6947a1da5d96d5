"""Camera centring: subtract the mean embedding of other people in the same view before computing distances.

A camera sees unlabelled passers-by; the mean of their embeddings describes the camera, not a person. The mean that is
subtracted from a probe contains no walk of the probe's own person.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gaitkeeper.training.errors import BadDataset

Array = npt.NDArray[Any]


def centred_probes(embeddings: Tensor, subjects: Array, views: Array) -> Tensor:
    """Each embedding minus the mean of its view over all other people: passers-by of the same camera.

    People have equal weight, independent of their number of walks.

    Args:
        embeddings: float32 (N, P, C).
        subjects, views: (N,).

    Raises:
        BadDataset: a view has only one person, so its mean over other people does not exist.
    """
    out = embeddings.clone()
    for view in np.unique(views):
        here = np.flatnonzero(views == view)
        people, which = np.unique(subjects[here], return_inverse=True)
        if len(people) < 2:
            raise BadDataset(f"Only one person is seen in the view {view!r}; centring needs others.")
        means = torch.stack([embeddings[here[which == i]].mean(0) for i in range(len(people))])
        others = (means.sum(0) - means) / (len(people) - 1)
        out[here] -= others[which]
    return out


def centred_gallery(embeddings: Tensor, subjects: Array, views: Array) -> Tensor:
    """Each embedding minus the mean of its view over the gallery, with equal weight per person; shapes as above."""
    out = embeddings.clone()
    for view in np.unique(views):
        here = np.flatnonzero(views == view)
        people, which = np.unique(subjects[here], return_inverse=True)
        out[here] -= torch.stack([embeddings[here[which == i]].mean(0) for i in range(len(people))]).mean(0)
    return out
