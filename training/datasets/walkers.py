"""Packs of rendered walkers: one ``.npz`` file per set, written by ``gaitkeeper walkers render``."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gaitkeeper.training.datasets.sample import NOMINAL_RATE, Array, Dataset, Inputs, Sample, heatmaps_of
from gaitkeeper.training.errors import BadDataset

VERSION = 1
UNIT = 1 / 16
"""Resolution of the pack's integers in pixels."""
_NAMES = ("subject", "condition", "take", "view")
_BODIES = ("outfit", "build")  # per walk, in packs that have them
_FRAMES = ("silhouettes", "joints", "scores", "boxes", "frame")


@dataclass(frozen=True, eq=False)
class Walk:
    """One walk to be written to a pack.

    Attributes:
        subject, condition, take, view: its names.
        silhouettes: uint8 (T, 64, 8), eight pixels per byte: ``np.packbits`` along rows.
        joints: float32 (T, 17, 3), COCO-17 x, y in pixels and score in [0, 1].
        boxes: float32 (T, 4), x1 y1 x2 y2 in pixels.
        frame: int (T,), the frames' numbers at 30 Hz.
        outfit: number of the person's outfit; None if the pack does not have it.
        build: float32 (D,), the person's build: people of similar build lie near one another; None as above.
    """

    subject: str
    condition: str
    take: str
    view: str
    silhouettes: Array
    joints: Array
    boxes: Array
    frame: Array
    outfit: int | None = None
    build: Array | None = None


def write(path: Path, walks: Sequence[Walk]) -> str:
    """Write a pack; equal walks give equal bytes. Returns the hexadecimal sha256 of its contents."""
    arrays = {
        "version": np.array(VERSION),
        "length": np.array([len(walk.frame) for walk in walks], np.int64),
        "silhouettes": _joined([walk.silhouettes for walk in walks]),
        "joints": _joined([_stepped(walk.joints[..., :2]) for walk in walks]),
        "scores": _joined([np.rint(255 * walk.joints[..., 2]).astype(np.uint8) for walk in walks]),
        "boxes": _joined([_stepped(walk.boxes) for walk in walks]),
        "frame": _joined([walk.frame.astype(np.uint16) for walk in walks]),
        **{name: np.array([getattr(walk, name) for walk in walks]) for name in _NAMES},
    }
    if walks and all(walk.outfit is not None and walk.build is not None for walk in walks):
        arrays["outfit"] = np.array([walk.outfit for walk in walks], np.int16)
        arrays["build"] = np.array([walk.build for walk in walks], np.float32)
    return _save(path, arrays)


def join(path: Path, parts: Sequence[Path]) -> str:
    """Join several packs. Returns the hexadecimal sha256 of the contents.

    Raises:
        BadDataset: one of them is not a pack, or they do not have the same arrays.
    """
    return _joint(path, [_arrays(part) for part in parts])


def _joint(path: Path, read: list[dict[str, Array]]) -> str:
    if not read or any(set(arrays) != set(read[0]) for arrays in read):
        raise BadDataset(f"{path} cannot be joined: there are no parts, or they contain different arrays.")
    arrays = {name: np.concatenate([own[name] for own in read]) for name in read[0] if name != "version"}
    return _save(path, {"version": np.array(VERSION), **arrays})


def mix(path: Path, parts: Sequence[tuple[Path, int | None]]) -> str:
    """Make one pack of several with different people. Returns the hexadecimal sha256 of the contents.

    The names of people begin with the number of their pack: packs of different seeds use the same names.

    Args:
        path: file to write.
        parts: packs, and how many people to take of each, the first by name; None for all.

    Raises:
        BadDataset: one of them is not a pack, or they do not have the same arrays.
    """
    read = [_first(_arrays(part), people) for part, people in parts]
    for number, arrays in enumerate(read, 1):
        arrays["subject"] = np.array([f"{number}-{name}" for name in arrays["subject"].tolist()])
    return _joint(path, read)


def _first(arrays: dict[str, Array], people: int | None) -> dict[str, Array]:
    chosen = np.isin(arrays["subject"], np.unique(arrays["subject"])[:people])
    of_frames = np.repeat(chosen, arrays["length"])
    return {
        name: array if not array.ndim else array[of_frames if name in _FRAMES else chosen]
        for name, array in arrays.items()
    }


def _save(path: Path, arrays: dict[str, Array]) -> str:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return digest(arrays)


def digest(arrays: dict[str, Array]) -> str:
    """Hexadecimal sha256 over the arrays' names, shapes and values."""
    sha = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        sha.update(f"{name} {array.dtype} {array.shape}\n".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def read(root: Path, *, heatmaps: bool = False) -> Dataset:
    """The walks of a pack, which stays in memory.

    Args:
        root: the file.
        heatmaps: make heatmaps of the joints when a walk is loaded, about 50 KB per frame.

    Raises:
        BadDataset: the file is not a pack of this version.
    """
    arrays = _arrays(root)
    bodies = {name: arrays[name].tolist() for name in _BODIES if name in arrays}
    ends = np.cumsum(arrays["length"])
    if not len(ends) or any(len(arrays[name]) != ends[-1] for name in _FRAMES):
        raise BadDataset(f"{root} is cut short, or empty.")
    if any(len(values) != len(ends) for values in bodies.values()):
        raise BadDataset(f"{root} lacks {' and '.join(bodies)} of some walks.")
    outfits = [str(outfit) for outfit in bodies.get("outfit", [""] * len(ends))]
    builds = [tuple(build) for build in bodies.get("build", [()] * len(ends))]
    frames = {name: arrays[name] for name in _FRAMES}
    rows: Iterator[tuple[str, str, str, str]] = zip(*(arrays[name].tolist() for name in _NAMES), strict=True)
    samples = [
        Sample(
            *(subject, condition, view, take, partial(_load, frames, int(end - length), int(end), heatmaps)),
            outfit=outfit,
            build=build,
        )
        for (subject, condition, take, view), length, end, outfit, build in zip(
            rows, arrays["length"], ends, outfits, builds, strict=True
        )
    ]
    return Dataset(root.stem, tuple(samples))


def _arrays(root: Path) -> dict[str, Array]:
    try:
        with np.load(root, allow_pickle=False) as archive:
            if int(archive["version"]) != VERSION:
                raise BadDataset(f"{root} is a pack of version {archive['version']}; only {VERSION} can be read.")
            wanted = ("version", "length", *_FRAMES, *_NAMES)
            return {name: archive[name] for name in (*wanted, *(n for n in _BODIES if n in archive))}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BadDataset(f"{root} is not a pack of walkers: {error}.") from error


def _load(frames: dict[str, Array], start: int, end: int, with_heatmaps: bool) -> Inputs:
    cut = slice(start, end)
    xy = frames["joints"][cut].astype(np.float32) * np.float32(UNIT)
    score = frames["scores"][cut].astype(np.float32) / 255
    joints = np.concatenate((xy, score[..., None]), 2)
    boxes = frames["boxes"][cut].astype(np.float32) * np.float32(UNIT)
    return Inputs(
        silhouettes=np.unpackbits(frames["silhouettes"][cut], axis=2) * np.uint8(255),
        joints=joints,
        heatmaps=heatmaps_of(joints, boxes) if with_heatmaps else None,
        timestamps=frames["frame"][cut].astype(np.float64) / NOMINAL_RATE,
        perception="walkers",
    )


def _stepped(pixels: Array) -> Array:
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(pixels / UNIT), limits.min, limits.max).astype(np.int16)


def _joined(parts: list[Array]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0)
