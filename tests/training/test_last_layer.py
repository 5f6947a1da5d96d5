"""The last layer in closed form: directions that tell people apart, folded into the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gaitkeeper import models
from gaitkeeper.training.datasets import Dataset, walks_for
from gaitkeeper.training.errors import BadTrainingConfig
from gaitkeeper.training.evaluation.embedding import embed_dataset
from gaitkeeper.training.last_layer import discriminants, refit


def test_the_direction_in_which_people_differ_is_found() -> None:
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(20), 30)
    x = rng.normal(size=(600, 6)) * np.array([10.0, 1, 1, 1, 1, 1])  # the first axis is loud and nobody's
    x[:, 3] += 4 * rng.normal(size=20)[who]
    projection = discriminants(x, who, 2, ridge=0.0)
    first = projection[:, 0] / np.linalg.norm(projection[:, 0])
    assert abs(first[3]) > 0.99
    found = x @ projection
    within = (found - np.stack([found[who == i].mean(0) for i in range(20)])[who]).std(0)
    assert within[0] > 3 * within[1]  # an axis that tells nobody apart hardly counts in the distance


def test_all_directions_count_alike_if_asked_to() -> None:
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(20), 30)
    x = rng.normal(size=(600, 6)) * np.array([10.0, 1, 1, 1, 1, 1])
    x[:, 3] += 4 * rng.normal(size=20)[who]
    found = x @ discriminants(x, who, 6, ridge=0.0, weigh=False)
    means = np.stack([found[who == i].mean(0) for i in range(20)])
    within = np.cov((found - means[who]).T) * 599 / 580
    np.testing.assert_allclose(within, np.eye(6), atol=1e-6)


@pytest.mark.parametrize(("name", "parts"), [("gaitpart", 16), ("gstsn", 45)])
def test_the_new_network_is_the_old_one_times_a_matrix(name: str, parts: int, rendered_walks: Dataset) -> None:
    net = models.build(name, seed=0, channels=(4, 8, 16), embed_dim=12, num_classes=7).eval()
    out = refit(net, rendered_walks, dims=5)
    assert out.out_shape == (parts, 5)
    old, new = (embed_dataset(each, rendered_walks).embeddings for each in (net, out))
    solution = torch.linalg.lstsq(old.transpose(0, 1), new.transpose(0, 1)).solution
    torch.testing.assert_close(old.transpose(0, 1) @ solution, new.transpose(0, 1), rtol=1e-3, atol=1e-3)
    people, who = np.unique([s.subject for s in rendered_walks], return_inverse=True)
    for part in (0, 7, 15):

        def share(x: torch.Tensor, part: int = part) -> float:
            means = torch.stack([x[who == i, part].mean(0) for i in range(len(people))])
            return float(means.var(0).sum() / (x[:, part] - means[who]).var(0).sum())

        assert share(new) > share(old)


def test_a_network_that_normalises_its_embeddings_does_so_after_the_matrix(rendered_pack: Path) -> None:
    walks = walks_for([net := tiny_gaitheat()], rendered_pack)
    walks = Dataset("some", walks.samples[::3])
    out = refit(net, walks, dims=6)
    old, new = (embed_dataset(each, walks).embeddings.double().numpy() for each in (net, out))
    assert np.linalg.norm(new, axis=2) == pytest.approx(1)
    _, who = np.unique([s.subject for s in walks], return_inverse=True)
    for part in range(4):
        expected = old[:, part] @ discriminants(old[:, part], who, 6, 0.1)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(new[:, part], expected, atol=1e-2)
    with pytest.raises(BadTrainingConfig, match="5 dims"):
        refit(net, walks, dims=5)


def tiny_gaitheat() -> models.GaitNetwork:
    """With a norm that does something."""
    config = {"channels": (4, 4, 8, 8), "stem_stride": 2, "parts": 4, "embed_dim": 6, "num_classes": 7}
    net = models.build("gaitheat", seed=0, **config)
    norm = net.get_submodule("heads.main.norm")
    generator = torch.Generator().manual_seed(0)
    for name in ("weight", "bias", "running_mean", "running_var"):
        tensor = getattr(norm, name)
        tensor.data = 0.5 + torch.rand(tensor.shape, generator=generator)
    return net.eval()


def test_what_cannot_be_fitted_is_refused(rendered_walks: Dataset) -> None:
    with pytest.raises(BadTrainingConfig, match="gei"):
        refit(models.build("gei"), rendered_walks)
    with pytest.raises(BadTrainingConfig, match="8 people"):
        refit(models.build("gaitpart", seed=0, channels=(4, 8, 16), embed_dim=12), rendered_walks, dims=8)
