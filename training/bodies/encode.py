"""Write pictures into an H.264 file."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream


def encode(
    path: str | Path,
    images: Iterable[np.ndarray],
    size: tuple[int, int],
    fps: int,
    repeat: int = 1,
    *,
    crf: int = 20,
    preset: str = "veryfast",
) -> None:
    """Encode RGB images uint8 (H, W, 3) of one size into an H.264 mp4 file.

    Equal images give equal bytes with one version of the encoder. A repeated clip is encoded once and its packets are
    written again, so repeats cost almost nothing.

    Args:
        path: output file; its folder must exist.
        images: the pictures.
        size: width and height of the clip in pixels, even; pictures of another size are scaled.
        fps: frames per second.
        repeat: number of times that the pictures are played.
        crf: compression, 0 to 51; more makes a smaller file.
        preset: libx264's; slower ones make smaller files.
    """
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": preset, "bf": "0"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.codec_context.thread_count = 1  # one slice per frame, on every machine
        loop: list[tuple[bytes, int, bool]] = []
        count = 0
        for image in images:
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = count, Fraction(1, fps)
            count += 1
            for packet in stream.encode(picture):
                loop += [(bytes(packet), packet.pts or 0, packet.is_keyframe)] if repeat > 1 else []
                container.mux(packet)
        for packet in stream.encode():
            loop += [(bytes(packet), packet.pts or 0, packet.is_keyframe)] if repeat > 1 else []
            container.mux(packet)
        for turn in range(1, repeat):
            for data, pts, key in loop:
                again = av.Packet(data)
                again.pts = again.dts = pts + turn * count
                again.duration = 1
                again.time_base = Fraction(1, fps)
                again.is_keyframe = key
                again.stream = stream
                container.mux(again)
