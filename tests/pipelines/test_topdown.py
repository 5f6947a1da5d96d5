"""Frames to people by YOLO and a pose network: where windows lie, and how answers are read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from perceiving import Told, doubling
from scipy.ndimage import map_coordinates
from torch.nn import functional as F

from gaitkeeper.models.errors import LicenceNotAccepted, WeightsCorrupt, WeightsMissing
from gaitkeeper.pipelines.errors import DeviceUnavailable
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.perception.base import heatmap_box, iou
from gaitkeeper.pipelines.perception.heatmaps import draw_heatmaps
from gaitkeeper.pipelines.perception.masks import main_part, mask_box
from gaitkeeper.pipelines.perception.network import open_network
from gaitkeeper.pipelines.perception.pose import HeatmapPose, YoloPose, peaks
from gaitkeeper.pipelines.perception.sampling import sample
from gaitkeeper.pipelines.perception.topdown import TopDown, weights_file
from gaitkeeper.pipelines.perception.yolo import Letterbox, Yolo, masks
from gaitkeeper.pipelines.settings import PipelineSettings

PEOPLE = {0: [(30.0, 20.0, 70.0, 140.0), (200.0, 60.0, 260.0, 230.0)], 2: [(120.0, 10.0, 180.0, 239.0)]}
SIZE = (240, 320)


def noise(count=3, size=SIZE, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, *size, 3), np.uint8))


def test_samples_are_bilinear_and_filled_beyond_the_frame():
    frames = noise(2, (12, 17))
    first, step = torch.tensor([[-2.3, 1.6], [3.0, -4.25]]), torch.tensor([[1.7, 0.4], [0.5, 2.5]])
    got = sample(frames, torch.tensor([1, 0]), first, step, (9, 11), fill=50)
    assert got.shape == (2, 3, 9, 11)
    for n, frame in enumerate((1, 0)):
        x = float(first[n, 0]) + float(step[n, 0]) * np.arange(11)
        y = float(first[n, 1]) + float(step[n, 1]) * np.arange(9)
        for c in range(3):
            want = map_coordinates(
                frames[frame, ..., c].numpy().astype(float), np.meshgrid(y, x, indexing="ij"), order=1,
                mode="grid-constant", cval=50,
            )  # fmt: skip
            assert got[n, c].numpy() == pytest.approx(want, abs=2e-3)


@pytest.mark.parametrize("side", [None, (320, 320), (256, 416)])
def test_a_letterbox_holds_the_whole_frame_and_can_be_undone(side):
    letterbox = Letterbox.of(1080, 1920, side)
    assert side is None or letterbox.size == side
    assert all(length % 32 == 0 for length in letterbox.size)
    corners = torch.tensor([[0.0, 0, 1920, 1080]])
    inside = corners * torch.tensor(letterbox.scale * 2) + torch.tensor(letterbox.offset * 2)
    assert inside.min() >= 0 and inside[0, 2] <= letterbox.size[1] and inside[0, 3] <= letterbox.size[0]
    assert letterbox.inverse(inside) == pytest.approx(corners)
    frames = torch.full((1, 1080, 1920, 3), 200, dtype=torch.uint8)
    image = letterbox.images(frames)[0, 0] * 255
    assert image[letterbox.size[0] // 2, letterbox.size[1] // 2] == pytest.approx(200)
    share = (image == 200).float().mean()
    assert share == pytest.approx(float((inside[0, 2:] - inside[0, :2]).prod()) / image.numel(), abs=0.01)


def finder(layout: str, unit: float = 1.0, discs: bool = False) -> Told:
    """A detector that finds ``PEOPLE``, each twice, among anchors that show little; a car is surer than anybody."""
    letterbox = Letterbox.of(*SIZE, (320, 320))

    def answer(images):
        batch, anchors, extra = len(images), 40, 2 if discs else 0
        raw = torch.zeros(batch, anchors, 6 + extra)
        raw[..., :4] = torch.tensor([160.0, 160, 170, 170]) + torch.arange(anchors)[None, :, None]
        raw[..., 4] = 0.1
        for frame, boxes in PEOPLE.items():
            if frame >= batch:
                continue
            for i, box in enumerate(boxes):
                corners = torch.tensor(box) * torch.tensor(letterbox.scale * 2) + torch.tensor(letterbox.offset * 2)
                raw[frame, 3 * i, :5] = torch.cat([corners, torch.tensor([0.9 - 0.1 * i])])
                raw[frame, 3 * i + 1, :5] = torch.cat([corners + 1, torch.tensor([0.6])])  # the same one again
                if extra:
                    raw[frame, 3 * i, 6:] = torch.tensor([1.0, 0.0] if i == 0 else [0.0, 1.0])
            raw[frame, 20, :6] = torch.tensor([10, 10, 60, 60, 0.99, 2.0])  # a car
        if layout == "final":
            return [raw, *([discs_of(batch)] if discs else [])]
        size = raw[..., 2:4] - raw[..., :2]
        classes = F.one_hot(raw[..., 5].long(), 3) * raw[..., 4:5]
        many = torch.cat([(raw[..., :2] + size / 2) / unit, size / unit, classes, raw[..., 6:]], -1)
        return [many.transpose(1, 2), *([discs_of(batch)] if discs else [])]

    names = "{0: 'person', 1: 'bicycle', 2: 'car'}"
    task = "segment" if discs else "detect"
    return Told(answer, (320, 320), names=names, task=task, end2end=str(layout == "final"))


def discs_of(batch):
    """Two prototypes, 80 × 80 of 320 × 320: a disc in the first person's box and one in the second's."""
    letterbox = Letterbox.of(*SIZE, (320, 320))
    y, x = torch.meshgrid(torch.arange(80) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    out = torch.zeros(batch, 2, 80, 80)
    for frame, boxes in PEOPLE.items():
        for i, (x1, y1, x2, y2) in enumerate(boxes):
            if frame < batch:
                u = ((x1 + x2) / 2 * letterbox.scale[0] + letterbox.offset[0]) / 4
                v = ((y1 + y2) / 2 * letterbox.scale[1] + letterbox.offset[1]) / 4
                out[frame, i] = 5 * ((x2 - x1) / 8 - ((x - u) ** 2 + (y - v) ** 2).sqrt())
    return out


@pytest.mark.parametrize(("layout", "unit"), [("anchors", 1.0), ("anchors", 320.0), ("final", 1.0)])
def test_every_person_is_found_once_and_nobody_else(layout, unit):
    found = Yolo(finder(layout, unit))(noise())
    assert found.which.tolist() == [0, 0, 2]
    assert found.scores == pytest.approx([0.9, 0.8, 0.9])
    assert found.boxes == pytest.approx(np.array(PEOPLE[0] + PEOPLE[2]), abs=1e-3)


@pytest.mark.parametrize("layout", ["anchors", "final"])
def test_masks_lie_where_the_person_is(layout):
    found = Yolo(finder(layout, discs=True))(noise())
    windows = np.array([heatmap_box(box) for box in found.boxes])
    drawn = masks(found, windows, (256, 192))
    for mask, window, (x1, y1, x2, y2) in zip(drawn, windows, found.boxes, strict=True):
        radius = (x2 - x1) / 2
        want = [(x1 + x2) / 2 - radius, (y1 + y2) / 2 - radius, (x1 + x2) / 2 + radius, (y1 + y2) / 2 + radius]
        got = mask_box(mask, tuple(window), SIZE)
        assert got == pytest.approx(want, abs=2.5)  # a pixel of a prototype is four of the frame
        rows, columns = np.indices(mask.shape)
        x = window[0] + (columns + 0.5) * (window[2] - window[0]) / 192
        y = window[1] + (rows + 0.5) * (window[3] - window[1]) / 256
        assert (mask[(x < x1) | (x > x2) | (y < y1) | (y > y2)] == 0).all()


def test_nobody_is_found_where_nobody_is():
    nobody = Told(lambda x: [torch.full((len(x), 7, 30), 0.2), torch.ones(len(x), 2, 8, 8)], (320, 320), task="segment")
    found = Yolo(nobody)(noise())
    assert len(found.which) == len(found.boxes) == len(found.scores) == 0
    assert masks(found, np.zeros((0, 4), np.float32), (256, 192)).shape == (0, 256, 192)


def test_peaks_of_bells_are_found_between_cells():
    rng = np.random.default_rng(0)
    places = torch.tensor(rng.uniform([3, 3], [44, 60], (2, 17, 2)), dtype=torch.float32)
    x, y = torch.arange(48), torch.arange(64)
    square = (x - places[..., :1])[..., None, :] ** 2 + (y - places[..., 1:])[..., :, None] ** 2
    got, scores = peaks(0.8 * torch.exp(-square / 8))
    assert got == pytest.approx(places, abs=1e-3)
    assert scores.min() > 0.7


def test_peaks_at_the_rim_and_of_nothing_stay_in_the_map():
    maps = torch.zeros(1, 3, 64, 48)
    maps[0, 0, 0, 0] = maps[0, 1, 63, 47] = 1
    got, scores = peaks(maps)
    assert got[0, :2].tolist() == [[0, 0], [47, 63]] and scores[0].tolist() == [1, 1, 0]
    assert (got >= 0).all()


@pytest.mark.parametrize("codec", ["msra", "udp"])
def test_joints_are_where_the_picture_shows_them(codec):
    """A network whose heatmap is the crop's red, at the cells that its codec means."""

    def answer(crops):
        red = crops[:, :1] / 255
        if codec == "msra":
            return [red[..., ::4, ::4].expand(-1, 17, -1, -1)]
        return [F.interpolate(red, (64, 48), mode="bilinear", align_corners=True).expand(-1, 17, -1, -1)]

    boxes = np.array([[40, 20, 100, 200], [150, 30, 300, 220]], np.float32)
    places = np.array([[66.0, 90.0], [230.0, 150.0]])
    y, x = np.mgrid[:240, :320]
    frames = torch.zeros(1, 240, 320, 3, dtype=torch.uint8)
    for (px, py), width in zip(places, (6, 12), strict=True):
        bell = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * width**2))
        frames[0, ..., 0] += torch.from_numpy((255 * bell).round().astype(np.uint8))
    joints, heatmaps = HeatmapPose(Told(answer, (256, 192), codec=codec))(frames, np.array([0, 0]), boxes)
    assert joints.shape == (2, 17, 3) and heatmaps.shape == (2, 17, 64, 48) and heatmaps.dtype == np.uint8
    assert joints[:, 0, :2] == pytest.approx(places, abs=0.35)
    assert joints[..., 2].min() > 0.95 and heatmaps.max() >= 250
    for person in range(2):
        row, column = np.unravel_index(heatmaps[person, 0].argmax(), (64, 48))
        left, top, right, _ = (float(edge) for edge in heatmap_box(boxes[person]))
        cell = (right - left) / 48
        at = left + (column + 0.5) * cell, top + (row + 0.5) * cell
        assert at == pytest.approx(tuple(places[person]), abs=1.2 * cell)


