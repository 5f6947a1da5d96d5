"""Pictures that accompany an answer: strips of a walker, thumbnails, and boxes per frame."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.types import Identification
from gaitkeeper.pipelines.inspect import silhouette_strip, skeleton_strip
from gaitkeeper.pipelines.pipeline import ClipResult
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.schemas import Person, Silhouettes, Strips, Trail, WalkerPictures

MOVING, MOVING_HZ = 60, 15


def person_of(
    found: Identification, result: ClipResult, gallery: Gallery, *, pictures: bool = False, boxes: bool = False
) -> Person:
    """Add the requested pictures and boxes to an identification.

    Args:
        found: the gallery's answer for one walker.
        result: the pipeline's result for the clip.
        gallery: the gallery that gave the answer. It holds the sequences of the candidates that ``found`` explains.
        pictures: whether to add strips and a thumbnail, also for the explained candidates.
        boxes: whether to add the walker's box in each frame.
    """
    sequence = next(seq for seq in result.sequences if seq.track == found.track)
    return Person(
        **dict(found),
        pictures=_pictures(found, sequence, result, gallery) if pictures else None,
        trail=trail(sequence) if boxes else None,
    )


def _pictures(found: Identification, sequence: GaitSequence, result: ClipResult, gallery: Gallery) -> WalkerPictures:
    explained = found.explanation.candidates if found.explanation else ()
    templates = {}
    for candidate in explained:
        try:
            templates[candidate.template] = strips(gallery.sequence(candidate.template))
        except NotFound:  # erased after the search
            continue
    own = strips(sequence)
    thumbnail = base64.b64encode(result.thumbnails[found.track]).decode()
    return WalkerPictures(
        thumbnail=thumbnail, silhouettes=own.silhouettes, skeletons=own.skeletons, templates=templates
    )


def strips(sequence: GaitSequence) -> Strips:
    """Render the silhouettes and skeletons of a walk."""
    return Strips(
        silhouettes=base64.b64encode(png(silhouette_strip(sequence)[..., 0])).decode(),
        skeletons=base64.b64encode(png(skeleton_strip(sequence))).decode(),
    )


def moving(sequence: GaitSequence) -> Silhouettes:
    """Up to :data:`MOVING` consecutive silhouettes from the middle of a walk, at most about :data:`MOVING_HZ`."""
    step = max(1, round(sequence.quality.rate_hz / MOVING_HZ))
    frames = min(MOVING, max(1, len(sequence) // step))
    first = max(0, len(sequence) - frames * step) // 2
    chosen = sequence.silhouettes[first : first + frames * step : step]
    return Silhouettes(
        silhouettes=base64.b64encode(png(np.hstack(list(chosen)))).decode(),
        frames=len(chosen),
        rate_hz=round(sequence.quality.rate_hz / step, 2),
    )


def trail(sequence: GaitSequence) -> Trail:
    """The walker's box in each frame."""
    return Trail(
        times=[round(float(time), 3) for time in sequence.timestamps],
        boxes=[tuple(round(float(edge), 1) for edge in box) for box in sequence.boxes],
    )


def png(image: npt.NDArray[Any]) -> bytes:
    """Encode an image, uint8 (H, W) or (H, W, 3) RGB, as PNG."""
    turned = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".png", turned, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return bytes(data)
