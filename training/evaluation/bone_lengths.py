"""The baseline for the Kinect data: nearest neighbour by bone lengths, without training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gaitkeeper.models.skeletons import KINECT_16, KINECT_16_OF_20
from gaitkeeper.training.datasets.kinect import xy16
from gaitkeeper.training.datasets.sample import Dataset
from gaitkeeper.training.evaluation.embedding import Embedded

Array = npt.NDArray[Any]

BONES_16 = KINECT_16.bones
HANDS_AND_FEET = ((6, 8), (7, 9), (16, 18), (17, 19))
BONES_20 = (*((KINECT_16_OF_20[a], KINECT_16_OF_20[b]) for a, b in BONES_16), *HANDS_AND_FEET)
"""Pairs of the joints of ``gaitkeeper.models.skeletons.KINECT_16``, and of the sensor's 20."""


@dataclass(frozen=True)
class Reading:
    """A way to read bone lengths from a walk.

    Attributes:
        of: converts joints (T, 20, 3) to (T, V, D).
        bones: pairs of these V joints.
    """

    of: Callable[[Array], Array]
    bones: tuple[tuple[int, int], ...]


READINGS: dict[str, Reading] = {
    "x, y in metres": Reading(partial(xy16, scaled=False), BONES_16),
    "x, y scale-normalised": Reading(partial(xy16, scaled=True), BONES_16),
    "20 joints, x, y, z in metres": Reading(lambda joints: joints, BONES_20),
}
"""The first two read JointsGait's inputs, the third the sensor's data. Metres reveal body size."""


def bone_lengths(joints: Array, bones: tuple[tuple[int, int], ...]) -> Array:
    """Mean length of each bone over the frames.

    Args:
        joints: (T, V, D).
        bones: B pairs of joints.

    Returns:
        float32 (B,), in the unit of the joints.
    """
    near, far = np.array(bones).T
    lengths: Array = np.linalg.norm(joints[:, near] - joints[:, far], axis=-1)
    return np.asarray(lengths.mean(axis=0), np.float32)


def embed_bone_lengths(walks: Dataset, reading: str) -> Embedded:
    """Walks of the Kinect data as embeddings of one part, (N, 1, B), to compare like those of a network.

    Args:
        walks: walks with Kinect joints.
        reading: key of ``READINGS``.
    """
    rows, chosen = [], READINGS[reading]
    for sample in walks:
        joints = sample.load().joints
        assert joints is not None
        rows.append(bone_lengths(chosen.of(joints), chosen.bones))
    return Embedded(tuple(walks), torch.from_numpy(np.stack(rows))[:, None], {})
