"""Camera centring: what a view does to everybody's embedding, told from other people, is taken off before distances.

A camera sees unlabelled passers-by; the mean of their embeddings is the camera's, not anybody's. Nothing of a probe's
own person goes into the mean that is taken off the probe.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.datasets.errors import BadDataset

Array = npt.NDArray[Any]


def centred_probes(embeddings: Tensor, subjects: Array, views: Array) -> Tensor:
    """Each embedding less the mean of its view over everybody else: passers-by of the same camera.

    People weigh alike, however many walks there are of each.

    Args:
        embeddings: float32 (N, P, C).
        subjects, views: (N,).

    Raises:
        BadDataset: a view has one person alone, so that nobody else tells what it does.
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
    """Each embedding less the mean of its view over the gallery, people weighing alike; shapes as above."""
    out = embeddings.clone()
    for view in np.unique(views):
        here = np.flatnonzero(views == view)
        people, which = np.unique(subjects[here], return_inverse=True)
        out[here] -= torch.stack([embeddings[here[which == i]].mean(0) for i in range(len(people))]).mean(0)
    return out
