"""Tests whether every part works, by small synthetic inputs."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.gallery.names import enrolled_only
from gaitkeeper.pipelines.pipeline import Pipeline
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.walk_quality import Quality
from gaitkeeper.service.errors import NotReady
from gaitkeeper.service.recognition.administration import DEFAULT_COLLECTION, Administration

Array = npt.NDArray[Any]


def check_parts(pipeline: Pipeline, galleries: Administration, wanted: Callable[[], None]) -> dict[str, float]:
    """Test every part of a pipeline and of the galleries.

    Args:
        pipeline: the pipeline.
        galleries: the galleries.
        wanted: called after each part. If it raises, the test ends.

    Returns:
        Seconds by part.

    Raises:
        GaitkeeperError: the error of the first part that does not work.
    """
    laps = [time.perf_counter()]

    def lap() -> None:
        laps.append(time.perf_counter())
        wanted()

    pipeline.decoder.probe(clip())
    lap()
    perception = pipeline.tried(picture())
    lap()
    gallery = galleries.gallery(DEFAULT_COLLECTION)
    gallery.embed([sequence(perception)], gallery.network)
    lap()
    store = galleries.store
    store.ping()
    lap()
    behind = [known.name for known in enrolled_only(store.collections()) if not galleries.gallery(known.name).ready()]
    if behind:
        raise NotReady(f"The search index is behind the store in {', '.join(behind)}.")
    lap()
    parts = ("decoder", "perception", "network", "store", "index")
    return {name: laps[i + 1] - laps[i] for i, name in enumerate(parts)}


def picture() -> Array:
    """A colour gradient without people, uint8 (240, 320, 3), RGB."""
    ramp = np.linspace(60, 200, 320, dtype=np.float32)[None, :, None] * np.linspace(0.7, 1, 240)[:, None, None]
    return np.broadcast_to(ramp, (240, 320, 3)).astype(np.uint8)


def clip(frames: int = 5) -> bytes:
    """An mp4 clip of a few such pictures."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(), format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def sequence(perception: str, frames: int = 8) -> GaitSequence:
    """A valid gait sequence without meaning: a standing ellipse with joints in a row."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    ellipse = np.where((x / 0.3) ** 2 + y**2 < 1, np.uint8(255), np.uint8(0))
    joints = np.stack([np.full(17, 160.0), np.linspace(40, 200, 17), np.ones(17)], axis=-1).astype(np.float32)
    return GaitSequence(
        silhouettes=np.repeat(ellipse[None], frames, axis=0),
        joints=np.repeat(joints[None], frames, axis=0),
        heatmaps=np.zeros((frames, 17, 64, 48), np.uint8),
        timestamps=np.arange(frames) / 30,
        boxes=np.repeat(np.array([[130, 40, 190, 200]], np.float32), frames, axis=0),
        quality=Quality(frames, {}, 1.0, 1.0, 0.0, 1.0, 30.0, False),
        perception=perception,
        frame_size=(320, 240),
    )
