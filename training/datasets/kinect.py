"""The Kinect Gait Biometry data set: 3D joints of people on a half circle around a Kinect V1 that turns with them.

Andersson and Araujo, "Person Identification Using Anthropometric and Gait Data from Kinect Sensor", AAAI 2015.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from gaitkeeper.models.skeletons import KINECT_16_OF_20
from gaitkeeper.training.datasets.sample import NOMINAL_RATE, Array, Dataset, Inputs, Sample
from gaitkeeper.training.errors import BadDataset

JOINTS = 20
UNIT = np.float32(1 / 4000)
"""Resolution of the packed integers in metres, a quarter of a millimetre."""
SHOULDER_CENTRE, HIP_CENTRE = 1, 11


def read(root: Path) -> Dataset:
    """The walks of ``walks.npz``, or of a folder ``Person001/1.txt`` as published.

    A sample's ``take`` is the number of the walk; there are no conditions and no views. The only input is joints,
    float32 (T, 20, 3) in metres, 30 Hz.

    Raises:
        BadDataset: there are no such files.
    """
    packed = root if root.suffix == ".npz" else root / "walks.npz"
    if packed.is_file():
        with np.load(packed, allow_pickle=False) as archive:
            keys = sorted(archive.files, key=_by_number)
        samples = [Sample(*_named(key), partial(_packed, packed, key)) for key in keys]
    else:
        paths = sorted(root.glob("Person*/*.txt"), key=lambda path: _by_number(f"{path.parent.name}_{path.stem}"))
        samples = [Sample(path.parent.name, "", "", path.stem, partial(_text, path)) for path in paths]
    if not samples:
        raise BadDataset(f"No Kinect walks in {root}: walks.npz or Person001/1.txt expected.")
    return Dataset("kinect", tuple(samples))


def xy16(joints: Array, *, scaled: bool) -> Array:
    """JointsGait's input for a walk: x and y of 16 joints from the hip centre, y up.

    Args:
        joints: float32 (T, 20, 3), metres.
        scaled: divide by the walk's median shoulder-centre-to-hip-centre distance, measured in x and y, which
            removes body size; else metres.

    Returns:
        float32 (T, 16, 2), the joints of ``gaitkeeper.models.skeletons.KINECT_16``.
    """
    xy = joints[:, :, :2] - joints[:, HIP_CENTRE : HIP_CENTRE + 1, :2]
    if scaled:
        xy = xy / max(float(np.median(np.linalg.norm(xy[:, SHOULDER_CENTRE], axis=-1))), 1e-3)
    return np.ascontiguousarray(xy[:, KINECT_16_OF_20], np.float32)


def _inputs(joints: Array) -> Inputs:
    return Inputs(
        joints=joints, timestamps=np.arange(len(joints)) / NOMINAL_RATE, skeleton="kinect", perception="kinect"
    )


def _packed(path: Path, key: str) -> Inputs:
    with np.load(path, allow_pickle=False) as archive:
        return _inputs(archive[key].astype(np.float32) * UNIT)


def _text(path: Path) -> Inputs:
    """Lines ``Joint;x;y;z`` in metres, 20 a frame in a fixed order; an incomplete last frame is left out."""
    try:
        rows = [line.split(";") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        whole = len(rows) - len(rows) % JOINTS
        names = [row[0] for row in rows[:whole]]
        values = np.array([[float(v) for v in row[1:4]] for row in rows[:whole]], np.float32)
        frames = values.reshape(-1, JOINTS, 3)
    except (OSError, ValueError) as error:
        raise BadDataset(f"{path} is not a walk of the Kinect data set: {error}.") from error
    if not len(frames) or names != names[:JOINTS] * len(frames):
        raise BadDataset(
            f"{path} is not a walk of the Kinect data set: {JOINTS} joints a frame, in one order, expected."
        )
    return _inputs(frames)


def _named(key: str) -> tuple[str, str, str, str]:
    person, _, take = key.rpartition("_")
    return person, "", "", take


def _by_number(key: str) -> tuple[str, int]:
    person, _, take = key.rpartition("_")
    return person, int(take) if take.isdigit() else 0
