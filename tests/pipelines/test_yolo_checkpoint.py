"""Checkpoints of Ultralytics, which are pickles: opened safely, and read as Ultralytics reads them.

Random weights of the true architectures; runs where ultralytics is installed.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitkeeper.models.errors import WeightsCorrupt
from gaitkeeper.pipelines.errors import DeviceUnavailable
from gaitkeeper.pipelines.perception.network import open_network
from gaitkeeper.pipelines.perception.topdown import TopDown
from gaitkeeper.pipelines.perception.yolo import Letterbox, Yolo, masks
from gaitkeeper.pipelines.settings import PipelineSettings

with_ultralytics = pytest.mark.skipif(find_spec("ultralytics") is None, reason="ultralytics is not installed")
SIZE = (200, 304)


@pytest.fixture(autouse=True)
def _accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAITKEEPER_ACCEPT_LICENSES", "AGPL-3.0")
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))


def picture(count: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, *SIZE, 3), np.uint8))


def checkpoint(path: Path, kind: str) -> Path:
    """As Ultralytics writes them, with a network that is sure of much."""
    from ultralytics.nn.tasks import SegmentationModel

    torch.manual_seed(0)
    model = SegmentationModel(f"{kind}.yaml", verbose=False)
    model.names = {0: "person", **{i: f"thing {i}" for i in range(1, 80)}}
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(2, 3, 224, 320))  # or features would fade to nothing from layer to layer
    for name, module in model.model[-1].named_modules():
        if "cv3" in name and isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            torch.nn.init.normal_(module.weight, std=0.01)
            torch.nn.init.constant_(module.bias, -30.0)
            module.weight.data[1:], module.bias.data[0] = 0, -2.0  # people alone
    torch.save({"model": model.half(), "ema": None, "train_args": {"imgsz": 640}, "date": "today"}, path)
    return path


@with_ultralytics
@pytest.mark.parametrize("kind", ["yolo11n-seg", "yolo26n-seg"])
def test_boxes_and_masks_are_those_that_ultralytics_reads(kind: str, tmp_path: Path) -> None:
    from ultralytics.utils.nms import non_max_suppression
    from ultralytics.utils.ops import process_mask_native

    network = open_network(checkpoint(tmp_path / "random.pt", kind), PipelineSettings())
    assert network.about["task"] == "segment"
    frames = picture()
    found = Yolo(network)(frames)
    letterbox = Letterbox.of(*SIZE, None)
    answer, prototypes = network(letterbox.images(frames))
    if network.about["end2end"] == "True":
        assert answer.shape[-1] == 6 + 32
    wanted = non_max_suppression(
        (answer.clone(), prototypes), 0.25, 0.7, classes=[0], nc=80, end2end=network.about["end2end"] == "True"
    )
    assert len(found.which) > 4
    for frame in range(len(frames)):
        mine = found.which == frame
        theirs = wanted[frame]
        theirs = theirs[theirs[:, 4].argsort(descending=True)]
        corners = letterbox.inverse(theirs[:, :4]).clamp(min=0).numpy()
        corners = np.minimum(corners, [SIZE[1], SIZE[0]] * 2)
        rows = [int(np.abs(corners - box).max(1).argmin()) for box in found.boxes[mine]]
        assert np.abs(corners[rows] - found.boxes[mine]).max() < 0.02
        assert found.scores[mine] == pytest.approx(theirs[rows, 4].numpy(), abs=1e-4)
        drawn = masks(found, np.tile([0, 0, SIZE[1], SIZE[0]], (len(found.which), 1)), SIZE)[mine]
        native = process_mask_native(prototypes[frame], theirs[rows, 6:], torch.from_numpy(corners[rows]).float(), SIZE)
        agree = (native.bool().numpy() == (drawn > 0.5)).mean((1, 2))
        assert agree.min() > 0.97


@with_ultralytics
def test_a_checkpoint_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"model": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(WeightsCorrupt, match="safely"):
        open_network(tmp_path / "trap.pt", PipelineSettings())
    assert not (tmp_path / "ran").exists()
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(WeightsCorrupt):
        open_network(tmp_path / "text.pt", PipelineSettings())
    torch.save({"model": {"weight": torch.ones(1)}}, tmp_path / "tensors.pt")
    with pytest.raises(WeightsCorrupt):
        open_network(tmp_path / "tensors.pt", PipelineSettings())


@with_ultralytics
def test_a_segmenting_checkpoint_and_a_real_pose_network_see_together(tmp_path: Path, shared_weights: Path) -> None:
    """Noise shows nobody whole; what counts is that shapes fit from one end to the other."""
    settings = PipelineSettings(
        perception="yolo",
        detector=str(checkpoint(tmp_path / "random.pt", "yolo11n-seg")),
        pose=str(shared_weights / "yolo26_pose_256_qdq_int8.onnx"),
    )
    backend = TopDown(settings)
    assert "blazepose" not in backend.name
    people = backend.see_all(list(picture().numpy()), [0.0, 0.1])
    assert len(people) == 2 and sum(map(len, people)) > 0
    for person in people[0] + people[1]:
        assert person.mask.shape == (256, 192) and person.heatmaps.shape == (17, 64, 48)


@pytest.mark.skipif(find_spec("ultralytics") is not None, reason="ultralytics is installed")
def test_without_ultralytics_it_is_said_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "some.pt").write_bytes(b"")
    with pytest.raises(DeviceUnavailable, match=r"extra `gpu`.*ONNX"):
        open_network(tmp_path / "some.pt", PipelineSettings())
