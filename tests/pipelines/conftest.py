"""Small clips, encoded for real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

MakeClip = Callable[..., Path]


def corner_picture(index: int, width: int = 160, height: int = 96) -> np.ndarray:
    """Grey, its top left quarter red and its top right green; a white bar that moves with the index."""
    image = np.full((height, width, 3), 90, np.uint8)
    image[: height // 2, : width // 2] = (200, 20, 20)
    image[: height // 2, width // 2 :] = (20, 200, 20)
    left = (index * 4) % (width - 8)
    image[-16:, left : left + 8] = 255
    return image


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Encode a clip: ``make_clip("a.mp4", codec="libx264", count=20, rate=30)`` or with ``times`` in milliseconds."""

    def make(
        name: str,
        *,
        codec: str = "libx264",
        count: int = 20,
        rate: int = 30,
        times: Sequence[int] | None = None,
        pictures: Callable[[int], np.ndarray] = corner_picture,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate)
            stream.height, stream.width = pictures(0).shape[:2]
            stream.pix_fmt = "yuv420p"
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            for i in range(len(times) if times is not None else count):
                frame = av.VideoFrame.from_ndarray(pictures(i), format="rgb24")
                if times is not None:
                    frame.pts, frame.time_base = times[i], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make
