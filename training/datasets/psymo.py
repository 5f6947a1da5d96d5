"""PsyMo: silhouettes and AlphaPose joints of walks, six directions, seven variations. Evaluation only, by its licence.

Cosma and Radoi, "PsyMo: A Dataset for Estimating Self-Reported Psychological Traits from Gait", WACV 2024. Names are
``ID_VIEW_DIRECTION_RUN_VARIATION``. A walk's silhouettes and its joints have different numbers of frames, both numbered
by file name and ``image_id``. If there are fewer silhouettes, equal numbers do not always mean the same frame: most
such walks number silhouettes from the first detected one, so that both end together instead. The legs show which of
the two holds: see :func:`shift`.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from gaitkeeper.training.datasets.casia_b import decode_grey, normalised
from gaitkeeper.training.datasets.sample import NOMINAL_RATE, Array, Dataset, Inputs, Sample, heatmaps_of
from gaitkeeper.training.errors import BadDataset

CUT = 1 / 8
"""Maximum share of the picture's side along which a mask may touch the edge; feet on the ground touch less."""
LEGS = slice(48, 64)
MAX_MEMBER = 1 << 24
NOWHERE = np.array([0, 0, 3, 4], np.float32)
"""Box of people without one."""

Files = dict[str, Callable[[], bytes]]


def read(root: Path, *, cut_off: bool = False, heatmaps: bool = False) -> Dataset:
    """The walks of an extracted folder or of a ``.tar.xz`` with ``silhouettes`` and ``skeletons`` in it.

    A sample's ``condition`` is the variation ("nm", "bg", "cl", ...), ``take`` the run, ``view`` VIEW-DIRECTION
    ("45-1"). Inputs are the frames that have a silhouette: silhouettes normalised by the project's own function, and
    the joints of the same frame, all zeros where it has none. Times count frames at a nominal 30 Hz.

    Args:
        root: folder or archive. An archive can only be read sequentially, so it is held in memory.
        cut_off: keep frames in which the picture's edge cuts the person.
        heatmaps: draw heatmaps around the joints, in AlphaPose's boxes; empty without joints.

    Raises:
        BadDataset: there are no such walks.
    """
    if root.is_file():
        names, skeletons = _from_archive(root)
    else:
        names, skeletons = _from_folder(root)
    samples = []
    for name, frames in sorted(names.items()):
        fields = name.split("_")
        if len(fields) != 5:
            raise BadDataset(f"{name} is not a walk of PsyMo: ID_VIEW_DIRECTION_RUN_VARIATION expected.")
        subject, view, direction, run, variation = fields
        reader = partial(_walk, frames, skeletons.get(name), cut_off, heatmaps)
        samples.append(Sample(subject, variation, f"{view}-{direction}", run, reader))
    if not samples:
        raise BadDataset(f"No walks in {root}: silhouettes/0/000_00_0_0_nm/0.png expected.")
    return Dataset("psymo", tuple(samples))


def is_cut_off(mask: Array) -> bool:
    """True if the person in a crop, uint8 (S, S), ends at its edge in a long straight line.

    Crops are scaled so that the person fills the height: feet and the top of the head touch the edge at a few pixels,
    a body that the camera's picture cuts touches it along much of its width.
    """
    solid = mask > 127
    edges = (solid[-1], solid[0], solid[:, 0], solid[:, -1])
    return bool(max(edge.sum() for edge in edges) >= CUT * len(mask))


def shift(indices: Array, silhouettes: Array, joints: dict[int, Array], last: int) -> int:
    """What to add to a silhouette's number to get the number of its joints.

    Either 0, or the difference of the last numbers: whichever gives the higher correlation between the width of the
    silhouette's legs and the distance of the ankles.

    Args:
        indices: (T,), numbers of the silhouettes.
        silhouettes: uint8 (T, 64, 64).
        joints: (17, 3) by number.
        last: number of the walk's last silhouette, cut off or not.
    """
    end = max(joints, default=last) - last
    if end <= 0:
        return 0
    width = (silhouettes[:, LEGS] > 0).any(axis=1).sum(axis=1)

    def agreement(offset: int) -> float:
        pairs = [(w, _spread(joints[i + offset])) for w, i in zip(width, indices, strict=True) if i + offset in joints]
        a, b = np.array(pairs, np.float64).reshape(-1, 2).T
        return float(np.corrcoef(a, b)[0, 1]) if len(a) > 2 and a.std() > 0 and b.std() > 0 else -1.0

    return end if agreement(end) > agreement(0) else 0


