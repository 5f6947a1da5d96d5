"""Camera centring: a view's own shift goes, a probe's own person never tells it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gaitkeeper.models.distance import part_distances
from gaitkeeper.training.datasets.sample import Inputs, Sample
from gaitkeeper.training.errors import BadDataset
from gaitkeeper.training.evaluation.centring import centred_gallery, centred_probes
from gaitkeeper.training.evaluation.embedding import Embedded
from gaitkeeper.training.evaluation.evaluate import EvaluationSettings, evaluate_embedded
from gaitkeeper.training.evaluation.protocols import find_protocol


def _people(people: int = 6, shift: float = 9.0) -> Embedded:
    """PsyMo's normal walks: everybody's own point, the second view moved by far more than people differ."""
    generator = torch.Generator().manual_seed(0)
    own, shifted = torch.randn(people, 2, 8, generator=generator), torch.randn(2, 8, generator=generator)
    samples, rows = [], []
    for person in range(people):
        for take in ("0", "1"):
            for view, moved in (("0-0", 0.0), ("90-0", shift)):
                samples.append(Sample(str(person), "nm", view, take, lambda: Inputs(joints=np.zeros((1, 17, 3)))))
                rows.append(own[person] + moved * shifted + 0.01 * torch.randn(2, 8, generator=generator))
    return Embedded(tuple(samples), torch.stack(rows), {})


def test_a_view_that_shifts_everybody_is_seen_through():
    walks = _people()
    plain, centred = (
        evaluate_embedded(walks, find_protocol("psymo"), EvaluationSettings(replicates=5, centring=centring))
        for centring in (False, True)
    )
    assert plain.rows["NM"].groups["across"].identification.metrics["rank_1"].value < 0.5
    assert centred.rows["NM"].groups["across"].identification.metrics["rank_1"].value > 0.8


def test_a_probe_is_centred_by_other_people_alone():
    x = torch.randn(6, 2, 4, generator=torch.Generator().manual_seed(1))
    subjects = np.array(["a", "a", "b", "b", "b", "c"])
    views = np.array(["front"] * 6)
    found = centred_probes(x, subjects, views)
    others = (x[2:5].mean(0) + x[5]) / 2  # people weigh alike
    torch.testing.assert_close(found[:2], x[:2] - others)
    moved = x.clone()
    moved[0] += 100  # what the probe's own person did elsewhere changes nothing for them
    torch.testing.assert_close(centred_probes(moved, subjects, views)[1], found[1])


def test_gallery_means_are_the_gallerys():
    x = torch.randn(4, 2, 4, generator=torch.Generator().manual_seed(2))
    found = centred_gallery(x, np.array(["a", "b", "a", "b"]), np.array(["front", "front", "side", "side"]))
    torch.testing.assert_close(found[0], x[0] - (x[0] + x[1]) / 2)
    assert torch.allclose(part_distances(found[:2], found[:2]), part_distances(x[:2], x[:2]), atol=1e-5)


def test_a_view_of_one_person_is_an_error():
    with pytest.raises(BadDataset, match="one person"):
        centred_probes(torch.zeros(2, 1, 1), np.array(["a", "a"]), np.array(["x", "x"]))
