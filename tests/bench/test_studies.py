"""What the ablations would run."""

from __future__ import annotations

from dataclasses import fields
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.studies import PACKS, average_body, studies, untrained
from gaitkeeper.training.datasets import load_partition
from gaitkeeper.training.walkers.anthropometry import Shape
from gaitkeeper.training.walkers.sets import SETS


def test_every_row_is_a_training_that_differs_from_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAITKEEPER_TEST_DATA", str(tmp_path))
    for name, study in studies().items():
        rows = [study.configuration(row, 1) for row in study.rows]
        assert all(config != rows[0] for config in rows[1:]), name
        assert all(config.seed == 1 for config in rows)
        for config in rows:
            if config.data.partition is not None:
                assert config.data.part in load_partition(config.data.partition).parts
        assert set(study.packs) <= set(PACKS)


def test_an_average_body_keeps_its_height_and_loses_its_own_flesh() -> None:
    takes = list(islice(SETS["walkers-xl"].takes(Path("none"), 0, PACKS["train"].size), 30))
    made = [average_body(take) for take in takes]
    assert [m.shape.stature.item() for m in made] == [t.shape.stature.item() for t in takes]
    for field in fields(Shape):
        if field.name != "stature":
            values = torch.cat([getattr(m.shape, field.name) for m in made])
            assert (values == values[0]).all(), field.name
    assert np.ptp([t.shape.thigh.item() for t in takes]) > 0


def test_an_untrained_network_has_the_shape_of_the_trained_one() -> None:
    study = studies()["transfer"]
    net = untrained(study.configuration(next(iter(study.rows)), 0))
    assert net.weights_id == "untrained" and not net.training
