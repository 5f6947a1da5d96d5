"""Debug pictures of what the pipeline saw, one per tracklet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.pipeline import ClipResult
from gaitkeeper.pipelines.sequence import GaitSequence

Array = npt.NDArray[Any]

COLUMNS = 20
CELL = 64
INK, PAPER, SOFT = (235, 235, 235), (24, 24, 28), (120, 120, 130)
LEFT, RIGHT, MIDDLE = (120, 200, 255), (255, 170, 90), (210, 210, 210)

# COCO-17 limbs and the side of the body they are on.
LIMBS = (
    (5, 7, LEFT), (7, 9, LEFT), (11, 13, LEFT), (13, 15, LEFT), (5, 11, LEFT),
    (6, 8, RIGHT), (8, 10, RIGHT), (12, 14, RIGHT), (14, 16, RIGHT), (6, 12, RIGHT),
    (5, 6, MIDDLE), (11, 12, MIDDLE), (0, 5, MIDDLE), (0, 6, MIDDLE),
)  # fmt: skip


def write_pictures(result: ClipResult, out: Path) -> list[Path]:
    """Write ``track-N.png`` for every sequence: silhouette strip, skeleton strip, box trail.

    Args:
        result: result of :meth:`gaitkeeper.pipelines.Pipeline.process`.
        out: folder, created if missing.

    Returns:
        The files written, in the order of the sequences.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for seq in result.sequences:
        path = out / f"track-{seq.track}.png"
        cv2.imwrite(str(path), cv2.cvtColor(sheet(seq, result.picture), cv2.COLOR_RGB2BGR))
        paths.append(path)
    return paths


def sheet(seq: GaitSequence, picture: Array) -> Array:
    """One tracklet's picture, uint8 (H, W, 3) RGB."""
    width = COLUMNS * CELL
    quality = seq.quality
    skipped = ", ".join(f"{count} {reason}" for reason, count in quality.skipped.items()) or "none"
    lines = [
        f"track {seq.track}: {len(seq)} frames, {seq.timestamps[0]:.2f} to {seq.timestamps[-1]:.2f} s at "
        f"{quality.rate_hz:.1f} Hz, {quality.gait_cycles:.1f} gait cycles",
        f"joint score {quality.mean_joint_score:.2f}, mask stability {quality.mask_stability:.2f}, "
        f"skipped: {skipped}, missed: {quality.missed}",
    ]
    return np.vstack(
        [_text(lines, width), silhouette_strip(seq), skeleton_strip(seq), _fit(box_trail(seq, picture), width)]
    )


def silhouette_strip(seq: GaitSequence) -> Array:
    """Twenty silhouettes spread over the sequence, uint8 (64, 1280, 3)."""
    return np.repeat(np.hstack(list(seq.silhouettes[_spread(seq)]))[..., None], 3, axis=2)


def skeleton_strip(seq: GaitSequence) -> Array:
    """The skeletons of the same frames, left limbs blue and right limbs orange, uint8 (64, 1280, 3)."""
    return np.hstack([_skeleton(seq.joints[i], seq.boxes[i]) for i in _spread(seq)])


def box_trail(seq: GaitSequence, picture: Array) -> Array:
    """A frame of the clip with every tenth box and the path of the feet, from dark to light with time."""
    canvas = (picture * 0.6).astype(np.uint8)
    scale = picture.shape[1] / max(seq.frame_size[0], 1)
    boxes = seq.boxes * scale
    for i in range(0, len(seq), max(1, len(seq) // 10)):
        x1, y1, x2, y2 = (int(edge) for edge in boxes[i])
        shade = 90 + int(165 * i / max(len(seq) - 1, 1))
        cv2.rectangle(canvas, (x1, y1), (x2, y2), (shade, shade, 60), 1, cv2.LINE_AA)
    feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1).astype(np.int32)
    cv2.polylines(canvas, [feet], False, (90, 220, 120), 1, cv2.LINE_AA)
    return canvas


def _spread(seq: GaitSequence) -> Array:
    return np.linspace(0, len(seq) - 1, COLUMNS).round().astype(int)


def _skeleton(joints: Array, box: Array) -> Array:
    """One skeleton in a cell, scaled like the silhouette above it."""
    height = max(float(box[3] - box[1]), 1e-3)
    origin = np.array([(box[0] + box[2]) / 2 - height / 2, box[1]])
    points = ((joints[:, :2] - origin) * CELL / height).astype(int)
    cell = np.full((CELL, CELL, 3), PAPER, np.uint8)
    for a, b, colour in LIMBS:
        if min(joints[a, 2], joints[b, 2]) > 0.2:
            cv2.line(cell, points[a].tolist(), points[b].tolist(), colour, 1, cv2.LINE_AA)
    return cell


def _text(lines: list[str], width: int) -> Array:
    canvas = np.full((8 + 18 * len(lines), width, 3), PAPER, np.uint8)
    for row, line in enumerate(lines):
        colour = INK if row == 0 else SOFT
        cv2.putText(canvas, line, (8, 18 + 18 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    return canvas


def _fit(image: Array, width: int) -> Array:
    """The image in the middle of a band as wide as the sheet."""
    band = np.full((image.shape[0], width, 3), PAPER, np.uint8)
    left = (width - image.shape[1]) // 2
    band[:, left : left + image.shape[1]] = image
    return band
