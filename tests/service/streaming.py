"""Feeding live streams: pictures of clips, in step with the service."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import cv2
from av.bitstream import BitStreamFilterContext

from gaitkeeper.pipelines.pictures import Codec
from gaitkeeper.service.client.live import LiveStream
from gaitkeeper.service.live.events import Event

PACE = 0.035
"""Seconds between two frames: searches for people run beside the pictures, and need a moment."""
PATIENCE = 240
"""Seconds until a busy machine has done one step."""


def jpegs(clip: Path) -> list[tuple[float, bytes]]:
    """Seconds and JPEG file of every frame."""
    with av.open(str(clip)) as container:
        return [
            (float(frame.time), cv2.imencode(".jpg", frame.to_ndarray(format="bgr24"))[1].tobytes())
            for frame in container.decode(video=0)
        ]


def access_units(clip: Path) -> list[tuple[float, bytes]]:
    """Seconds, from the first shown, and Annex B bytes of every frame of an H.264 clip, in the order of decoding."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
        packets = [p for packet in container.demux(stream) for p in annex_b.filter(packet if packet.size else None)]
        first = min(packet.pts for packet in packets)
        return [(float((packet.pts - first) * stream.time_base), bytes(packet)) for packet in packets]


def waited_for(live: LiveStream, data: bytes, codec: Codec, first: int = 0) -> int:
    """Send a picture, 30 times a second on its clock, until a person is seen in it; the number of the next frame.

    Args:
        live: where.
        data: the picture.
        codec: of the picture.
        first: number of the first frame.
    """
    for seq in range(first, first + 200):
        # To the last one: a credit that is left over would have the next frames sent before their turn.
        events = list(in_step(live, [(seq / 30, data)], codec, seq, finish=False))
        if any(event.event == "tracks" and event.people for event in events):
            return seq + 1
    raise AssertionError("nobody was seen")


def in_step(
    live: LiveStream,
    frames: Sequence[tuple[float, bytes]],
    codec: Codec = "jpeg",
    first: int = 0,
    *,
    finish: bool = True,
) -> Iterator[Event]:
    """Send one frame after the other, each when the one before is done with; then the end. All events.

    Args:
        live: where.
        frames: seconds and data.
        codec: of the data.
        first: number of the first frame.
        finish: whether these are the last.
    """
    for seq, (t, data) in enumerate(frames, first):
        began = time.monotonic()
        assert live.send(data, seq=seq, t=t, codec=codec, wait=PATIENCE)
        for event in live.events(PATIENCE):
            yield event
            if event.event == "credit" and event.frames == 1:
                break
        time.sleep(max(0.0, PACE - (time.monotonic() - began)))
    if finish:
        live.finish()
        yield from live.events(PATIENCE)
