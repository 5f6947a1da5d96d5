"""TUM-IITKGP: videos of silhouettes, one person each who passes four times, to the left and to the right in turn.

Hofmann, Sural and Rigoll, "Gait Recognition in the Presence of Occlusion: A New Dataset and Baseline Algorithms",
WSCG 2011: 35 people, 640 × 480 at 30 Hz, side view. Background subtraction left holes in torsos and
separated heads. Evaluation only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np

from gaitkeeper.pipelines.silhouette import silhouette
from gaitkeeper.training.datasets.sample import NOMINAL_RATE, Array, Dataset, Inputs, Sample
from gaitkeeper.training.errors import BadDataset

_NAME = re.compile(r"normal_id(\d+)_(\d+)\.avi")
SPECK = 60  # pixels; smaller pieces are noise of the background
GAP = 15  # frames without the person between two passes
HEIGHT = 0.9  # share of the pass's median height; lower frames lack the head or the feet
MIN_FRAMES = 15


@dataclass(frozen=True)
class _Frame:
    """One picture of a person: its number, mask uint8 (h, w) of 0 and 1, and left edge in the picture."""

    number: int
    mask: Array
    left: int


def read(root: Path) -> Dataset:
    """The passes in the videos of a folder, ``normal_id001_1.avi``.

    A sample's ``condition`` is "nm", ``take`` the number of the pass from 1, ``view`` the direction ("left",
    "right"). Pieces of the person are joined and holes closed. Frames that the picture's edge cuts, or that lack the
    head or the feet, are left out. Times count frames at 30 Hz.

    Raises:
        BadDataset: there are no such videos, or one cannot be decoded.
    """
    named = [(match, path) for path in sorted(root.glob("*.avi")) if (match := _NAME.fullmatch(path.name))]
    if not named:
        raise BadDataset(f"No videos in {root}: normal_id001_1.avi expected.")
    samples = []
    for match, path in named:
        for take, frames in enumerate(passes(path), start=1):
            view = "right" if frames[-1].left > frames[0].left else "left"
            samples.append(Sample(match[1], "nm", view, str(take), partial(_inputs, frames)))
    return Dataset("tum", tuple(samples))


def passes(path: Path) -> list[list[_Frame]]:
    """The frames of each pass through the picture, without frames that do not show the whole person.

    Raises:
        BadDataset: the video cannot be decoded.
    """
    runs: list[list[_Frame]] = []
    try:
        with av.open(str(path)) as video:
            for number, frame in enumerate(video.decode(video=0)):
                found = _person(frame.to_ndarray(format="gray"))
                if found is None:
                    continue
                if not runs or number - runs[-1][-1].number > GAP:
                    runs.append([])
                runs[-1].append(_Frame(number, *found))
    except (OSError, av.FFmpegError) as error:
        raise BadDataset(f"{path} cannot be decoded: {error}") from error
    whole = [_whole(run) for run in runs]
    return [run for run in whole if len(run) >= MIN_FRAMES]


def _person(picture: Array) -> tuple[Array, int] | None:
    """The person's mask, cropped, and its left edge; None if there is no person, or the side edge cuts one."""
    mask = (picture > 127).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    pieces = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= SPECK]
    if not pieces:
        return None
    main = max(pieces, key=lambda i: int(stats[i, cv2.CC_STAT_AREA]))
    low = stats[main, cv2.CC_STAT_LEFT] - 40
    high = stats[main, cv2.CC_STAT_LEFT] + stats[main, cv2.CC_STAT_WIDTH] + 40
    own = [i for i in pieces if low <= stats[i, 0] and stats[i, 0] + stats[i, cv2.CC_STAT_WIDTH] <= high]
    person = np.isin(labels, own).astype(np.uint8)
    if person[:, 0].any() or person[:, -1].any() or person.sum() < 1000:
        return None
    closing = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15))
    person = np.asarray(cv2.morphologyEx(person, cv2.MORPH_CLOSE, closing), np.uint8)
    _fill(person)
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    return person[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], int(columns[0])


def _fill(mask: Array) -> None:
    """Fill holes of up to 1/20 of the person; a gap between the legs is open below, or larger."""
    most = int(mask.sum()) // 20
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    for i in range(1, count):
        if stats[i, cv2.CC_STAT_AREA] <= most:
            mask[labels == i] = 1


def _whole(run: list[_Frame]) -> list[_Frame]:
    height = float(np.percentile([len(frame.mask) for frame in run], 75))
    return [frame for frame in run if HEIGHT * height <= len(frame.mask) <= height / HEIGHT]


def _inputs(frames: list[_Frame]) -> Inputs:
    made = [silhouette(frame.mask.astype(np.float32)) for frame in frames]
    kept = [i for i, one in enumerate(made) if one is not None]
    return Inputs(
        silhouettes=np.array([made[i] for i in kept], np.uint8),
        timestamps=np.array([frames[i].number for i in kept]) / NOMINAL_RATE,
        perception="tum",
    )