def test_joints_of_a_yolo_pose_network_and_the_heatmaps_drawn_of_them():
    def answer(crops):
        out = torch.zeros(len(crops), 56, 10)
        out[:, 0, :], out[:, 1, :] = 30, 128  # a neighbour, surer
        out[:, 2:4], out[:, 4] = 60.0, 0.99
        out[:, :4, 3] = torch.tensor([128.0, 128, 80, 200])
        out[:, 4, 3] = 0.9
        out[:, 5::3, 3], out[:, 6::3, 3], out[:, 7::3, 3] = 128 + 16, 128 - 32, 0.8
        return [out]

    box = np.array([[100, 40, 160, 200]], np.float32)
    joints, heatmaps = YoloPose(Told(answer, (256, 256), task="pose"))(noise(), np.array([2]), box)
    pixel = 200 / 256  # the window is as high as the heatmaps' box
    assert joints[0, 0] == pytest.approx([130 + 16 * pixel, 120 - 32 * pixel, 0.8], abs=1e-3)
    row, column = np.unravel_index(heatmaps[0, 0].argmax(), (64, 48))
    assert (column, row) in {(27, 23), (28, 23), (27, 24), (28, 24)}
    drawn = draw_heatmaps(torch.from_numpy(joints), torch.from_numpy(box))
    assert np.array_equal(heatmaps, drawn)  # as in training, not in a way of its own


