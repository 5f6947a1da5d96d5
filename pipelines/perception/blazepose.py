"""BlazePose on LiteRT: a person detector for tiles, and one pass per person for mask, joints and heatmaps.

Models: ``pose_detection.tflite`` and ``pose_landmark_full.tflite`` (BlazePose GHUM; Bazarevsky et al., "BlazePose:
On-device Real-time Body Pose tracking", CVPR workshops 2020).
"""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.perception.base import Person, heatmap_box
from gaitkeeper.pipelines.perception.masks import certainty, main_part, mask_box
from gaitkeeper.pipelines.shrink import shrink

Array = npt.NDArray[Any]

DETECTOR_SIDE = 224
CROP_SIDE = 256
HEATMAP_SIDE = 64
MIN_DETECTION = 0.5
MAX_LEAN = 40.0
ROI_GROWTH = 1.25

# Of the 33 BlazePose landmarks, the 17 of COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
COCO = np.array([0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
# Two more points give the next crop: the middle of the hips, and a point on the circle around the body.
CENTRE, RIM = 33, 34


# An interpreter ends its threads when it is collected. A forked process does not have these threads and would crash, so
# interpreters that existed before a fork are never freed in the child.
_interpreters: weakref.WeakSet[Any] = weakref.WeakSet()
_held: list[Any] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=lambda: _held.extend(_interpreters), after_in_parent=_held.clear)


@dataclass(frozen=True)
class Region:
    """A square of the picture that should contain one person: centre and side in pixels of the clip."""

    x: float
    y: float
    side: float

    @property
    def window(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2."""
        half = self.side / 2
        return self.x - half, self.y - half, self.x + half, self.y + half


class Model:
    """One LiteRT model; an interpreter per thread, because an interpreter serves one call at a time.

    Args:
        path: of the model.
        threads: number of threads per call; the result does not depend on it.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._content, self._threads = path.read_bytes(), threads
        self._local = threading.local()

    def __call__(self, image: Array) -> dict[tuple[int, ...], Array]:
        """Run on one (H, W, 3) float32 image; each output under its shape, batch axis dropped."""
        interpreter = getattr(self._local, "interpreter", None)
        if interpreter is None:
            from ai_edge_litert.interpreter import Interpreter

            interpreter = self._local.interpreter = Interpreter(model_content=self._content, num_threads=self._threads)
            interpreter.allocate_tensors()
            _interpreters.add(interpreter)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        outputs = (interpreter.get_tensor(output["index"])[0] for output in interpreter.get_output_details())
        return {output.shape: output for output in outputs}


class Detector:
    """Detects the prominent, fairly large people in one square tile."""

    def __init__(self, path: Path) -> None:
        self._model = Model(path)
        self._anchors = _anchors()

    def __call__(self, image: Array, tile: tuple[int, int, int]) -> list[tuple[float, Region]]:
        """(score, region) of each person in the tile (x, y, side) of an RGB uint8 picture, best first."""
        x, y, side = tile
        view = shrink(image[y : y + side, x : x + side], DETECTOR_SIDE, DETECTOR_SIDE)
        out = self._model(view.astype(np.float32) / 127.5 - 1)
        scores = sigmoid(out[(len(self._anchors), 1)][:, 0])
        found = []
        for i in np.argsort(-scores):
            if scores[i] < MIN_DETECTION:
                break
            # 12 numbers per anchor: box, then four points; the first two are the middle of the hips and the body's rim.
            points = out[(len(self._anchors), 12)][i, 4:8].reshape(2, 2) / DETECTOR_SIDE + self._anchors[i]
            (hx, hy), (rx, ry) = points * side + (x, y)
            radius = float(np.hypot(rx - hx, ry - hy))
            if abs(np.degrees(np.arctan2(rx - hx, hy - ry))) <= MAX_LEAN:
                found.append((float(scores[i]), Region(float(hx), float(hy), 2 * radius * ROI_GROWTH)))
        return found


@dataclass(frozen=True, eq=False)
class Look:
    """The result of the landmark model for a region.

    Attributes:
        presence: probability that a person is there, in [0, 1].
        person: the person, or None if there is no mask.
        next_region: the next crop according to the person's landmarks.
    """

    presence: float
    person: Person | None
    next_region: Region


class Landmarker:
    """Finds mask, joints and heatmaps of one person in a square region, with several threads."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._model = Model(path, threads)

    def __call__(self, image: Array, region: Region) -> Look:
        """Process a region of an RGB uint8 picture."""
        scale = CROP_SIDE / region.side
        x1, y1, _, _ = region.window
        crop = _crop(image, region)
        out = self._model(crop.astype(np.float32) / 255)
        landmarks = out[(195,)].reshape(39, 5)
        points = landmarks[:, :2] / scale + (x1, y1)
        (cx, cy), (rx, ry) = points[CENTRE], points[RIM]
        following = Region(float(cx), float(cy), 2 * float(np.hypot(rx - cx, ry - cy)) * ROI_GROWTH)
        mask = sigmoid(out[(CROP_SIDE, CROP_SIDE, 1)][..., 0])
        joints = np.concatenate([points[COCO], sigmoid(landmarks[COCO, 3:4])], axis=1).astype(np.float32)
        return Look(float(out[(1,)][0]), self._person(out, mask, joints, region, image.shape[:2], landmarks), following)

    def _person(
        self,
        out: dict[tuple[int, ...], Array],
        mask: Array,
        joints: Array,
        region: Region,
        size: tuple[int, int],
        landmarks: Array,
    ) -> Person | None:
        mask = main_part(mask, landmarks[COCO, :2])
        box = mask_box(mask, region.window, size)
        if box is None:
            return None
        logits = out[(HEATMAP_SIDE, HEATMAP_SIDE, 39)][..., COCO]
        peaks = float(sigmoid(logits.reshape(-1, len(COCO)).max(0)).mean())
        return Person(
            box=box,
            score=certainty(mask, peaks),
            mask=mask,
            window=region.window,
            joints=joints,
            heatmaps=_heatmaps(sigmoid(logits), region, box),
        )


def _anchors() -> Array:
    """Centres (2254, 2) of the detector's anchors in [0, 1]: strides 8, 16, 32, 32, 32, two each, size 1."""
    grids = []
    for side, count in ((28, 2), (14, 2), (7, 6)):
        ticks = (np.arange(side, dtype=np.float32) + 0.5) / side
        y, x = np.meshgrid(ticks, ticks, indexing="ij")
        grids.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), count, axis=0))
    return np.concatenate(grids)


