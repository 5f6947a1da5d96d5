"""Clips become frames: PyAV, streamed, times from the stream's own timestamps.

Only the containers and codecs named here are opened, told apart by content and never by name, so that a playlist or a
text file called ``.mp4`` is refused before any demuxer sees it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition

from pipelines.errors import EmptyUpload, NoVideo, TooLarge, Undecodable, UnsupportedMedia
from pipelines.pictures import Codec, PictureDecoder, Pictures
from pipelines.settings import PipelineSettings

CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg"})
CONTAINERS = frozenset({"mp4", "matroska", "avi"})
THREADS = 4
RESAMPLE_ABOVE = 36.0
RESAMPLE_TO = 30.0
DAMAGED_SHARE = 0.1

Source = str | Path | bytes | IO[bytes]


@dataclass(frozen=True)
class ClipInfo:
    """What a clip is, measured from its packets.

    Attributes:
        width, height: of the upright picture, in pixels.
        rate: median frame rate of the stream in hertz; 0 for a single frame.
        frames: frames in the stream.
        duration: seconds from the first frame to the end of the last.
        codec: name of the video codec.
        container: "mp4", "matroska" or "avi".
    """

    width: int
    height: int
    rate: float
    frames: int
    duration: float
    codec: str
    container: str


@dataclass(frozen=True)
class Frame:
    """One upright picture.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        time: seconds since the stream's first video frame.
        index: number of the frame in the stream, from 0.
    """

    image: npt.NDArray[np.uint8]
    time: float
    index: int


@dataclass(frozen=True, eq=False)
class Packet:
    """What a decoder takes at a time.

    Attributes:
        data: of one picture or two fields; H.264 and HEVC in Annex B, their headers with them.
        time: of its picture, in seconds of the stream's own clock.
    """

    data: bytes
    time: float


class Decoder(Protocol):
    """What the pipeline reads clips by: :class:`InProcess`, or a :class:`pipelines.sandbox.Sandbox`.

    Its methods give up at ``deadline``, an instant of ``time.monotonic``, where the decoder can.
    """

    def probe(self, source: Source, deadline: float | None = None) -> ClipInfo:
        """As :func:`probe`."""

    def frames(self, source: Source, info: ClipInfo, deadline: float | None = None) -> Generator[Frame, None, None]:
        """As :func:`frames`."""

    def pictures(self, codec: Codec, max_pixels: int, max_bytes: int) -> Pictures:
        """A decoder of a live stream's pictures, of so many pixels, in messages of so many bytes."""

    def close(self) -> None:
        """Let go of what was started."""


class InProcess:
    """Decodes right here, for clips that are trusted; whoever takes the frames keeps the deadline."""

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
        """Nothing was started."""


def sniff(head: bytes) -> str:
    """Name the demuxer by a clip's first bytes.

    Raises:
        EmptyUpload: no bytes.
        UnsupportedMedia: none of mp4, mov, mkv, webm, avi.
    """
    if not head:
        raise EmptyUpload("The clip is empty: 0 bytes came.")
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    raise UnsupportedMedia("This is not a video that is read here: send mp4, mov, mkv, webm or avi.")


@contextmanager
def _opened(source: Source) -> Iterator[tuple[Any, str]]:
    """The av container and its kind; a stream is read from its start, and left open."""
    path = Path(source) if isinstance(source, (str, Path)) else None
    file: IO[bytes] = io.BytesIO(source) if isinstance(source, bytes) else (path.open("rb") if path else source)  # type: ignore[assignment]
    try:
        file.seek(0)
        kind = sniff(file.read(16))
        file.seek(0)
        try:
            container = av.open(file, "r", format=kind, options={"protocol_whitelist": "", "enable_drefs": "0"})
        except (av.error.FFmpegError, ValueError) as error:
            raise Undecodable("The clip's header cannot be read: the file is damaged or was cut short.") from error
        with container:
            yield container, kind
    finally:
        if path:
            file.close()


def _video(container: Any) -> Any:
    """The first moving picture; cover art does not count."""
    for stream in container.streams.video:
        if Disposition.attached_pic in stream.disposition:
            continue
        if stream.codec_context is None or stream.codec_context.name not in CODECS:
            name = stream.codec_context.name if stream.codec_context else "unknown"
            raise UnsupportedMedia(f"The video codec {name} is not read here: use H.264, HEVC, VP9, AV1 or MPEG-4.")
        return stream
    raise NoVideo("The clip has no video, only sound or other data.")