def test_a_mask_in_two_parts_is_the_larger_where_no_joints_are_known():
    mask = np.zeros((40, 30), np.float32)
    mask[2:30, 5:15] = 0.9
    mask[35:38, 20:25] = 0.9
    assert main_part(mask, np.zeros((0, 2)))[35:38].max() == 0
    assert main_part(mask, np.array([[22, 36], [23, 36]]))[35:38].max() > 0


@pytest.mark.parametrize("batch", ["N", 1, 2])
def test_an_onnx_file_takes_any_number_of_images(tmp_path, batch):
    network = open_network(doubling(tmp_path / "n.onnx", batch), PipelineSettings())
    images = torch.rand(5, 3, 4, 4)
    [out] = network(images)
    del images
    again = [network(torch.rand(5, 3, 4, 4))[0] for _ in range(3)]  # an answer outlives those that come after it
    assert len(again) == 3 and out.shape == (5, 3, 4, 4) and network.side == (4, 4)
    images = torch.arange(5 * 48, dtype=torch.float32).reshape(5, 3, 4, 4)
    assert torch.equal(network(images)[0], 2 * images)


def test_what_is_no_network_is_said(tmp_path):
    (tmp_path / "n.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsCorrupt, match="onnxruntime"):
        open_network(tmp_path / "n.onnx", PipelineSettings())
    with pytest.raises(WeightsMissing, match=r"none\.onnx"):
        weights_file(str(tmp_path / "none.onnx"))


def test_onnxruntime_without_a_gpu_is_no_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # PyTorch sees one; onnxruntime here cannot use it
    with pytest.raises(DeviceUnavailable, match="CUDAExecutionProvider"):
        open_network(doubling(tmp_path / "n.onnx", 1), PipelineSettings(device="cuda"))
    with pytest.raises(DeviceUnavailable, match="TensorrtExecutionProvider"):
        open_network(doubling(tmp_path / "n.onnx", 1), PipelineSettings(device="cuda", tensorrt=True))


def test_networks_under_the_agpl_are_not_used_unless_that_was_accepted(tmp_path, monkeypatch):
    path = doubling(tmp_path / "n.onnx", 1, license="AGPL-3.0 License (https://ultralytics.com/license)")
    monkeypatch.delenv("GAITKEEPER_ACCEPT_LICENSES", raising=False)
    monkeypatch.setenv("GAITKEEPER_CACHE", str(tmp_path))
    with pytest.raises(LicenceNotAccepted):
        open_network(path, PipelineSettings())
    with pytest.raises(LicenceNotAccepted):
        weights_file("yolo26m-seg")
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    with pytest.raises(LicenceNotAccepted, match="ultralytics"):
        open_network(tmp_path / "checkpoint.pt", PipelineSettings())
    monkeypatch.setenv("GAITKEEPER_ACCEPT_LICENSES", "AGPL-3.0")
    assert open_network(path, PipelineSettings()).side == (4, 4)


def test_a_pose_network_must_be_exported_first(tmp_path, monkeypatch):
    monkeypatch.setenv("GAITKEEPER_CACHE", str(tmp_path))
    with pytest.raises(WeightsMissing, match="export-pose vitpose-b"):
        weights_file("vitpose-b")
    doubling(tmp_path / "vitpose-b.onnx", 1)
    with pytest.raises(WeightsMissing):  # nobody says what it is
        weights_file("vitpose-b")
    (tmp_path / "vitpose-b.onnx.sha256").write_text(f"{'0' * 64}  vitpose-b.onnx\n")
    with pytest.raises(WeightsCorrupt, match="export it again"):
        weights_file("vitpose-b")


@pytest.fixture
def backend(tmp_path):
    """Make a backend of two files, which answer nonsense."""

    def make(detector: dict[str, str], pose: dict[str, str]) -> TopDown:
        files = doubling(tmp_path / "d.onnx", 1, 32, **detector), doubling(tmp_path / "p.onnx", 1, 32, **pose)
        return TopDown(PipelineSettings(perception="yolo", detector=str(files[0]), pose=str(files[1])))

    return make


def test_the_fingerprint_tells_the_networks_apart(backend):
    names = [
        backend({"task": "segment"}, {}).name,
        backend({"task": "segment"}, {"description": "another file"}).name,
        backend({"task": "segment"}, {"checkpoint_sha256": "ab" * 32}).name,
        backend({"task": "detect"}, {}).name,
    ]
    assert len(set(names)) == 4
    assert names[2].endswith("+abababababab") and names[3].endswith("+blazepose-full")
    for name in names:
        fingerprint = Fingerprint("gei", "none", "1", name)
        assert Fingerprint.parse(str(fingerprint)) == fingerprint
        assert str(fingerprint) != "gei:none:1:blazepose-full/1"
    # Two exports of one checkpoint are the same network.
    twice = {"checkpoint_sha256": "ab" * 32, "description": "exported on another day"}
    assert backend({"task": "segment"}, twice).name == names[2]


def test_people_are_whole_again_in_a_batch_and_one_by_one(backend):
    """All of it together: two networks that are told, in place of the files'."""
    seeing = backend({"task": "segment"}, {})
    seeing._yolo = Yolo(finder("anchors", discs=True))
    seeing._pose = HeatmapPose(Told(lambda crops: [torch.full((len(crops), 17, 64, 48), 0.5)], (256, 192)))
    images = list(noise().numpy())
    together = seeing.see_all(images, [0.0, 0.1, 0.2])
    assert [len(people) for people in together] == [2, 0, 1]
    for frame, people in enumerate(together):
        for person, box in zip(people, PEOPLE.get(frame, []), strict=True):
            assert iou(person.box[None], np.array([box], np.float32))[0, 0] > 0.2
            assert person.mask.shape == (256, 192) and person.joints.shape == (17, 3)
            pixel = (person.window[2] - person.window[0]) / 192
            assert (person.window[3] - person.window[1]) / 256 == pytest.approx(pixel, rel=1e-4)
            assert 0 < person.score <= 1 and person.heatmaps.max() == 128
    [alone] = [seeing.watch(live=True).see(images[0], 0.0)]
    assert [p.box.tolist() for p in alone] == [p.box.tolist() for p in together[0]]
