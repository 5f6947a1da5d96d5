"""The chain that the GPU bench times: decoded frames on the device to boxes, silhouettes and heatmaps.

No step runs on the CPU. The networks' weights are random, so their detections mean nothing. Everything is computed as
for real weights, including non-maximum suppression; the position of the person is then replaced by a box that moves
through the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE, CROP = 64, (256, 192)
CANDIDATES, ROUNDS, OVERLAP = 100, 8, 0.7
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Chain:
    """Processes frames of one size, a batch at a time, in fixed buffers, as a CUDA graph requires.

    Args:
        detector, pose: networks in eval mode, on the device, in the precision to run in.
        batch: number of frames.
        size: height and width of a frame.
        inner: height and width of the detector's input, multiples of 32.
    """

    def __init__(
        self, detector: nn.Module, pose: nn.Module, batch: int, size: tuple[int, int], inner: tuple[int, int]
    ) -> None:
        parameter = next(pose.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.detector, self.pose, self.inner = detector, pose, inner
        self.pictures = torch.zeros(batch, *size, 3, dtype=torch.uint8, device=self.device)
        self.people = walk(batch, size).to(self.device)
        self.mean, self.deviation = (
            torch.tensor(v, device=self.device, dtype=self.dtype).view(1, 3, 1, 1) for v in (MEAN, DEVIATION)
        )

    def __call__(self) -> tuple[Tensor, ...]:
        """Detected boxes and scores, silhouettes, heatmaps and joints of the batch in :attr:`pictures`."""
        full, small = self.shrink()
        boxes, scores, coefficients, prototypes = self.detect(small)
        found, best, which = choose(boxes, scores[..., 0])
        silhouettes = self.silhouettes(coefficients, prototypes, which)
        maps = self.heatmaps(self.crops(full))
        return found, best, silhouettes, maps, joints_of(maps)

    def shrink(self) -> tuple[Tensor, Tensor]:
        """The pictures in the networks' precision, (B, 3, H, W), 0 to 255; and letterboxed to the detector's size."""
        full = self.pictures.permute(0, 3, 1, 2).to(self.dtype)  # channels last, as the bytes lie
        scale = min(inner / side for inner, side in zip(self.inner, full.shape[2:], strict=True))
        small = F.interpolate(full, [round(scale * side) for side in full.shape[2:]], mode="area")
        below, right = self.inner[0] - small.shape[2], self.inner[1] - small.shape[3]
        return full, (F.pad(small, (0, right, 0, below), value=114.0) / 255).contiguous(
            memory_format=torch.channels_last
        )

    def detect(self, small: Tensor) -> tuple[Tensor, ...]:
        """Run only the detector."""
        found: tuple[Tensor, ...] = self.detector(small)
        return found

    def silhouettes(self, coefficients: Tensor, prototypes: Tensor, which: Tensor) -> Tensor:
        """Masks of the chosen candidates, cut out of the person's box: uint8 (B, 64, 64), 0 or 255."""
        rows = coefficients.gather(1, which[:, None, None].expand(-1, 1, coefficients.shape[2]))
        masks = (rows @ prototypes.flatten(2)).view(len(rows), 1, *prototypes.shape[2:]).sigmoid()
        scale = prototypes.shape[3] / self.pictures.shape[2]
        cut = F.grid_sample(masks, self._grid(self.people, (SIDE, SIDE), 1.0, masks.shape, scale), align_corners=False)
        return (cut[:, 0] > 0.5).to(torch.uint8) * 255

    def crops(self, full: Tensor) -> Tensor:
        """The upright 3:4 boxes around the people, grown by 1.25, normalised: (B, 3, 256, 192)."""
        grid = self._grid(self.people, CROP, 1.25, full.shape, 1.0)
        crops = F.grid_sample(full, grid, align_corners=False) / 255
        return ((crops - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)

    def heatmaps(self, crops: Tensor) -> Tensor:
        """Uint8 (B, 17, 64, 48), round(255·p)."""
        maps: Tensor = self.pose(crops)
        return (maps.clamp(0, 1) * 255).round().to(torch.uint8)

    def _grid(self, boxes: Tensor, out: tuple[int, int], grow: float, shape: torch.Size, scale: float) -> Tensor:
        """Where ``grid_sample`` of a picture of that shape, ``scale`` times as large, finds the grown boxes' pixels."""
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 * scale
        heights = (boxes[:, 3] - boxes[:, 1]) * grow * scale
        half = torch.stack((heights * out[1] / out[0], heights), 1) / 2
        y, x = (torch.linspace(-1 + 1 / n, 1 - 1 / n, n, device=boxes.device) for n in out)
        steps = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), 2)
        at = centres[:, None, None] + steps[None] * half[:, None, None]
        return torch.stack((at[..., 0] * (2 / shape[3]) - 1, at[..., 1] * (2 / shape[2]) - 1), 3).to(self.dtype)


