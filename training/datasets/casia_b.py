"""CASIA-B as published: one folder of PNG frames a walk, ``001/nm-01/090/*.png``.

Yu, Tan and Tan, "A Framework for Evaluating the Effect of View Angle, Clothing and Carrying Condition on Gait
Recognition", ICPR 2006: 124 people, 11 views, six walks nm, two bg, two cl.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gaitkeeper.pipelines.silhouette import silhouette
from gaitkeeper.training.datasets.sample import Array, Dataset, Inputs, Sample
from gaitkeeper.training.datasets.sequences import split_recording
from gaitkeeper.training.errors import BadDataset

RATE = 25.0
"""Hertz of the published videos."""


def read(root: Path) -> Dataset:
    """The walks of a folder ``subject/condition-take/view`` of PNG silhouettes, in any picture size.

    Frames are normalised by :func:`gaitkeeper.pipelines.silhouette.silhouette`. Empty frames are left out, and a few in
    which background subtraction left only a speck (below 1/1000 of the picture).

    Raises:
        BadDataset: there is no such folder.
    """
    samples = []
    for folder in sorted(path for path in root.glob("*/*/*") if path.is_dir()):
        condition, take = split_recording(folder.parent.name)
        subject = folder.parent.parent.name
        samples.append(Sample(subject, condition, folder.name, take, partial(_walk, folder)))
    if not samples:
        raise BadDataset(f"No walks in {root}: folders 001/nm-01/090 of PNG frames expected.")
    return Dataset("casia_b", tuple(samples))


def normalised(frames: list[Array]) -> tuple[Array, Array]:
    """Convert masks to silhouettes, and say which frames gave one.

    Args:
        frames: uint8 (h, w) each, 0..255, person bright.

    Returns:
        silhouettes: uint8 (K, 64, 64).
        kept: indices (K,) of the frames.
    """
    kept, made = [], []
    for i, frame in enumerate(frames):
        shape = silhouette(frame.astype(np.float32) / 255) if (frame > 127).mean() > 1e-3 else None
        if shape is not None:
            kept.append(i)
            made.append(shape)
    return np.array(made, np.uint8).reshape(len(made), 64, 64), np.array(kept, np.int64)


def decode_grey(data: bytes) -> Array | None:
    """A picture as uint8 (h, w), or None if it cannot be decoded."""
    picture: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    return None if picture is None else np.asarray(picture, np.uint8)


def _walk(folder: Path) -> Inputs:
    pictures = [decode_grey(path.read_bytes()) for path in sorted(folder.glob("*.png"))]
    silhouettes, kept = normalised([p if p is not None else np.zeros((1, 1), np.uint8) for p in pictures])
    if not len(kept):
        raise BadDataset(f"{folder} has no usable silhouette.")
    return Inputs(silhouettes=silhouettes, timestamps=kept / RATE, perception="casia-b")
