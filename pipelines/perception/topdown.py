"""The perception backend for GPU hosts: YOLO finds and segments people in batches, a pose network finds joints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gaitkeeper.models import licences, weights
from gaitkeeper.models.cache import digest_of
from gaitkeeper.models.errors import WeightsMissing
from gaitkeeper.pipelines.perception.base import Person, Watcher, heatmap_box
from gaitkeeper.pipelines.perception.blazepose import ROI_GROWTH, Landmarker, Region
from gaitkeeper.pipelines.perception.masks import Window, certainty, main_part, mask_box
from gaitkeeper.pipelines.perception.network import Network, open_network
from gaitkeeper.pipelines.perception.pose import pose_of
from gaitkeeper.pipelines.perception.yolo import Found, Yolo, masks
from gaitkeeper.pipelines.settings import PipelineSettings

Array = npt.NDArray[Any]

MASK = (256, 192)
NOWHERE = np.zeros((0, 2))
# A box that ends this near to the picture's edge, as a share of the picture, counts as touching it: boxes are this
# exact.
EDGE = 0.004
VERSION = 2
"""Of what this backend makes of its networks' answers; 1 drew other heatmaps from joints than training does."""


class TopDown:
    """YOLO and a pose network; loaded once, and shared by all clips.

    Its name contains the digests of both files, so that embeddings made with other networks are never compared. If the
    YOLO network only detects, BlazePose's landmark network makes the masks, and the name says so.

    Raises:
        WeightsMissing, WeightsCorrupt, LicenceNotAccepted: a network is missing, wrong, or under a licence that was not
            accepted.
        DeviceUnavailable: the device, or the runtime for it, is missing.
    """

    def __init__(self, settings: PipelineSettings) -> None:
        files = weights_file(settings.detector), weights_file(settings.pose)
        detector, pose = (open_network(file, settings) for file in files)
        self.batch = settings.batch
        self._device = detector.device
        self._yolo, self._pose = Yolo(detector), pose_of(pose)
        self._landmarker = None if self._yolo.segments else Landmarker(weights.locate("blazepose-landmark"))
        ids = "+".join(_identity(file, network) for file, network in zip(files, (detector, pose), strict=True))
        self.name = f"yolo/{VERSION}@{ids}" + ("+blazepose-full" if self._landmarker else "")

    def watch(self, *, live: bool = False) -> Watcher:
        """This object itself: the result for a frame does not depend on earlier frames."""
        return self

    def see(self, image: Array, time: float) -> list[Person]:
        """All people in the frame, each once."""
        return self.see_all([image], [time])[0]

    def see_all(self, images: Sequence[Array], times: Sequence[float]) -> list[list[Person]]:
        """All people in each of several frames of one size."""
        frames = self._uploaded(images)
        found = self._yolo(frames)
        size = images[0].shape[:2]
        outlines = self._outlined(images, found)
        seen = []
        for i, (mask, window) in enumerate(outlines):
            box = None if mask is None else mask_box(mask, window, size)
            if mask is not None and box is not None:
                seen.append((i, mask, window, _to_the_edge(box, size)))
        boxes = np.array([box for *_, box in seen], np.float32).reshape(-1, 4)
        which = found.which[[i for i, *_ in seen]] if seen else found.which[:0]
        joints, heatmaps = self._pose(frames, which, boxes)
        people: list[list[Person]] = [[] for _ in images]
        for row, (frame, (_, mask, window, box)) in enumerate(zip(which, seen, strict=True)):
            height = float(heatmaps[row].reshape(len(joints[row]), -1).max(1).mean()) / 255
            people[frame].append(Person(box, certainty(mask, height), mask, window, joints[row], heatmaps[row]))
        return people

    def _uploaded(self, images: Sequence[Array]) -> Tensor:
        frames = torch.from_numpy(np.stack(images))
        return frames.pin_memory().to(self._device, non_blocking=True) if self._device.type == "cuda" else frames

    def _outlined(self, images: Sequence[Array], found: Found) -> list[tuple[Array | None, Window]]:
        """The mask of each person and the window that it covers; None if there is no person."""
        if self._landmarker is None:
            windows = np.array([heatmap_box(box) for box in found.boxes], np.float32).reshape(-1, 4)
            drawn = masks(found, windows, MASK)
            return [(main_part(mask, NOWHERE), _window(edges)) for mask, edges in zip(drawn, windows, strict=True)]
        outlines: list[tuple[Array | None, Window]] = []
        for frame, (x1, y1, x2, y2) in zip(found.which, found.boxes.tolist(), strict=True):
            region = Region((x1 + x2) / 2, (y1 + y2) / 2, ROI_GROWTH * max(x2 - x1, y2 - y1))
            person = self._landmarker(images[frame], region).person
            outlines.append((None if person is None else person.mask, region.window))
        return outlines


def weights_file(name: str) -> Path:
    """The file of a setting: a path that ends in .onnx or .pt, an entry of the manifest, or its export.

    Raises:
        WeightsMissing, WeightsCorrupt, LicenceNotAccepted: it is missing, wrong, or under a licence that was not
            accepted.
    """
    if name.endswith((".onnx", ".pt")):
        path = Path(name).expanduser()
        if not path.is_file():
            raise WeightsMissing(f"There is no network at {path}.")
        return path
    entry = weights.entry(name)
    licences.require(entry.licence, f"{name!r} ({entry.file})")
    return weights.locate_export(name) if entry.kind == "checkpoint" else weights.locate(name)


def _identity(file: Path, network: Network) -> str:
    """The first digits of the digest of the checkpoint that a file was exported from, or else of the file itself. Two
    exports of one checkpoint may differ in bytes."""
    return (network.about.get("checkpoint_sha256") or digest_of(file))[:12]


def _window(edges: Array) -> Window:
    x1, y1, x2, y2 = (float(edge) for edge in edges)
    return x1, y1, x2, y2


def _to_the_edge(box: Array, size: tuple[int, int]) -> Array:
    """Extend a box that nearly touches the picture's edge to the edge, so that cut-off people are recognised."""
    height, width = size
    limits = np.array([width, height, width, height], np.float32)
    near = EDGE * max(size)
    box = np.where(box < near * np.array([1, 1, 0, 0]), 0, box)
    return np.where(box > limits - near * np.array([0, 0, 1, 1]), limits, box).astype(np.float32)
