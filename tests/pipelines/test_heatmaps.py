"""Heatmaps that are drawn from joints look as the pipeline's own do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gaitkeeper.pipelines.perception.base import heatmap_box
from gaitkeeper.pipelines.perception.heatmaps import BLOB, draw_heatmaps


def test_drawn_heatmaps_have_the_pipelines_frame_and_blobs() -> None:
    box = np.array([100.0, 50.0, 180.0, 290.0], np.float32)
    joints = torch.tensor([140.0, 120.0, 0.9]).repeat(1, 1, 17, 1)
    heat = draw_heatmaps(joints, torch.from_numpy(box)[None, None])
    assert heat.shape == (1, 1, 17, 64, 48) and heat.dtype == torch.uint8
    left, top, _, bottom = heatmap_box(box)
    step = (bottom - top) / 64
    blob = heat[0, 0, 3].double()
    row, column = divmod(int(blob.argmax()), 48)
    assert abs(left + (column + 0.5) * step - 140) <= step / 2 + 1e-3
    assert abs(top + (row + 0.5) * step - 120) <= step / 2 + 1e-3
    rows = torch.arange(64.0)
    weight = blob.sum(1) / blob.sum()
    spread = float(((rows - (rows * weight).sum()) ** 2 * weight).sum().sqrt())
    assert spread == pytest.approx(BLOB, rel=0.05)
    unsure = draw_heatmaps(joints * torch.tensor([1, 1, 0.2]), torch.from_numpy(box)[None, None])
    assert unsure.max() < heat.max()