def walk(count: int, size: tuple[int, int]) -> Tensor:
    """Boxes (count, 4) of a person a third of the picture high who crosses it."""
    height, width = size
    x = torch.linspace(0.2 * width, 0.8 * width, count)
    h = torch.full_like(x, height / 3)
    return torch.stack((x - h / 6, 0.6 * height - h / 2, x + h / 6, 0.6 * height + h / 2), 1)


def choose(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Non-maximum suppression without a CPU step: the best box (B, 4), its score and its index, (B,) each.

    A candidate is removed if a better remaining one covers it. This converges from the best downwards in a fixed
    number of rounds, which is exact for chains of overlaps up to that length.
    """
    best, index = scores.topk(min(CANDIDATES, scores.shape[1]), dim=1)
    some = boxes.gather(1, index[..., None].expand(-1, -1, 4)).float()
    areas = (some[..., 2:] - some[..., :2]).clamp(min=0).prod(2)
    low = torch.maximum(some[:, :, None, :2], some[:, None, :, :2])
    high = torch.minimum(some[:, :, None, 2:], some[:, None, :, 2:])
    shared = (high - low).clamp(min=0).prod(3)
    covers = shared > OVERLAP * (areas[:, :, None] + areas[:, None] - shared)
    covers = covers.triu(1)
    stays = torch.ones_like(best, dtype=torch.bool)
    for _ in range(ROUNDS):
        stays = ~(covers & stays[:, :, None]).any(1)
    first = torch.where(stays, best, -1).argmax(1, keepdim=True)
    return (
        some.gather(1, first[..., None].expand(-1, -1, 4))[:, 0],
        best.gather(1, first)[:, 0],
        index.gather(1, first)[:, 0],
    )


def joints_of(maps: Tensor) -> Tensor:
    """Column, row and height in [0, 1] of each heatmap's peak: float32 (B, 17, 3)."""
    peaks, index = maps.flatten(2).max(2)
    width = maps.shape[3]
    return torch.stack((index % width, index // width, peaks / 255), 2).float()


def graphed(task: Callable[[], Any], device: torch.device) -> Callable[[], Any]:
    """On a GPU, the task's kernels as one CUDA graph, which launches in microseconds; elsewhere the task itself."""
    if device.type != "cuda":
        return task
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            task()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = task()

    def replay() -> Any:
        graph.replay()
        return out

    return replay


def seconds(task: Callable[[], Any], laps: int, device: torch.device) -> float:
    """Median seconds of a task after a warm-up; on a GPU measured with CUDA events."""
    for _ in range(3 if device.type == "cuda" else 1):
        task()
    if device.type != "cuda":
        times = []
        for _ in range(laps):
            start = perf_counter()
            task()
            times.append(perf_counter() - start)
        return median(times)
    pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(laps)]
    for before, after in pairs:
        before.record()
        task()
        after.record()
    torch.cuda.synchronize()
    return median(before.elapsed_time(after) for before, after in pairs) / 1000