def _crop(image: Array, region: Region) -> Array:
    """The region as uint8 (256, 256, 3); black beyond the picture."""
    x1, y1, x2, y2 = (round(edge) for edge in region.window)
    if region.side >= 2 * CROP_SIDE:  # even sides, so that it is halved quickly
        x2, y2 = x2 - (x2 - x1) % 2, y2 - (y2 - y1) % 2
    height, width = image.shape[:2]
    inner = image[max(y1, 0) : max(min(y2, height), 0), max(x1, 0) : max(min(x2, width), 0)]
    if inner.size == 0:
        return np.zeros((CROP_SIDE, CROP_SIDE, 3), np.uint8)
    edges = max(-y1, 0), max(y2 - height, 0), max(-x1, 0), max(x2 - width, 0)
    padded = cv2.copyMakeBorder(inner, *edges, cv2.BORDER_CONSTANT) if any(edges) else inner
    if padded.shape[0] > CROP_SIDE:
        return shrink(padded, CROP_SIDE, CROP_SIDE)
    return np.asarray(cv2.resize(padded, (CROP_SIDE, CROP_SIDE), interpolation=cv2.INTER_LINEAR))


def sigmoid(logits: Array) -> Array:
    """The logistic function of float32 numbers; numpy's exponential is several times as fast as SciPy's."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))))


def _heatmaps(probabilities: Array, region: Region, box: Array) -> Array:
    """(64, 64, 17) probabilities over the region as uint8 (17, 64, 48) over the upright 3:4 box."""
    x1, y1, _, _ = region.window
    left, top, _, bottom = heatmap_box(box)
    step = (bottom - top) / 64  # pixels of the clip per heatmap row, and per column: the box is 3:4 like 48:64
    pixel = region.side / HEATMAP_SIDE
    # Pixel centres: output index i lies at left + (i + 0.5)·step in the clip.
    scale = step / pixel
    shift_x = (left + 0.5 * step - x1) / pixel - 0.5
    shift_y = (top + 0.5 * step - y1) / pixel - 0.5
    matrix = np.array([[scale, 0, shift_x], [0, scale, shift_y]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    planes = np.ascontiguousarray(probabilities.transpose(2, 0, 1))  # OpenCV would copy each
    maps = [cv2.warpAffine(plane, matrix, (48, 64), flags=flags) for plane in planes]
    return np.round(255 * np.stack(maps)).astype(np.uint8)
