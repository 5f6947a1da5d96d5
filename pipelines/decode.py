"""Decode clips to frames with PyAV: streamed, upright, square pixels, with the stream's repaired timestamps.

Only the containers and codecs named in :mod:`gaitkeeper.pipelines.streams` are opened. They are recognised by content
and never by name, so a playlist or a text file called ``.mp4`` is refused before a demuxer reads it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.bitstream import BitStreamFilterContext

from gaitkeeper.pipelines.errors import TooLarge, Undecodable
from gaitkeeper.pipelines.pictures import Codec, PictureDecoder, Pictures
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.streams import CODECS, CONTAINERS, Source, Survey, numbered, opened, sniff, surveys
from gaitkeeper.pipelines.timing import Shown, Timeline, goes_on, thumb
from gaitkeeper.pipelines.upright import Turn, matrix_of, squared

__all__ = ["CODECS", "CONTAINERS", "ClipInfo", "Decoder", "Frame", "InProcess", "Packet", "Source", "sniff"]

THREADS = 4
RESAMPLE_ABOVE = 36.0
RESAMPLE_TO = 30.0
DAMAGED_SHARE = 0.1


@dataclass(frozen=True)
class ClipInfo:
    """Properties of a clip, measured from its packets.

    Attributes:
        width, height: of the upright picture with square pixels, in pixels.
        rate: median frame rate of the stream in hertz; 0 for a single frame.
        frames: frames that are shown; those before the start of an edit list are not.
        duration: seconds from the first of them to the end of the last.
        codec: name of the video codec.
        container: "mp4", "matroska" or "avi".
        stream: index of the used video stream in the container.
        repaired: frames whose time was repaired, by kind; see :data:`gaitkeeper.pipelines.timing.REPAIRS`.
        rotated: degrees by which pictures are turned clockwise, in addition to the clip's own rotation; ``width`` and
            ``height`` are those of the turned pictures.
    """

    width: int
    height: int
    rate: float
    frames: int
    duration: float
    codec: str
    container: str
    stream: int = 0
    repaired: dict[str, int] = field(default_factory=dict)
    rotated: int = 0


@dataclass(frozen=True)
class Frame:
    """One upright picture with square pixels.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        time: seconds since the stream's first shown frame.
        index: number of the frame in the stream, from 0.
        segment: number of the recording that it belongs to, from 0. It increases where recordings were joined; tracks
            cannot continue there.
        repeated: True if it shows nothing that the frame before did not; see :mod:`gaitkeeper.pipelines.repeats`.
    """

    image: npt.NDArray[np.uint8]
    time: float
    index: int
    segment: int = 0
    repeated: bool = False


@dataclass(frozen=True, eq=False)
class Packet:
    """One packet for a decoder.

    Attributes:
        data: of one picture or two fields; H.264 and HEVC in Annex B, their headers with them.
        time: of its picture, in seconds since the first that is shown.
        segment: of its picture, as of :class:`Frame`.
        shown: False if its picture is for the decoder alone.
    """

    data: bytes
    time: float
    segment: int = 0
    shown: bool = True


@dataclass(frozen=True)
class Layout:
    """How to show the pictures that an external decoder makes of a clip's packets.

    Attributes:
        pixels: pixel format, such as "yuv420p".
        turn: rotation that makes pictures upright.
        width, height: of pictures with square pixels, before they are turned.
        in_order: as of :class:`gaitkeeper.pipelines.timing.Timeline`.
    """

    pixels: str
    turn: Turn
    width: int
    height: int
    in_order: bool


class Decoder(Protocol):
    """Interface of clip decoders: :class:`InProcess`, or a :class:`gaitkeeper.pipelines.sandbox.Sandbox`.

    Methods give up at ``deadline``, an instant of ``time.monotonic``, if the decoder supports it.
    """

    def probe(self, source: Source, deadline: float | None = None) -> ClipInfo:
        """As :func:`probe`."""

    def frames(self, source: Source, info: ClipInfo, deadline: float | None = None) -> Generator[Frame, None, None]:
        """As :func:`frames`."""

    def pictures(self, codec: Codec, max_pixels: int, max_bytes: int) -> Pictures:
        """A decoder for a live stream, with limits on the pixels of a picture and the bytes of a message."""

    def close(self) -> None:
        """Release resources."""


class InProcess:
    """Decodes in this process, for trusted clips; the caller enforces the deadline."""

    def __init__(self, settings: PipelineSettings) -> None:
        self.settings = settings

    def probe(self, source: Source, deadline: float | None = None) -> ClipInfo:
        """As :func:`probe`."""
        return probe(source, self.settings)

    def frames(self, source: Source, info: ClipInfo, deadline: float | None = None) -> Generator[Frame, None, None]:
        """As :func:`frames`."""
        return frames(source, info)

    def pictures(self, codec: Codec, max_pixels: int, max_bytes: int) -> Pictures:
        """As :meth:`Decoder.pictures`."""
        return PictureDecoder(codec, max_pixels)

    def close(self) -> None:
        """Does nothing."""


def probe(source: Source, settings: PipelineSettings | None = None) -> ClipInfo:
    """Measure a clip from its packets and one decoded frame.

    Raises:
        EmptyUpload, UnsupportedMedia, NoVideo, Undecodable: see their docstrings; a truncated clip is undecodable.
        TooLarge: beyond the settings' pixels, frames or seconds.
    """
    limits = settings or PipelineSettings()
    fault: Undecodable | None = None
    for survey in surveys(source, limits):
        times = survey.times
        if times.duration > limits.max_seconds:
            raise TooLarge(f"The clip lasts {times.duration:.0f} s, {limits.max_seconds:.0f} s are allowed.")
        try:
            layout, kind = _layout(source, survey, limits)
        except Undecodable as error:  # another stream may be decodable
            fault = fault or error
            continue
        width, height = (layout.height, layout.width) if layout.turn.swap else (layout.width, layout.height)
        rate = 1 / times.step if times.step else 0.0
        return ClipInfo(
            width, height, rate, times.frames, times.duration, survey.codec, kind, survey.index, times.repaired
        )
    raise fault or Undecodable("The clip's video stream has no frames.")


def _layout(source: Source, survey: Survey, limits: PipelineSettings) -> tuple[Layout, str]:
    """The layout of a stream's first picture, and the kind of its container.

    Raises:
        TooLarge: it has too many pixels, before or after they are made square.
        Undecodable: there is no picture.
    """
    with opened(source) as (container, kind):
        stream = container.streams[survey.index]
        _require_pixels(stream.width, stream.height, limits)
        for picture in _pictures(container, stream):
            layout = _layout_of(picture, stream, survey.times)
            _require_pixels(layout.width, layout.height, limits)  # they may differ from the header
            return layout, kind
    raise Undecodable("No picture of the clip could be decoded.")


def _require_pixels(width: int, height: int, limits: PipelineSettings) -> None:
    if width * height > limits.max_pixels:
        raise TooLarge(f"The picture has {width} × {height} pixels, {limits.max_pixels} are allowed.")


def _layout_of(picture: Any, stream: Any, times: Timeline) -> Layout:
    width, height = squared(picture.width, picture.height, stream.sample_aspect_ratio)
    return Layout(picture.format.name, Turn.of(matrix_of(picture)), width, height, times.in_order)


def _pictures(container: Any, stream: Any, shown: Shown | None = None, times: Timeline | None = None) -> Iterator[Any]:
    """Decoded pictures of a stream; the time stamp of each is the number of its packet.

    Damaged packets are skipped. Raises Undecodable if there are many.
    """
    stream.thread_type = "AUTO"
    context = stream.codec_context
    context.thread_count = min(THREADS, os.cpu_count() or 1)
    good = damaged = 0
    for number, packet in numbered(container, stream):
        if shown and times and number < len(times.times) and not np.isnan(times.times[number]):
            shown.sent(number)
        try:
            pictures = packet.decode()
        except av.error.FFmpegError as error:
            damaged += 1
            if shown:
                shown.lost(number)
            if damaged > max(3.0, DAMAGED_SHARE * good):
                raise Undecodable("The clip's pictures cannot be decoded: the file is damaged.") from error
            continue
        good += len(pictures)
        yield from pictures
    try:
        yield from context.decode(None)
    except av.error.FFmpegError:  # the buffered pictures are damaged
        return


def _decoded(source: Source, survey: Survey) -> Generator[Frame, None, None]:
    """Every shown frame of a stream, upright."""
    times = survey.times
    with opened(source) as (container, _):
        stream = container.streams[survey.index]
        shown, layout, clock = Shown(times.in_order), None, Clock()
        for picture in _pictures(container, stream, shown, times):
            place = shown.place(picture.pts) if picture.pts is not None else -1
            if not 0 <= place < len(times.times) or np.isnan(times.times[place]):
                continue  # hidden
            layout = layout or _layout_of(picture, stream, times)
            image = picture.to_ndarray(format="rgb24", width=layout.width, height=layout.height)
            yield clock.frame(layout.turn(image), times.times[place], times.segments[place])
        if layout is None:
            raise Undecodable("No picture of the clip could be decoded.")


class Clock:
    """Makes frames from decoded pictures, in display order."""

    def __init__(self) -> None:
        self._latest: deque[npt.NDArray[np.int16]] = deque(maxlen=4)
        self._index, self._time, self._step = 0, 0.0, 1 / 25
        self._start = 0.0
        self._part = self._segment = 0

    def frame(self, image: npt.NDArray[np.uint8], time: float, part: int) -> Frame:
        """The frame of a picture.

        Args:
            image: upright, uint8 (H, W, 3).
            time, part: seconds and segment in the timeline.
        """
        if self._index == 0:
            self._start, self._part = time, part
        time -= self._start
        if self._index and time <= self._time:  # decoders may output in another order than that of the time stamps
            time = self._time + self._step / 100
        elif self._index:
            self._step = min(time - self._time, 1.0)
        small = thumb(image)
        if part != self._part and not goes_on(self._latest, small):
            self._segment += 1  # else only the clock was set, and the scene continues
        self._part, self._time = part, time
        self._latest.append(small)
        self._index += 1
        return Frame(image, time, self._index - 1, self._segment)


def layout(source: Source, info: ClipInfo, settings: PipelineSettings) -> Layout:
    """The layout of pictures that an external decoder makes of :func:`packets`. Raises as :func:`frames`."""
    return _layout(source, _surveyed(source, info), settings)[0]


def packets(source: Source, info: ClipInfo) -> Generator[Packet, None, None]:
    """The packets of an H.264 or HEVC clip in decoding order, for an external decoder.

    Raises:
        Undecodable: the container is truncated, or a packet cannot be converted to Annex B.
    """
    times = _surveyed(source, info).times
    with opened(source) as (container, _):
        stream = container.streams[info.stream]
        annexb = BitStreamFilterContext(f"{stream.codec_context.name}_mp4toannexb", stream)
        try:
            for number, packet in numbered(container, stream):
                if number >= len(times.times):
                    raise Undecodable("The clip's length differs from its first reading: the file changed.")
                moment, shown = times.times[number], not np.isnan(times.times[number])
                for out in annexb.filter(packet):
                    yield Packet(bytes(out), moment if shown else 0.0, times.segments[number], shown)
        except (av.error.FFmpegError, ValueError) as error:
            raise Undecodable(
                "The clip ends in the middle of a picture: the file is damaged or was cut short."
            ) from error


def _surveyed(source: Source, info: ClipInfo) -> Survey:
    return surveys(source, only=info.stream)[0]


def frames(source: Source, info: ClipInfo | None = None) -> Generator[Frame, None, None]:
    """The clip's frames at the rate used for gait, one at a time.

    Sources above 36 Hz are thinned to 30 Hz by nearest time stamp; each kept frame keeps its own time.

    Args:
        source: path, bytes or seekable binary file.
        info: result of :func:`probe`; probed if None.
    """
    info = info or probe(source)
    return at_gait_rate(_decoded(source, _surveyed(source, info)), info)


def at_gait_rate(stream: Generator[Frame, None, None], info: ClipInfo) -> Generator[Frame, None, None]:
    """Thin all frames of the stream as :func:`frames` does."""
    return thinned(stream, RESAMPLE_TO) if info.rate > RESAMPLE_ABOVE else stream


def thinned(stream: Iterator[Frame], rate: float) -> Generator[Frame, None, None]:
    """Keep the frames that are nearest to a tick of a clock of ``rate`` hertz."""
    before = None
    current = next(stream, None)
    while current is not None:
        after = next(stream, None)
        low = (before + current.time) / 2 if before is not None else -1.0
        high = (current.time + after.time) / 2 if after is not None else current.time + 0.5 / rate
        if np.floor(high * rate - 1e-6) > np.floor(low * rate - 1e-6):
            yield current
        before, current = current.time, after