def probe(source: Source, settings: PipelineSettings | None = None) -> ClipInfo:
    """Measure a clip from its packets and one decoded frame.

    Raises:
        EmptyUpload, UnsupportedMedia, NoVideo, Undecodable: as their names say; a clip cut short is undecodable.
        TooLarge: beyond the settings' pixels, frames or seconds.
    """
    limits = settings or PipelineSettings()
    with _opened(source) as (container, kind):
        stream = _video(container)
        if stream.width * stream.height > limits.max_pixels:
            raise TooLarge(f"The picture has {stream.width} × {stream.height} pixels, {limits.max_pixels} are allowed.")
        times, declared = [], int(stream.frames)
        try:
            for packet in container.demux(stream):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is None or not packet.size:
                    continue
                times.append(float(stamp * packet.time_base))
                if len(times) > limits.max_frames:
                    raise TooLarge(f"The clip has more than {limits.max_frames} frames.")
        except av.error.FFmpegError as error:
            raise Undecodable("The clip breaks off in the middle: the file is damaged or was cut short.") from error
        # mp4 and avi say how many frames they hold; fewer packets mean a broken upload, even where a part would play.
        if len(times) < declared:
            raise Undecodable(f"The clip ends after {len(times)} of {declared} frames: send the whole file.")
        if not times:
            raise Undecodable("The clip's video stream has no frames.")
    times.sort()
    steps = np.diff(times)
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    duration = times[-1] - times[0] + step
    if duration > limits.max_seconds:
        raise TooLarge(f"The clip lasts {duration:.0f} s, {limits.max_seconds:.0f} s are allowed.")
    height, width = next(iter(_decoded(source))).image.shape[:2]
    if height * width > limits.max_pixels:  # the pictures need not be what the header says
        raise TooLarge(f"The picture has {width} × {height} pixels, {limits.max_pixels} are allowed.")
    return ClipInfo(width, height, 1 / step if step else 0.0, len(times), duration, stream.codec_context.name, kind)


def _decoded(source: Source) -> Generator[Frame, None, None]:
    """Every frame, upright. Damaged packets are passed over unless there are many."""
    with _opened(source) as (container, _):
        stream = _video(container)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = min(THREADS, os.cpu_count() or 1)
        shape: tuple[int, int, int] | None = None
        index, damaged, start, last = 0, 0, 0.0, -1.0
        step = float(1 / stream.average_rate) if stream.average_rate else 1 / 25
        for packet in container.demux(stream):
            try:
                pictures = packet.decode()
            except av.error.FFmpegError as error:
                damaged += 1
                if damaged > max(3.0, DAMAGED_SHARE * index):
                    raise Undecodable("The clip's pictures cannot be decoded: the file is damaged.") from error
                continue
            for picture in pictures:
                stamp = picture.pts if picture.pts is not None else picture.dts
                time = float(stamp * stream.time_base) if stamp is not None else last + start + step
                start = time if index == 0 else start
                if time - start <= last:
                    continue  # a stamp that stands still or runs back is no new moment
                last = time - start
                shape = shape or (picture.width, picture.height, round(picture.rotation / 90) % 4)
                yield Frame(_upright(picture, *shape), last, index)
                index += 1
        if index == 0:
            raise Undecodable("Not one picture of the clip could be decoded.")


def layout(source: Source) -> tuple[int, str]:
    """Quarter turns that make the clip's pictures upright, and the form of their pixels, as in "yuv420p"."""
    with _opened(source) as (container, _):
        for picture in container.decode(_video(container)):
            return round(picture.rotation / 90) % 4, picture.format.name
    raise Undecodable("Not one picture of the clip could be decoded.")


def packets(source: Source) -> Generator[Packet, None, None]:
    """The packets of an H.264 or HEVC clip in the order of decoding, for a decoder elsewhere.

    Raises:
        Undecodable: the container breaks off, or a packet cannot be put into Annex B.
    """
    with _opened(source) as (container, _):
        stream = _video(container)
        annexb = BitStreamFilterContext(f"{stream.codec_context.name}_mp4toannexb", stream)
        try:
            for packet in container.demux(stream):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is None or not packet.size:
                    continue
                moment = float(stamp * packet.time_base)
                yield from (Packet(bytes(out), moment) for out in annexb.filter(packet))
        except (av.error.FFmpegError, ValueError) as error:
            raise Undecodable("The clip breaks off in the middle: the file is damaged or was cut short.") from error


def _upright(picture: Any, width: int, height: int, turns: int) -> npt.NDArray[np.uint8]:
    """The picture as large as the clip's first and turned as it: a stream may change both in the middle."""
    image = picture.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def frames(source: Source, info: ClipInfo | None = None) -> Generator[Frame, None, None]:
    """The clip's frames at the rate the gait is looked at, one at a time.

    Sources above 36 Hz are thinned to 30 Hz by nearest time stamp; each kept frame keeps its own time.

    Args:
        source: path, bytes or seekable binary file.
        info: what :func:`probe` said; probed where absent.
    """
    return at_gait_rate(_decoded(source), info or probe(source))


def at_gait_rate(stream: Generator[Frame, None, None], info: ClipInfo) -> Generator[Frame, None, None]:
    """The frames as :func:`frames` gives them, of all frames of the stream."""
    return _thinned(stream) if info.rate > RESAMPLE_ABOVE else stream


def _thinned(stream: Iterator[Frame]) -> Generator[Frame, None, None]:
    """Keep a frame where it is the nearest one to some tick of a 30 Hz clock."""
    before = None
    current = next(stream, None)
    while current is not None:
        after = next(stream, None)
        low = (before + current.time) / 2 if before is not None else -1.0
        high = (current.time + after.time) / 2 if after is not None else current.time + 0.5 / RESAMPLE_TO
        if np.floor(high * RESAMPLE_TO - 1e-6) > np.floor(low * RESAMPLE_TO - 1e-6):
            yield current
        before, current = current.time, after
