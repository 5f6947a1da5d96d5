"""Fit the last layer in closed form: linear discriminant analysis of every part, folded into the weights.

A network that was trained for an hour has not yet learnt which directions of its embedding depend on the person and
which on the view or the coat. Over many walks of many people this is a generalised eigenvalue problem for each part
(Fisher, Annals of Eugenics 7, 1936; Rao 1948). Embeddings are whitened by the covariance within people, over all views
and clothes, and rotated into the directions in which people differ. Each direction is weighted by the share of its
variance between people, as in probabilistic LDA (Ioffe, ECCV 2006), or all equally, which is within-class covariance
normalisation (Hatch, Kajarekar and Stolcke, Interspeech 2006): real people also differ in directions in which rendered
people hardly do. The last layer is linear, so the product is a linear layer, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from gaitkeeper import models
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.training.datasets import Dataset
from gaitkeeper.training.errors import BadTrainingConfig
from gaitkeeper.training.evaluation.embedding import embed_dataset

Array = npt.NDArray[np.float64]


def refit(
    net: GaitNetwork,
    walks: Dataset,
    *,
    dims: int = 64,
    ridge: float = 0.1,
    weigh: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> GaitNetwork:
    """The same network with a new last layer.

    Args:
        net: a network that supports :meth:`~gaitkeeper.models.base.GaitNetwork.turned`.
        walks: walks of training people, each in several views and clothes.
        dims: C of the new embeddings; at most the old C, and fewer than there are people. GaitHeat's C stays.
        ridge: share of an isotropic covariance that is mixed into the one within people, in [0, 1).
        weigh: weight each direction by the share of its variance between people; False leaves all equal.
        on_progress: called with the number of embedded walks.

    Raises:
        BadTrainingConfig: the network does not support it, or there are too few walks.
        BadDataset, InputMissing: the walks cannot be read.
    """
    parts, width = net.out_shape
    if net.turned(torch.zeros(parts, width, dims, dtype=torch.float64)) is None:
        raise BadTrainingConfig(
            f"{net.name} does not end in one linear layer a part that could be fitted to {dims} dims."
        )
    embedded = embed_dataset(net, walks, on_progress=on_progress)
    people, who = np.unique(embedded.subjects, return_inverse=True)
    if not 0 < dims <= min(width, len(people) - 1) or len(who) < 2 * len(people):
        raise BadTrainingConfig(
            f"{dims} dims cannot be fitted to {len(who)} walks of {len(people)} people, C = {width}."
        )
    x = embedded.embeddings.double().numpy()
    turns = torch.from_numpy(np.stack([discriminants(x[:, part], who, dims, ridge, weigh) for part in range(parts)]))
    state = net.turned(turns)
    assert state is not None
    out = models.build(net.name, **{**vars(net.without_classifier()[0]), "embed_dim": dims}).eval()
    out.load_state_dict(state)
    _check(net, out, walks, turns.float())
    return out


def discriminants(x: Array, who: npt.NDArray[np.intp], dims: int, ridge: float, weigh: bool = True) -> Array:
    """A projection (C, dims), best direction first.

    Args:
        x: (N, C).
        who: (N,) indices of people.
        dims: at most C.
        ridge, weigh: as in :func:`refit`.
    """
    counts = np.bincount(who)
    means = np.stack([np.bincount(who, column) / counts for column in x.T], 1)
    off = x - means[who]
    within = off.T @ off / (len(x) - len(counts))
    between = np.cov(means.T) - within * np.mean(1 / counts)
    size = np.trace(within) / len(within)
    values, axes = np.linalg.eigh((1 - ridge) * within + ridge * size * np.eye(len(within)))
    white = axes / np.sqrt(values)
    gains, turn = np.linalg.eigh(white.T @ between @ white)
    best = np.argsort(-gains)[:dims]
    gain = np.maximum(gains[best], 0.0)
    projection: Array = white @ turn[:, best] * (np.sqrt(gain / (1 + gain)) if weigh else 1.0)
    return projection


def _check(net: GaitNetwork, out: GaitNetwork, walks: Dataset, turns: Tensor) -> None:
    """Check that nothing after the layer changes the effect of the product."""
    one = Dataset(walks.name, walks.samples[:1])
    before, after = (embed_dataset(each, one).embeddings for each in (net, out))
    expected = torch.bmm(before.transpose(0, 1), turns).transpose(0, 1)
    if net.unit_length:
        expected = F.normalize(expected, dim=2)
    if not torch.allclose(after, expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max())):
        raise BadTrainingConfig(f"{net.name} does not end in its linear layer.")
