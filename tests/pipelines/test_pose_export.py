"""Pose networks become ONNX files. What needs mmpose itself runs where it is installed."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from standins import stand_in_for_torchvision
from torch import nn

from gaitkeeper.models import export_images
from gaitkeeper.models.errors import BadCheckpoint, ExportDiffers, ExportUnavailable
from gaitkeeper.pipelines.perception import pose_export
from gaitkeeper.pipelines.perception.base import heatmap_box
from gaitkeeper.pipelines.perception.network import open_network
from gaitkeeper.pipelines.perception.pose import HeatmapPose
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.service.cli import main

TOPDOWN = "body_2d_keypoint/topdown_heatmap/coco"
CONFIGS = {
    f"{TOPDOWN}/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py": "msra",
    f"{TOPDOWN}/td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192.py": "udp",
}
with_mmpose = pytest.mark.skipif(find_spec("mmpose") is None, reason="mmpose is not installed (docs/perception.md)")


class Small(nn.Module):
    """Eight convolutions of whatever colour is brightest."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)

    def forward(self, images):
        return self.conv(images / 255).relu()


def test_an_export_takes_any_number_of_images_and_says_what_it_is(tmp_path):
    path = tmp_path / "small.onnx"
    difference = export_images.export_images(Small(), path, (32, 24), {"codec": "udp"})
    assert difference <= 1e-5
    session = onnxruntime.InferenceSession(path)
    assert session.get_modelmeta().custom_metadata_map["codec"] == "udp"
    for count in (1, 2, 5):
        images = torch.rand(count, 3, 32, 24) * 255
        [out] = session.run(None, {"images": images.numpy()})
        assert out == pytest.approx(Small()(images).detach().numpy(), abs=1e-5)


def test_an_export_that_answers_otherwise_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(export_images, "_answer", lambda path, images: Small()(images).detach() + 2e-5)
    with pytest.raises(ExportDiffers, match="2\\.0e-05"):
        export_images.export_images(Small(), tmp_path / "small.onnx", (32, 24), {})


class Trap:
    """A pickle that runs a command when it is opened."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def test_a_checkpoint_that_holds_code_is_not_opened(tmp_path):
    torch.save({"state_dict": {}, "meta": Trap(tmp_path / "ran")}, tmp_path / "trap.pth")
    with pytest.raises(BadCheckpoint, match="more than tensors"):
        pose_export._state(tmp_path / "trap.pth")
    assert not (tmp_path / "ran").exists()


def test_arrays_of_numbers_beside_the_tensors_are_no_code(tmp_path):
    content = {"state_dict": {"a": torch.ones(2)}, "meta": {"sigmas": np.ones(17), "seed": 1, "name": "coco"}}
    torch.save(content, tmp_path / "good.pth")
    assert list(pose_export._state(tmp_path / "good.pth")) == ["a"]


@pytest.mark.parametrize("content", [{"state_dict": {}}, {"a": 1}, [1, 2]])
def test_what_holds_no_tensors_is_no_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(BadCheckpoint, match="no state dict"):
        pose_export._state(tmp_path / "bad.pth")
    (tmp_path / "bad.pth").write_bytes(b"text")
    with pytest.raises(BadCheckpoint):
        pose_export._state(tmp_path / "bad.pth")
    with pytest.raises(BadCheckpoint, match="no readable"):
        pose_export._state(tmp_path / "none.pth")


@pytest.mark.skipif(find_spec("mmpose") is not None, reason="mmpose is installed")
def test_without_mmpose_it_is_said_how_to_get_it(tmp_path):
    with pytest.raises(ExportUnavailable, match=r"docs/perception\.md"):
        pose_export.export_pose(next(iter(CONFIGS)), tmp_path / "c.pth", tmp_path / "o.onnx")


def test_a_configuration_without_a_checkpoint_is_too_little(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gaitkeeper", "weights", "export-pose", "mine.py"])
    with pytest.raises(SystemExit):
        main()
    assert "[invalid_request]" in capsys.readouterr().err


@with_mmpose
@pytest.mark.parametrize("config", CONFIGS)
def test_a_network_of_mmpose_is_exported_and_read_as_mmpose_reads_it(config, tmp_path, monkeypatch, capsys):
    """Random weights: HRNet-W32 and ViTPose-B by the command line, then crops and joints beside mmpose's own."""
    stand_in_for_torchvision()
    build = pose_export._mmpose()
    _, found = pose_export._config(config)
    found.model.backbone.init_cfg = None
    torch.manual_seed(0)
    torch.save({"state_dict": build(found.model).state_dict(), "meta": {"epoch": 1}}, tmp_path / "random.pth")
    monkeypatch.setattr(
        sys, "argv", ["gaitkeeper", "weights", "export-pose", config, str(tmp_path / "random.pth"), "--json"]
    )
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    said = capsys.readouterr().out
    assert CONFIGS[config] in said
    print(said)
    network = open_network(tmp_path / "random.onnx", PipelineSettings())
    assert network.about["codec"] == CONFIGS[config] and network.side == (256, 192)

    from mmpose.codecs import MSRAHeatmap, UDPHeatmap
    from mmpose.datasets.transforms import GetBBoxCenterScale, TopdownAffine

    udp = CONFIGS[config] == "udp"
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (240, 320, 3), np.uint8), (9, 9), 0)
    box = np.array([[60, 20, 150, 210]], np.float32)
    cropped = TopdownAffine(input_size=(192, 256), use_udp=udp)(
        GetBBoxCenterScale(padding=1.25)({"img": picture, "bbox": box})
    )
    codec = (UDPHeatmap if udp else MSRAHeatmap)(input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
    places = rng.uniform([20, 20], [170, 235], (1, 17, 2)).astype(np.float32)
    drawn = codec.encode(places, np.ones((1, 17), np.float32))["heatmaps"]
    crops = []

    class Drawn:
        about, side, device = network.about, network.side, network.device

        def __call__(self, images):
            crops.append(images)
            return [torch.from_numpy(drawn)[None]]

    joints, _ = HeatmapPose(Drawn())(torch.from_numpy(picture)[None], np.array([0]), box)
    assert np.abs(crops[0][0].permute(1, 2, 0).numpy() - cropped["img"]).mean() < 1
    wanted, _ = codec.decode(drawn)
    left, top, right, bottom = heatmap_box(box[0])
    wanted = wanted[0] / (192, 256) * (right - left, bottom - top) + (left, top)
    # Of a crop that is 178 pixels wide; for MSRA mmpose goes a quarter of a cell to the higher neighbour.
    assert np.abs(joints[0, :, :2] - wanted).max() < (0.1 if udp else 0.3) * (right - left) / 48 + 0.05
