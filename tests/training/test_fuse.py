"""Networks fused by the shares that they are given."""

from __future__ import annotations

import pytest
import torch

from gaitkeeper import models
from gaitkeeper.models.distance import part_distances
from gaitkeeper.training.datasets import Dataset
from gaitkeeper.training.errors import BadTrainingConfig
from gaitkeeper.training.evaluation.embedding import embed_dataset
from gaitkeeper.training.fuse import fuse, stranger_distance


def small() -> list[models.GaitNetwork]:
    part = models.build("gaitpart", seed=0, channels=(4, 8, 16), embed_dim=12, num_classes=3).eval()
    pose = models.build("jointsgait", seed=1, channels=(8,) * 9, embed_dim=20).eval()
    return [part, pose]


def test_members_count_by_their_shares_whatever_their_units(rendered_walks: Dataset) -> None:
    nets = small()
    fused = fuse(nets, (3, 1), rendered_walks)
    alone = [embed_dataset(net, rendered_walks) for net in nets]
    together = embed_dataset(fused, rendered_walks).embeddings
    expected = sum(
        share * part_distances(e.embeddings, e.embeddings) / stranger_distance(e, 0)
        for share, e in zip((0.75, 0.25), alone, strict=True)
    )
    torch.testing.assert_close(part_distances(together, together), expected, rtol=1e-3, atol=1e-3)
    assert stranger_distance(embed_dataset(fused, rendered_walks), 0) == pytest.approx(1, rel=0.1)


def test_what_cannot_be_fused_is_refused(rendered_walks: Dataset) -> None:
    with pytest.raises(BadTrainingConfig, match="share"):
        fuse(small(), (1,), rendered_walks)
    with pytest.raises(BadTrainingConfig, match="share"):
        fuse(small(), (1, 0), rendered_walks)
    with pytest.raises(BadTrainingConfig, match="cannot be fused"):
        fuse([fuse(small(), (1, 1), rendered_walks), models.build("gei").eval()], (1, 1), rendered_walks)
