"""Top-down pose networks: from a crop of each person to heatmaps and joints."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gaitkeeper.pipelines.perception.base import heatmap_box
from gaitkeeper.pipelines.perception.heatmaps import draw_heatmaps
from gaitkeeper.pipelines.perception.network import Network
from gaitkeeper.pipelines.perception.sampling import sample
from gaitkeeper.pipelines.perception.yolo import GREY, unit_of
from gaitkeeper.pipelines.sequence import HEATMAP

Array = npt.NDArray[Any]

JOINTS, ROWS, COLUMNS = HEATMAP


class Pose(Protocol):
    """Protocol: estimates the joints of people with known boxes."""

    def __call__(self, frames: Tensor, which: Array, boxes: Array) -> tuple[Array, Array]:
        """Joints and heatmaps of people.

        Args:
            frames: uint8 (B, H, W, 3) on the network's device.
            which: int64 (N,); the frame of each person.
            boxes: float32 (N, 4) in pixels of the frame.

        Returns:
            Joints float32 (N, 17, 3), x, y in pixels of the frame and score in [0, 1]; heatmaps uint8 (N, 17, 64, 48)
            over :func:`gaitkeeper.pipelines.perception.base.heatmap_box` of each box.
        """
        ...


def pose_of(network: Network) -> Pose:
    """The reader for a pose network's outputs: heatmaps, or the joints of a YOLO network."""
    return YoloPose(network) if network.about.get("task") == "pose" else HeatmapPose(network)


class HeatmapPose:
    """HRNet, ViTPose and similar networks, as written by `gaitkeeper weights export-pose`.

    The file's ``codec`` says how a heatmap lies in the crop: "msra", whose crop's first pixel is the box's corner and
    whose heatmap is a quarter of it, or "udp", where first and last pixels of both are the box's corners (Huang et al.,
    "The Devil is in the Details", CVPR 2020). Images are RGB in [0, 255]; the network scales them itself.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._side = network.side or (256, 192)
        # Number of pixel steps across the box.
        less = int(network.about.get("codec") == "udp")
        self._steps = torch.tensor([self._side[1] - less, self._side[0] - less], dtype=torch.float32)
        self._cells = torch.tensor([COLUMNS - less, ROWS - less], dtype=torch.float32)

    def __call__(self, frames: Tensor, which: Array, boxes: Array) -> tuple[Array, Array]:
        """See :class:`Pose`."""
        if not len(which):
            return np.zeros((0, JOINTS, 3), np.float32), np.zeros((0, *HEATMAP), np.uint8)
        corners = torch.from_numpy(np.stack([heatmap_box(box) for box in boxes])).to(frames.device)
        first, span = corners[:, :2], corners[:, 2:] - corners[:, :2]
        index = torch.from_numpy(which).to(frames.device)
        crops = sample(frames, index, first, span / self._steps.to(frames.device), self._side)
        maps = self._network(crops)[0].clamp(0, 1)
        places, scores = peaks(maps)
        joints = first[:, None] + places * (span / self._cells.to(frames.device))[:, None]
        out = torch.cat([joints, scores[..., None]], -1).cpu().numpy()
        return out, (maps * 255).round().to(torch.uint8).cpu().numpy()


class YoloPose:
    """A YOLO pose network on one person's crop. It gives only joints; heatmaps are drawn as in training."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._side = network.side or (256, 256)
        self._unit = unit_of(network)

    def __call__(self, frames: Tensor, which: Array, boxes: Array) -> tuple[Array, Array]:
        """See :class:`Pose`."""
        if not len(which):
            return np.zeros((0, JOINTS, 3), np.float32), np.zeros((0, *HEATMAP), np.uint8)
        corners = torch.from_numpy(np.stack([heatmap_box(box) for box in boxes])).to(frames.device)
        height = corners[:, 3] - corners[:, 1]
        # As high as the heatmaps' box and as wide as the network needs, around the same centre.
        step = height / self._side[0]
        centre = (corners[:, :2] + corners[:, 2:]) / 2
        corner = centre - step[:, None] * torch.tensor([self._side[1], self._side[0]], device=frames.device) / 2
        index = torch.from_numpy(which).to(frames.device)
        pair = step[:, None].expand(-1, 2)
        crops = sample(frames, index, corner + pair / 2 - 0.5, pair, self._side, GREY) / 255
        answer = self._network(crops)[0]
        unit = torch.tensor(self._unit, device=frames.device)
        known = (torch.from_numpy(boxes).to(frames.device) - corner.repeat(1, 2)) / step[:, None]
        best = (answer[:, 4] * _likeness(answer[:, :4] * unit.repeat(2)[:, None], known)).argmax(1)
        people = answer[torch.arange(len(answer), device=frames.device), 5:, best].reshape(-1, JOINTS, 3)
        joints = torch.cat([corner[:, None] + people[..., :2] * unit * pair[:, None], people[..., 2:].clamp(0, 1)], -1)
        maps = draw_heatmaps(joints, torch.from_numpy(boxes).to(joints))
        return joints.cpu().numpy(), maps.cpu().numpy()


def peaks(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Where heatmaps (N, J, rows, columns) are highest: x, y (N, J, 2) in cells, and the height (N, J).

    Between cells, the top of the parabola through the logarithms of the highest cell and its neighbours: exact for a
    Gaussian (Zhang et al., "Distribution-aware coordinate representation", CVPR 2020).
    """
    rows, columns = maps.shape[-2:]
    scores, at = maps.flatten(2).max(-1)
    x, y = at % columns, at // columns
    logs = maps.clamp_min(1e-6).log().flatten(2)

    def top(place: Tensor, stride: int, count: int) -> Tensor:
        low, mid, high = (
            logs.gather(2, (at + stride * (place.clamp(1, count - 2) - place + d))[..., None])[..., 0]
            for d in (-1, 0, 1)
        )
        bend = low - 2 * mid + high
        shift = torch.where(bend < -1e-6, (low - high) / (2 * bend.clamp(max=-1e-6)), 0.0).clamp(-0.5, 0.5)
        return place + torch.where((place > 0) & (place < count - 1), shift, 0.0)

    return torch.stack([top(x, 1, columns), top(y, columns, rows)], -1), scores


def _likeness(boxes: Tensor, known: Tensor) -> Tensor:
    """Intersection over union (N, A) of boxes (N, 4, A) by centre and size with one (N, 4) by corners each."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    one_low, one_high = known[:, :2, None], known[:, 2:, None]
    shared = (torch.minimum(high, one_high) - torch.maximum(low, one_low)).clamp_min(0).prod(1)
    return shared / ((high - low).prod(1) + (one_high - one_low).prod(1) - shared).clamp_min(1e-6)
