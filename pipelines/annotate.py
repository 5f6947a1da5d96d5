"""Draw boxes and labels on a clip's pictures, and write them as H.264 in MP4."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from gaitkeeper.pipelines.decode import Decoder, Frame, Source
from gaitkeeper.pipelines.errors import DeadlineExceeded, TooLarge
from gaitkeeper.pipelines.pipeline import ClipResult
from gaitkeeper.pipelines.trail import BoxTrail
from gaitkeeper.pipelines.upright import all_turned, turned_info

Array = npt.NDArray[Any]
Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255 each."""
Rectangle = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""

INK: Colour = (11, 13, 15)
WEIGHT = 600
TICKS = 90_000
"""Time base: ticks a second."""
CODER = {"preset": "veryfast", "crf": "23", "maxrate": "20M", "bufsize": "40M"}
"""Options of x264: a steady quality, at most 20 Mbit/s."""
BT709 = 1
"""Number of this colour space in H.264, for matrix, primaries and transfer."""


@dataclass(frozen=True)
class Label:
    """What is written at a person's box, in which colour."""

    text: str
    colour: Colour


def write_annotated(
    path: Path,
    decoder: Decoder,
    source: Source,
    result: ClipResult,
    labels: Mapping[int, Label],
    *,
    threads: int = 1,
    max_bytes: int | None = None,
    deadline: float | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> None:
    """Write a clip's upright pictures with a box and a label for every person in every frame of the person's track.

    The pictures are those that the pipeline saw, with their times: at most 36 a second.

    Args:
        path: the MP4 file; it is overwritten. After an error it is incomplete.
        decoder: decoder of the clip.
        source: the clip.
        result: what the pipeline found in it.
        labels: label by track number. People without one get no box.
        threads: number of threads that encode.
        max_bytes: largest size of the encoded pictures.
        deadline: instant of ``time.monotonic`` at which to give up.
        on_progress: called with the finished share, in [0, 1]; an exception ends the work.

    Raises:
        TooLarge: the pictures have more than ``max_bytes``.
        DeadlineExceeded: the work was not finished by the deadline.
        OSError: the file cannot be written.
        ClipError: as :meth:`gaitkeeper.pipelines.decode.Decoder.frames`.
    """
    tell = on_progress or (lambda _: None)
    clip, turn = result.clip, result.clip.rotated
    info = replace(turned_info(clip, -turn % 360), rotated=0)
    trails = {number: trail for number, trail in result.trails.items() if number in labels}
    pen = _Pen((clip.width, clip.height), labels)
    with (
        closing(all_turned(decoder.frames(source, info, deadline), turn)) as frames,
        _Film(path, clip, threads) as film,
    ):
        for frame in frames:
            if deadline is not None and time.monotonic() > deadline:
                raise DeadlineExceeded("The clip could not be drawn in the time that a request may take.")
            film.add(pen.drawn(frame, trails), frame.time)
            film.require(max_bytes)
            tell(min(frame.index / max(clip.frames, 1), 1.0))
    film.require(max_bytes)


class _Film:
    """An H.264 film in an MP4 file. Its pictures have an even number of pixels: the last row and column are doubled."""

    def __init__(self, path: Path, clip: Any, threads: int) -> None:
        # With its scheme, so that a colon in the name is none.
        self._container = av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"})
        rate = Fraction(clip.rate or 25).limit_denominator(1000)
        stream = self._container.add_stream("libx264", rate=rate, options=dict(CODER))
        assert isinstance(stream, VideoStream)
        self._odd = clip.height % 2, clip.width % 2
        stream.width, stream.height = clip.width + self._odd[1], clip.height + self._odd[0]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.thread_count = threads
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = int(ColorRange.MPEG)
        self._stream, self._last = stream, -1
        self._bytes = 0

    def __enter__(self) -> _Film:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._write(self._stream.encode(None))
        self._container.close()

    def add(self, image: Array, seconds: float) -> None:
        """Add a picture, RGB uint8 (H, W, 3)."""
        if any(self._odd):
            image = cv2.copyMakeBorder(image, 0, self._odd[0], 0, self._odd[1], cv2.BORDER_REPLICATE)
        picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        self._last = max(self._last + 1, round(seconds * TICKS))
        picture.pts, picture.time_base = self._last, Fraction(1, TICKS)
        self._write(self._stream.encode(picture))

    def require(self, max_bytes: int | None) -> None:
        """Check that the encoded pictures have at most so many bytes. Raises TooLarge."""
        if max_bytes is not None and self._bytes > max_bytes:
            raise TooLarge(f"The annotated clip has more than {max_bytes} bytes, which is the limit.")

    def _write(self, packets: list[av.Packet[VideoStream]]) -> None:
        self._bytes += sum(packet.size for packet in packets)
        self._container.mux(packets)


class _Pen:
    """Draws boxes and labels whose size suits the picture.

    Args:
        size: width and height of the picture in pixels.
        labels: label by track number.
    """

    def __init__(self, size: tuple[int, int], labels: Mapping[int, Label]) -> None:
        self._size, self._labels = size, labels
        self._letters = int(np.clip(min(size) / 26, 12, 64))
        self._line = max(1, round(self._letters / 8))
        self._pad = round(self._letters / 3)
        self._texts = {number: self._fitting(label.text) for number, label in labels.items()}
        self._widths = {number: self._wide(text) for number, text in self._texts.items()}

    @cached_property
    def _font(self) -> Any:
        return cv2.FontFace("sans")

    def drawn(self, frame: Frame, trails: Mapping[int, BoxTrail]) -> Array:
        """The frame's picture with the boxes and labels of its moment."""
        image = frame.image.copy()
        there = {number: box for number, trail in trails.items() if (box := trail.at(frame.time)) is not None}
        # From the right: a label begins at its box and runs to the right, so that it leaves the next one's line free.
        there = dict(sorted(there.items(), key=lambda one: -one[1][0]))
        height = self._letters + 2 * self._pad
        places = placed(list(there.values()), [self._widths[n] for n in there], height, self._line, self._size)
        for number, box in there.items():
            (x1, y1), (x2, y2) = (np.round(box.reshape(2, 2)).astype(int)).tolist()
            cv2.rectangle(image, (x1, y1), (x2, y2), self._labels[number].colour, self._line, cv2.LINE_AA)
        for (number, box), (_, top, _, _) in zip(there.items(), places, strict=True):
            x1, y1 = np.round(box[:2]).astype(int).tolist()
            if top + height < y1 - self._line:  # from a label that stands apart down to its box
                cv2.line(image, (x1, top + height), (x1, y1), self._labels[number].colour, self._line, cv2.LINE_AA)
        for number, (left, top, wide, high) in zip(there, places, strict=True):
            cv2.rectangle(
                image, (left, top), (left + wide - 1, top + high - 1), self._labels[number].colour, cv2.FILLED
            )
            foot = top + self._pad + round(0.85 * self._letters)
            cv2.putText(  # in place
                image, self._texts[number], (left + self._pad, foot), INK, self._font, self._letters, WEIGHT
            )
        return image

    def _wide(self, text: str) -> int:
        """Width of a label in pixels."""
        _, _, width, _ = cv2.getTextSize(self._size, text, (0, 0), self._font, self._letters, WEIGHT)
        return int(width) + 2 * self._pad

    def _fitting(self, text: str) -> str:
        """The text, shortened if it is wider than the picture."""
        if self._wide(text) <= self._size[0]:
            return text
        kept = text
        while len(kept) > 1 and self._wide(f"{kept}…") > self._size[0]:
            kept = kept[:-1]
        return f"{kept}…"


def placed(
    boxes: Sequence[Array], widths: Sequence[int], height: int, gap: int, size: tuple[int, int]
) -> list[Rectangle]:
    """Where the labels go, as on the page (``placed`` in ``service/page/player.js``).

    A label is above its box, or below one that reaches the upper edge. If it would cover a label that was placed
    before, or a person, it goes to the nearest place where it covers neither, or else to the nearest where it covers no
    label.

    Args:
        boxes: x1, y1, x2, y2 each, in pixels.
        widths: of the labels, in pixels.
        height: of a label, in pixels.
        gap: pixels between a box and its label.
        size: width and height of the picture in pixels.
    """
    done: list[Rectangle] = []
    people = np.round(boxes).astype(int).reshape(-1, 4).tolist()
    for (x1, y1, _, y2), width in zip(people, widths, strict=True):
        wide = min(width, size[0])
        left = min(max(x1, 0), size[0] - wide)
        own = y1 - height - gap if y1 >= height + gap else min(y2 + gap, size[1] - height)
        labels = [(top, top + high) for at, top, long, high in done if at < left + wide and left < at + long]
        bodies = [(top, foot) for at, top, end, foot in people if at < left + wide and left < end]
        tops = [own, *(edge for top, foot in labels for edge in (top - height, foot))]
        tops += [top - height - gap for top, _ in bodies]
        free = [top for top in tops if 0 <= top <= size[1] - height and _is_clear(top, height, labels)]
        best = min(free, key=lambda top: (not _is_clear(top, height, bodies), abs(top - own)), default=own)
        done.append((left, best, wide, height))
    return done


def _is_clear(top: int, height: int, others: Sequence[tuple[int, int]]) -> bool:
    """Whether a label covers none of some spans of rows."""
    return all(top + height <= first or last <= top for first, last in others)