def _spread(joints: Array) -> float:
    """Sideways distance of the ankles as a share of the height from nose to ankle."""
    height = float(joints[15:17, 1].max() - joints[0, 1])
    return abs(float(joints[15, 0] - joints[16, 0])) / max(height, 1.0)


def _walk(frames: Files, skeleton: Callable[[], bytes] | None, keep_cut_off: bool, with_heatmaps: bool) -> Inputs:
    numbers = sorted(frames, key=int)
    masks = [decode_grey(frames[number]()) for number in numbers]
    usable = [i for i, mask in enumerate(masks) if mask is not None and (keep_cut_off or not is_cut_off(mask))]
    silhouettes, kept = normalised([mask for i in usable if (mask := masks[i]) is not None])
    if not len(kept):
        raise BadDataset("A walk of PsyMo has no usable frame.")
    indices = np.array([int(numbers[usable[i]]) for i in kept])
    joints = np.zeros((len(indices), 17, 3), np.float32)
    boxes = np.tile(NOWHERE, (len(indices), 1))
    found = _people(skeleton(), boxed=with_heatmaps) if skeleton is not None else {}
    offset = shift(indices, silhouettes, {i: person for i, (person, _) in found.items()}, last=int(numbers[-1]))
    there = np.array([index in found for index in indices + offset])
    for i in np.flatnonzero(there):
        joints[i], boxes[i] = found[int(indices[i] + offset)]
    maps = None
    if with_heatmaps:
        maps = heatmaps_of(joints, boxes)
        maps[~there] = 0
    return Inputs(
        silhouettes=silhouettes,
        joints=joints,
        heatmaps=maps,
        timestamps=indices / NOMINAL_RATE,
        perception="psymo",
    )


def _people(data: bytes, *, boxed: bool) -> dict[int, tuple[Array, Array]]:
    """AlphaPose's JSON to COCO-17 joints (17, 3) and optional box (4,) by frame number; of the most confident."""
    best: dict[int, tuple[float, Array, Array]] = {}
    try:
        for entry in json.loads(data):
            index = int(PurePosixPath(str(entry["image_id"])).stem)
            score = float(entry["score"])
            if index not in best or score > best[index][0]:
                x, y, width, height = entry["box"] if boxed else NOWHERE
                box = np.array([x, y, x + width, y + height], np.float32)
                best[index] = (score, np.array(entry["keypoints"], np.float32).reshape(17, 3), box)
    except (ValueError, KeyError, TypeError) as error:
        raise BadDataset(f"A skeleton file of PsyMo cannot be read: {error}.") from error
    for _, joints, _ in best.values():
        joints[:, 2] = joints[:, 2].clip(0, 1)
    return {index: (joints, box) for index, (_, joints, box) in best.items()}


def _from_folder(root: Path) -> tuple[dict[str, Files], dict[str, Callable[[], bytes]]]:
    home = next(
        (path.parent for path in (root / "silhouettes", *sorted(root.glob("*/silhouettes"))) if path.is_dir()), root
    )
    walks = {
        folder.name: {path.stem: path.read_bytes for path in folder.glob("*.png") if path.stem.isdigit()}
        for folder in (home / "silhouettes").glob("*/*")
        if folder.is_dir()
    }
    skeletons = {path.stem: path.read_bytes for path in (home / "skeletons").glob("*/*.json")}
    return walks, skeletons


def _from_archive(path: Path) -> tuple[dict[str, Files], dict[str, Callable[[], bytes]]]:
    walks: dict[str, Files] = {}
    skeletons: dict[str, Callable[[], bytes]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                frame = name.suffix == ".png" and name.stem.isdigit() and "silhouettes" in name.parts
                if not member.isfile() or member.size > MAX_MEMBER or not (frame or name.suffix == ".json"):
                    continue
                stream = archive.extractfile(member)
                content = partial(bytes, stream.read() if stream else b"")
                if frame:
                    walks.setdefault(name.parent.name, {})[name.stem] = content
                else:
                    skeletons[name.stem] = content
    except (OSError, tarfile.TarError, EOFError) as error:
        raise BadDataset(f"{path} cannot be read as an archive of PsyMo: {error}.") from error
    return walks, skeletons
