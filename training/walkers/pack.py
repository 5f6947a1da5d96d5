"""Render a set to a file: takes in batches, without cut-off frames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from gaitkeeper.training.datasets import walkers as packs
from gaitkeeper.training.datasets.sample import NOMINAL_RATE
from gaitkeeper.training.walkers.anthropometry import Shape
from gaitkeeper.training.walkers.clothing import Dress
from gaitkeeper.training.walkers.gait import Path as Way
from gaitkeeper.training.walkers.gait_cycle import walk_cycle
from gaitkeeper.training.walkers.sets import SETS, Size, Take
from gaitkeeper.training.walkers.silhouettes import render
from gaitkeeper.training.walkers.views import Views

BATCH = 48
LEAST = 15
"""Minimum number of frames with the whole person; takes with fewer are left out."""


def render_set(
    name: str,
    kinect: Path,
    out: Path,
    *,
    size: Size | None = None,
    seed: int | None = None,
    device: str = "cpu",
    views: Collection[str] | None = None,
    change: Callable[[Take], Take] | None = None,
    mistakes: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> str:
    """Render a set to a pack.

    Args:
        name: key of ``SETS``.
        kinect: folder or file of the Kinect Gait Biometry data set.
        out: path of the pack.
        size, seed: replace those of the set.
        device: device for rendering.
        views: names of the views to render; None renders all.
        change: function that changes every take, for experiments.
        mistakes: False renders without errors of perception.
        on_progress: called with the number of finished takes.

    Returns:
        Hexadecimal sha256 of the pack's contents. It depends on set, size, seed and the processor's arithmetic:
        on another processor a pixel in a million may differ.

    Raises:
        BadDataset: the Kinect walks are missing.
    """
    chosen = SETS[name]
    size, seed = size or chosen.size, chosen.seed if seed is None else seed
    chosen_takes = (take for take in chosen.takes(kinect, seed, size) if views is None or take.view in views)
    takes = map(change, chosen_takes) if change is not None else chosen_takes
    walks: list[packs.Walk] = []
    done = 0
    while batch := list(islice(takes, BATCH)):
        # Errors of perception are a function of the batch's index.
        noise = np.random.default_rng([seed, 4, done]) if mistakes else None
        walks += render_takes(batch, size.frames, noise, device)
        done += len(batch)
        if on_progress is not None:
            on_progress(done)
    return packs.write(out, walks)


def render_takes(
    takes: list[Take], frames: int, noise: np.random.Generator | None = None, device: str = "cpu"
) -> Iterator[packs.Walk]:
    """Render each take in that many frames at 30 Hz; takes with too few visible frames are left out."""
    times = torch.arange(frames, dtype=torch.float64) / NOMINAL_RATE
    joints = torch.stack([walk_cycle(take.cycle, times, Way(phase=take.phase)) for take in takes])
    seen = render(
        joints.to(device),
        Shape.cat([take.shape for take in takes]).to(device),
        Dress.cat([take.dress for take in takes]).to(device),
        Views.cat([take.camera for take in takes]).to(device),
        noise,
    )
    whole = seen.whole.cpu().numpy()
    packed = np.packbits(seen.silhouettes.cpu().numpy() > 127, axis=3)
    arrays = [packed, *(a.cpu().numpy() for a in (seen.joints, seen.boxes))]
    for i, take in enumerate(takes):
        kept = np.flatnonzero(whole[i])
        if len(kept) >= LEAST:
            silhouettes, coco, boxes = (a[i][kept] for a in arrays)
            yield packs.Walk(take.subject, take.condition, take.take, take.view, silhouettes, coco, boxes, kept)
