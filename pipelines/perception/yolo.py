"""YOLO person detectors: from letterboxed frames to boxes, and to masks if the network segments.

This module decodes the network's raw outputs, so that a batch needs one copy from the device, and masks are computed
only for the people that are kept, at the size that silhouettes need.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from gaitkeeper.pipelines.perception.network import Network
from gaitkeeper.pipelines.perception.sampling import sample

Array = npt.NDArray[Any]

CONFIDENCE, SAME_PERSON = 0.25, 0.7
CANDIDATES = 64
SIDE, STRIDE = 640, 32
GREY = 114


@dataclass(frozen=True)
class Letterbox:
    """Mapping from frames to the network's images: u = x · scale + offset, along x and y.

    Attributes:
        size: rows and columns of the images.
        scale, offset: of x and of y, in pixels counted from their edges.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]

    @classmethod
    def of(cls, height: int, width: int, side: tuple[int, int] | None) -> Letterbox:
        """Frames centred in images of ``side``, or if that is None in the smallest images of whole strides."""
        rows, columns = side or (SIDE, SIDE)
        ratio = min(rows / height, columns / width)
        inner = round(height * ratio), round(width * ratio)
        if side is None:
            rows, columns = (STRIDE * math.ceil(length / STRIDE) for length in inner)
        offset = float((columns - inner[1]) // 2), float((rows - inner[0]) // 2)
        return cls((rows, columns), (inner[1] / width, inner[0] / height), offset)

    def images(self, frames: Tensor) -> Tensor:
        """Frames uint8 (B, H, W, 3) as float32 (B, 3, rows, columns) in [0, 1]."""
        scale, offset = (torch.tensor(pair, device=frames.device) for pair in (self.scale, self.offset))
        first = ((0.5 - offset) / scale - 0.5).expand(len(frames), 2)
        which = torch.arange(len(frames), device=frames.device)
        return sample(frames, which, first, (1 / scale).expand(len(frames), 2), self.size, GREY) / 255

    def inverse(self, boxes: Tensor) -> Tensor:
        """Boxes (..., 4) of the images in pixels of the frames."""
        scale, offset = (torch.tensor(pair * 2, device=boxes.device) for pair in (self.scale, self.offset))
        return (boxes - offset) / scale


@dataclass(frozen=True, eq=False)
class Found:
    """The people of several frames; those of each frame by falling score.

    Attributes:
        which: int64 (N,); the frame of each.
        boxes: float32 (N, 4); x1, y1, x2, y2 in pixels of the frame, not beyond it.
        scores: float32 (N,), in [0, 1].
    """

    which: Array
    boxes: Array
    scores: Array
    _letterbox: Letterbox
    _coefficients: Tensor
    _prototypes: Tensor | None


class Yolo:
    """A YOLO network, described by its file's metadata.

    Args:
        network: a detection or segmentation network in the layout of Ultralytics exports: boxes and scores per anchor,
            or final ones if it is end-to-end, and prototypes of masks if it segments.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        names = ast.literal_eval(network.about.get("names", "{}"))
        self._person = next((int(number) for number, name in names.items() if name == "person"), 0)
        self._final = network.about.get("end2end") == "True"
        self._unit = unit_of(network)
        self.segments = network.about.get("task") == "segment"

    def __call__(self, frames: Tensor) -> Found:
        """All people in frames uint8 (B, H, W, 3) on the network's device."""
        height, width = frames.shape[1:3]
        letterbox = Letterbox.of(height, width, self._network.side)
        answer, *more = self._network(letterbox.images(frames))
        prototypes = more[0] if self.segments else None
        boxes, scores, coefficients = self._read(answer, 0 if prototypes is None else prototypes.shape[1])
        boxes = boxes * torch.tensor(self._unit * 2, device=boxes.device)
        best, anchors = scores.topk(min(CANDIDATES, scores.shape[1]))
        chosen = letterbox.inverse(boxes.gather(1, anchors[..., None].expand(-1, -1, 4)))
        # One copy from the device for all frames.
        table = torch.cat([chosen, best[..., None]], -1).cpu().numpy()
        which, rows = [], []
        for frame, candidates in enumerate(table):
            kept = _apart(candidates)
            which += [frame] * len(kept)
            rows += kept
        picked = torch.tensor(which, dtype=torch.int64), torch.tensor(rows, dtype=torch.int64)
        there = [index.to(frames.device) for index in picked]
        out = table[picked[0].numpy(), picked[1].numpy()].reshape(-1, 5)
        inside = np.clip(out[:, :4], 0, np.array([width, height, width, height], np.float32))
        return Found(
            which=picked[0].numpy(),
            boxes=inside.astype(np.float32),
            scores=out[:, 4],
            _letterbox=letterbox,
            _coefficients=coefficients[there[0], anchors[there[0], there[1]]],
            _prototypes=prototypes,
        )

    def _read(self, answer: Tensor, masks: int) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, A, 4) as corners, scores (B, A) that it is a person, and coefficients (B, A, masks)."""
        if self._final:
            scores = answer[..., 4] * (answer[..., 5].round() == self._person)
            return answer[..., :4], scores, answer[..., 6 : 6 + masks]
        answer = answer.transpose(1, 2)
        centre, half = answer[..., :2], answer[..., 2:4] / 2
        boxes = torch.cat([centre - half, centre + half], -1)
        return boxes, answer[..., 4 + self._person], answer[..., answer.shape[-1] - masks :]


def unit_of(network: Network) -> tuple[float, float]:
    """The unit of a YOLO network's x and y, in pixels of its images.

    Exports for small devices use shares of the image, and no field of the file says so. But even for an empty picture,
    the anchors are spread over the whole image, which shows the unit.
    """
    rows, columns = network.side or (SIDE, SIDE)
    answer = network(torch.full((1, 3, rows, columns), GREY / 255, device=network.device))[0]
    places = answer[..., :2] if network.about.get("end2end") == "True" else answer[:, :2]
    return (float(columns), float(rows)) if float(places.max()) <= 2 else (1.0, 1.0)


def masks(found: Found, windows: Array, size: tuple[int, int]) -> Array:
    """The mask of each person over a window: float32 (N, rows, columns), probabilities, 0 outside of the person's box.

    Args:
        found: people found by a segmentation network.
        windows: float32 (N, 4); x1, y1, x2, y2 in pixels of the frames.
        size: rows and columns.
    """
    prototypes = found._prototypes
    assert prototypes is not None, "the network does not segment"
    if not len(found.which):
        return np.zeros((0, *size), np.float32)
    device = prototypes.device
    which = torch.from_numpy(found.which).to(device)
    logits = torch.einsum("nc,nchw->nhw", found._coefficients, prototypes[which])
    corners = torch.from_numpy(np.asarray(windows, np.float32)).to(device)
    boxes = torch.from_numpy(found.boxes).to(device)
    x, y = (_ticks(corners[:, axis], corners[:, axis + 2], count) for axis, count in ((0, size[1]), (1, size[0])))
    # Coordinates in the whole image, from -1 at its first edge to 1 at its last.
    box = found._letterbox
    u = 2 * (x * box.scale[0] + box.offset[0]) / box.size[1] - 1
    v = 2 * (y * box.scale[1] + box.offset[1]) / box.size[0] - 1
    grid = torch.stack([u[:, None, :].expand(-1, size[0], -1), v[:, :, None].expand(-1, -1, size[1])], -1)
    found_masks = F.grid_sample(logits[:, None], grid, padding_mode="border", align_corners=False)[:, 0].sigmoid()
    across = (x >= boxes[:, :1]) & (x <= boxes[:, 2:3])
    down = (y >= boxes[:, 1:2]) & (y <= boxes[:, 3:])
    inside = down[:, :, None] & across[:, None, :]
    return np.asarray((found_masks * inside).cpu().numpy())


def _ticks(low: Tensor, high: Tensor, count: int) -> Tensor:
    """The centres (N, count) of that many equal parts."""
    parts = (torch.arange(count, device=low.device) + 0.5) / count
    return low[:, None] + (high - low)[:, None] * parts


def _apart(candidates: Array) -> list[int]:
    """Rows of boxes and scores (K, 5) above the threshold, after non-maximum suppression."""
    corners = candidates[:, :4]
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), candidates[:, 4].tolist(), CONFIDENCE, SAME_PERSON)
    return [int(row) for row in kept]
