"""The GPU bench: its networks are of the published size, and the whole of it runs, small, where there is no GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.figures import figures_of
from bench.gpu_chain import Chain, choose, walk
from bench.gpu_nets import HRNet, ViTPose, Yolo11Seg, fold

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("make", "millions", "size", "shapes"),
    [
        (lambda: Yolo11Seg("n"), 2.9, (384, 640), [(1, 5040, 4), (1, 5040, 80), (1, 5040, 32), (1, 32, 96, 160)]),
        (lambda: Yolo11Seg("s"), 10.1, (384, 640), [(1, 5040, 4), (1, 5040, 80), (1, 5040, 32), (1, 32, 96, 160)]),
        (lambda: Yolo11Seg("m"), 22.4, (384, 640), [(1, 5040, 4), (1, 5040, 80), (1, 5040, 32), (1, 32, 96, 160)]),
        (HRNet, 28.5, (256, 192), [(1, 17, 64, 48)]),
        (ViTPose, 85.9, (256, 192), [(1, 17, 64, 48)]),
    ],
)
def test_networks_have_the_published_size(make, millions, size, shapes):
    with torch.device("meta"):
        net = make().eval()
        out = net(torch.empty(1, 3, *size))
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    assert [tuple(t.shape) for t in (out if isinstance(out, tuple) else (out,))] == shapes


def test_folding_batch_norms_changes_nothing():
    torch.manual_seed(0)
    net, x = Yolo11Seg("n").eval(), torch.rand(1, 3, 32, 64)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    with torch.inference_mode():
        expected, found = net(x), fold(net)(x)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_the_best_box_is_chosen_and_those_that_it_covers_are_not():
    boxes = torch.tensor([[[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]]] * 2).float()
    scores = torch.tensor([[0.6, 0.9, 0.7], [0.8, 0.2, 0.1]])
    box, score, which = choose(boxes, scores)
    assert which.tolist() == [1, 0] and score.tolist() == pytest.approx([0.9, 0.8])
    assert torch.equal(box, torch.stack([boxes[0, 1], boxes[1, 0]]))


def test_crops_and_silhouettes_are_cut_where_the_person_is():
    class Bright(torch.nn.Module):
        """Prototypes that are high on the left half of the picture; and the crops, for a pose network."""

        def __init__(self):
            super().__init__()
            self.one = torch.nn.Parameter(torch.ones(1))

        def forward(self, x):
            side = torch.where(torch.arange(40) < 20, 9.0, -9.0).expand(len(x), 1, 24, 40)
            return torch.zeros(len(x), 3, 4), torch.rand(len(x), 3, 1), torch.ones(len(x), 3, 1), side

    chain = Chain(Bright(), Bright(), 3, (192, 320), (96, 160))
    chain.pictures[:, :, :160] = 255
    chain.people = torch.tensor([[40.0, 40, 72, 136], [144, 40, 176, 136], [240, 40, 272, 136]])  # left, middle, right
    with torch.inference_mode():
        full, small = chain.shrink()
        _, _, coefficients, prototypes = chain.detect(small)
        cut = chain.silhouettes(coefficients, prototypes, torch.zeros(3, dtype=torch.int64))
        crops = chain.crops(full) * chain.deviation + chain.mean
    assert small.shape == (3, 3, 96, 160) and cut.shape == (3, 64, 64) and cut.dtype == torch.uint8
    assert [int(one.float().mean().round()) for one in cut] == pytest.approx([255, 128, 0], abs=3)
    assert [float(one.mean()) for one in crops] == pytest.approx([1, 0.5, 0], abs=0.01)
    assert float(crops[1, :, :, :90].mean()) == pytest.approx(1, abs=0.01)
    assert walk(5, (192, 320))[:, 2].diff().min() > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: bench.gpu measures it")
def test_without_a_gpu_it_runs_small_and_claims_nothing(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "bench.gpu"]
    refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert refused.returncode != 0 and "not measured" in refused.stderr and not list(tmp_path.iterdir())
    subprocess.run([*command, "--small"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    figures = json.loads((tmp_path / "bench" / "results" / "gpu-small.json").read_text())
    assert figures["measured"] is False
    assert {claim["measured"] for claim in figures["claims"].values() if isinstance(claim, dict)} == {"not measured"}
    assert figures["claims"]["nvdec"] == figures["claims"]["onnxruntime-gpu"] == "not measured"
    assert list(figures_of({"gpu": figures})) == []
    for pose, rows in figures["stages"].items():
        assert {row["stage"] for row in rows} >= {"upload", "detect", "mask", "crop", "heatmaps"}
        assert all(row["ms_per_frame"] > 0 for row in rows)
        assert figures["sustained"][pose]["clips_searched"] >= 1
    assert all(row["distance_error"] < 0.01 for row in figures["networks"])
