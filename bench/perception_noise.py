"""Errors of the perception on pictures with known truth: ``python -m bench.perception_noise``.

Rendered people of training/bodies (it needs the extra ``bodies`` and MakeHuman's clothes), seen from all sides, go
through the pipeline's own perception. Its masks, joints, scores and heatmaps are compared with the truth.
``training/walkers/perception_noise.py`` simulates these errors. Its constants were measured on plainer walkers, made of
lofts, which are no longer rendered.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from gaitkeeper.pipelines.perception import Person, build_perception
from gaitkeeper.pipelines.perception.base import heatmap_box
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.silhouette import silhouette
from gaitkeeper.training.bodies.clips import Stage
from gaitkeeper.training.bodies.footage import Frame
from gaitkeeper.training.bodies.model import body_model
from gaitkeeper.training.bodies.wardrobe import Wardrobe
from gaitkeeper.training.walkers.skeleton import COCO17

Array = npt.NDArray[Any]
AZIMUTHS = (0, 45, 90, 135, 180, 225, 270, 315)
MIRROR = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])


@dataclass(frozen=True, eq=False)
class Pair:
    """One frame: perception and truth.

    Attributes:
        walk: number of the walk.
        azimuth: degrees.
        person: what the perception found.
        mask: bool (H, W), the truth: pixels that mostly show the person.
        joints: float32 (17, 2), the truth, COCO-17 x and y in pixels.
    """

    walk: int
    azimuth: int
    person: Person
    mask: npt.NDArray[np.bool_]
    joints: npt.NDArray[np.float32]

    @classmethod
    def of(cls, walk: int, azimuth: int, person: Person, frame: Frame) -> Pair:
        """What was found in a frame of one person."""
        return cls(walk, azimuth, person, frame.cover[0] > 0.5, frame.joints[0])


def watched(stage: Stage, people: int, seconds: float, seed: int) -> Iterator[Pair]:
    """Frames in which the walker was detected, by walk."""
    perception = build_perception(PipelineSettings())
    cast = stage.people(people, seed)
    for number in range(people * len(AZIMUTHS)):
        azimuth = AZIMUTHS[number % len(AZIMUTHS)]
        who = stage.appear(cast[number // len(AZIMUTHS)], np.random.default_rng([seed, number]))
        clip = stage.crossing(who, azimuth=azimuth, seconds=seconds, size=(848, 480), seed=seed + number)
        watcher = perception.watch()
        for count, frame in enumerate(clip.frames()):
            found = watcher.see(frame.image, count / clip.recording.rate)
            if found:
                yield Pair.of(number, azimuth, max(found, key=lambda p: p.score), frame)


def mask_errors(pair: Pair) -> dict[str, float] | None:
    """Overlap of the masks, and distances of the detected outline from the true one, in pixels at a height of 64."""
    height, width = pair.mask.shape
    x1, y1, x2, _ = pair.person.window
    pixel = (x2 - x1) / pair.person.mask.shape[1]
    matrix = np.array([[pixel, 0, x1 + 0.5 * pixel - 0.5], [0, pixel, y1 + 0.5 * pixel - 0.5]])
    seen = cv2.warpAffine(pair.person.mask, matrix, (width, height), flags=cv2.INTER_LINEAR) > 0.5
    true = pair.mask
    rows = np.flatnonzero(true.any(1))
    if not len(rows) or not seen.any():
        return None
    unit = (rows[-1] + 1 - rows[0]) / 64
    inside, outside = distance_transform_edt(true), distance_transform_edt(~true)
    signed = np.where(true, 0.5 - inside, outside - 0.5) / unit
    edge = seen & ~cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    off = signed[edge]
    shapes = silhouette(pair.person.mask), silhouette(true.astype(np.float32))
    differ = float((shapes[0] != shapes[1]).mean()) if shapes[0] is not None and shapes[1] is not None else 1.0
    return {
        "iou": float((seen & true).sum() / (seen | true).sum()),
        "edge_mean": float(off.mean() + 0.5 / unit),
        "edge_sd": float(off.std()),
        "edge_95": float(np.quantile(np.abs(off), 0.95)),
        "area": float(seen.sum() / true.sum()),
        "silhouette_pixels_that_differ": differ,
    }


def joint_errors(pairs: list[Pair]) -> tuple[Array, Array, Array]:
    """Errors (T, 17, 2) in torso lengths after undoing swaps, swapped joints (T, 17), scores (T, 17)."""
    true = np.stack([pair.joints for pair in pairs])
    seen = np.stack([pair.person.joints for pair in pairs])
    torso = np.linalg.norm(true[:, 5:7].mean(1) - true[:, 11:13].mean(1), axis=-1)[:, None, None]
    plain = (seen[..., :2] - true) / torso
    crossed = (seen[..., :2] - true[:, MIRROR]) / torso
    apart = np.linalg.norm(true - true[:, MIRROR], axis=-1) / torso[..., 0]
    nearer = np.linalg.norm(crossed, axis=-1) < 0.6 * np.linalg.norm(plain, axis=-1)
    swapped = nearer & (apart > 0.2)
    return np.where(swapped[..., None], crossed, plain).astype(np.float64), swapped, seen[..., 2].astype(np.float64)


def blob(pair: Pair) -> list[tuple[float, float, float]]:
    """Peak, standard deviation in heatmap pixels, and offset from the joint, for every heatmap with a clear peak."""
    left, top, _, bottom = heatmap_box(pair.person.box)
    step = (bottom - top) / 64
    found = []
    for heat, (x, y, _) in zip(pair.person.heatmaps / 255.0, pair.person.joints, strict=True):
        if heat.max() < 0.15:
            continue
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        # The area of a Gaussian above half its peak is 2π ln2 σ².
        area = (heat[max(row - 8, 0) : row + 9, max(column - 8, 0) : column + 9] > heat.max() / 2).sum()
        off = np.hypot((x - left) / step - 0.5 - column, (y - top) / step - 0.5 - row)
        found.append((float(heat.max()), float(np.sqrt(area / (2 * np.pi * np.log(2)))), float(off)))
    return found


def report(pairs: list[Pair]) -> dict[str, Any]:
    """Every figure that the noise model uses."""
    masks = [m for pair in pairs if (m := mask_errors(pair))]
    errors, swapped, scores = joint_errors(pairs)
    blobs = np.array([b for pair in pairs for b in blob(pair)])
    same_walk = np.array([a.walk == b.walk for a, b in itertools.pairwise(pairs)])
    centred = errors - np.median(errors, 0)
    joints = {}
    for j, name in enumerate(COCO17):
        e = centred[:, j].clip(-0.5, 0.5)
        ahead, behind = e[1:][same_walk], e[:-1][same_walk]
        joints[name] = {
            "bias": np.median(errors[:, j], 0).round(3).tolist(),
            "sd": e.std(0).round(3).tolist(),
            "lag_1": round(float((ahead * behind).mean() / e.var()), 2),
            "step_sd": round(float((ahead - behind).std()), 4),
            "swapped": round(float(swapped[:, j].mean()), 4),
            "score": [round(float(scores[:, j].mean()), 3), round(float(scores[:, j].std()), 3)],
        }
    # From the sides, one arm and one leg are nearer: left at about 90 degrees, right at about 270.
    near, far = [], []
    for i, pair in enumerate(pairs):
        if pair.azimuth % 180:
            near.append((i, 0 if pair.azimuth < 180 else 1))
            far.append((i, 1 if pair.azimuth < 180 else 0))
    sides = {}
    for part, left in (("elbow", 7), ("wrist", 9), ("knee", 13), ("ankle", 15)):
        for name, chosen in (("near", near), ("far", far)):
            rows, joint = [i for i, _ in chosen], [left + side for _, side in chosen]
            sides[f"{name}_{part}"] = {
                "sd": round(float(centred[rows, joint].clip(-0.5, 0.5).std()), 3),
                "score": np.quantile(scores[rows, joint], [0.1, 0.25, 0.5, 0.75, 0.9]).round(3).tolist(),
                "swapped": round(float(swapped[rows, joint].mean()), 4),
            }
    return {
        "frames": len(pairs),
        "walks": len({pair.walk for pair in pairs}),
        "mask": {key: round(float(np.mean([m[key] for m in masks])), 4) for key in masks[0]},
        "iou_quantiles": np.quantile([m["iou"] for m in masks], [0.01, 0.05, 0.5]).round(3).tolist(),
        "joints": joints,
        "from_the_side": sides,
        "blob": dict(zip(("peak", "sigma", "off"), np.median(blobs, 0).round(3).tolist(), strict=True)),
        "swapped_legs_spell": _spell(np.asarray(swapped[:, 13:].any(1)), same_walk),
        "blob_peak_sd": round(float(blobs[:, 0].std()), 3),
    }


def _spell(swapped: Array, same_walk: Array) -> float:
    """Mean duration of a swap in frames."""
    begins = swapped[1:] & (~swapped[:-1] | ~same_walk)
    return round(float(swapped.sum() / max(1, begins.sum() + swapped[0])), 2)


def main() -> None:
    """Print the figures as JSON, and write them to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--assets", type=Path, help="MakeHuman's clothes; GAITKEEPER_ASSETS or the cache without it")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model = body_model()
    stage = Stage(model, Wardrobe(model, options.assets))
    text = json.dumps(report(list(watched(stage, options.people, options.seconds, options.seed))), indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
