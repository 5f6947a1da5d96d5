"""A rendered set on its way into a file: takes in batches, frames that are cut off left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from training.datasets import walkers as packs
from training.datasets.sample import NOMINAL_RATE
from training.walkers.dress import Dress
from training.walkers.flesh import Shape
from training.walkers.gait import Path as Way
from training.walkers.gait_cycle import walk_cycle
from training.walkers.sets import SETS, Size, Take
from training.walkers.silhouettes import render
from training.walkers.views import Views

BATCH = 48
LEAST = 15
"""Frames; takes with fewer in which the person is whole are left out."""


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
    """Render a set into a pack.

    Args:
        name: key of ``SETS``.
        kinect: folder or file of the Kinect Gait Biometry data set.
        out: the pack.
        size, seed: other than the set's own.
        device: where torch renders.
        views: names of those that are rendered; None renders all.
        change: made to every take, to see what comes of it.
        mistakes: False shows the truth, not what perception makes of it.
        on_progress: told the number of takes done.

    Returns:
        Hexadecimal sha256 of what is in the pack. It is a function of set, size, seed and the processor's arithmetic:
        on another one a pixel in a million may fall on the other side of one half.

    Raises:
        BadDataset: the Kinect walks are not there.
    """
    chosen = SETS[name]
    size, seed = size or chosen.size, chosen.seed if seed is None else seed
    chosen_takes = (take for take in chosen.takes(kinect, seed, size) if views is None or take.view in views)
    takes = map(change, chosen_takes) if change is not None else chosen_takes
    walks: list[packs.Walk] = []
    done = 0
    while batch := list(islice(takes, BATCH)):
        # What perception gets wrong is a function of the batch's place.
        noise = np.random.default_rng([seed, 4, done]) if mistakes else None
        walks += render_takes(batch, size.frames, noise, device)
        done += len(batch)
        if on_progress is not None:
            on_progress(done)
    return packs.write(out, walks)


def render_takes(
    takes: list[Take], frames: int, noise: np.random.Generator | None = None, device: str = "cpu"
) -> Iterator[packs.Walk]:
    """What the pipeline would see of each take in so many frames at 30 Hz, where it would see enough of it."""
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
