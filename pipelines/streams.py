"""Survey a container: choose the video stream, and find when each picture is shown."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import av
import av.error
from av.stream import Disposition

from gaitkeeper.pipelines.errors import EmptyUpload, NoVideo, TooLarge, Undecodable, UnsupportedMedia
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.timing import Stamp, Timeline, timeline
from gaitkeeper.pipelines.whole import ends_early

CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg"})
CONTAINERS = frozenset({"mp4", "matroska", "avi"})
STREAMS = 16
"""Maximum number of video streams that are examined."""
STILL_RATE = 1.0
"""Pictures per second up to which a stream counts as a series of stills."""
LOOK = 100
"""Number of pictures that are decoded to check whether their order differs from that of their packets."""

Source = str | Path | bytes | IO[bytes]


@dataclass(frozen=True, eq=False)
class Survey:
    """Properties of one stream, from its packets.

    Attributes:
        index: index of the stream in its container.
        codec: name of the codec.
        default: True if the container marks it as the default.
        times: display times of its pictures.
    """

    index: int
    codec: str
    default: bool
    times: Timeline

    @property
    def moves(self) -> bool:
        """False for stills, such as cover art."""
        return self.times.frames > 1 and self.times.frames > STILL_RATE * self.times.duration


def sniff(head: bytes) -> str:
    """Choose the demuxer from a clip's first bytes.

    Raises:
        EmptyUpload: no bytes.
        UnsupportedMedia: none of mp4, mov, mkv, webm, avi.
    """
    if not head:
        raise EmptyUpload("The clip is empty: it has 0 bytes.")
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    raise UnsupportedMedia("This is not a video in a supported format: send mp4, mov, mkv, webm or avi.")


@contextmanager
def opened(source: Source, *, whole: bool = False) -> Iterator[tuple[Any, str]]:
    """The av container and its kind; a file object is read from its start, and stays open.

    Args:
        source: path, bytes or seekable binary file.
        whole: True if a truncated file must be refused.

    Raises:
        EmptyUpload, UnsupportedMedia: as :func:`sniff`.
        Undecodable: the header cannot be read, or the file ends early.
    """
    path = Path(source) if isinstance(source, (str, Path)) else None
    file: IO[bytes] = io.BytesIO(source) if isinstance(source, bytes) else (path.open("rb") if path else source)  # type: ignore[assignment]
    try:
        file.seek(0)
        kind = sniff(file.read(16))
        if whole and ends_early(file, kind):
            raise Undecodable("The clip ends too early: the file was cut short. Send the whole file.")
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


def readable(container: Any) -> list[Any]:
    """The video streams that are decoded here; cover art does not count.

    Raises:
        NoVideo: there is no video.
        UnsupportedMedia: there is video, but not in a supported codec.
    """
    videos = [s for s in container.streams.video if Disposition.attached_pic not in s.disposition][:STREAMS]
    known = [s for s in videos if s.codec_context is not None and s.codec_context.name in CODECS]
    if not videos:
        raise NoVideo("The clip has no video, only sound or other data.")
    if not known:
        name = videos[0].codec_context.name if videos[0].codec_context else "unknown"
        raise UnsupportedMedia(f"The video codec {name} is not supported: use H.264, HEVC, VP9, AV1 or MPEG-4.")
    return known


def surveys(source: Source, limits: PipelineSettings | None = None, only: int | None = None) -> list[Survey]:
    """Read all packets of a clip's video streams; the best stream comes first.

    That is the default stream if it moves, else the longest one that moves.

    Args:
        source: path, bytes or seekable binary file.
        limits: limit on frames; the file must then be complete. None for a clip that was checked before.
        only: index of the stream to survey; None for all.

    Raises:
        EmptyUpload, UnsupportedMedia, NoVideo, Undecodable: see their docstrings.
        TooLarge: a stream has more frames than are allowed.
    """
    with opened(source, whole=limits is not None) as (container, _):
        streams = [stream for stream in readable(container) if only in (None, stream.index)]
        if not streams:
            raise Undecodable("The clip lacks the video stream of its first reading: the file changed.")
        stamps: dict[int, list[Stamp]] = {stream.index: [] for stream in streams}
        try:
            for packet in container.demux(*streams):
                if packet.size:
                    stamps[packet.stream_index].append(stamp_of(packet))
                    if limits is not None and len(stamps[packet.stream_index]) > limits.max_frames:
                        raise TooLarge(f"The clip has more than {limits.max_frames} frames.")
        except av.error.FFmpegError as error:
            raise Undecodable(
                "The clip ends in the middle of a picture: the file is damaged or was cut short."
            ) from error
        found = []
        for stream in streams:
            rate = stream.average_rate
            context = stream.codec_context
            times = timeline(stamps[stream.index], float(1 / rate) if rate else None, context.has_b_frames)
            default = Disposition.default in stream.disposition
            found.append(Survey(stream.index, context.name, default, times))
    found = [one for one in found if one.times.frames]
    if not found:
        raise Undecodable("The clip's video stream has no frames.")
    found.sort(key=lambda one: (one.moves, one.default, one.times.frames, -one.index), reverse=True)
    return [_settled(source, one) if one.times.in_order else one for one in found]


def stamp_of(packet: Any) -> Stamp:
    """Display time of a packet's picture; hidden pictures are only for the decoder."""
    base = packet.time_base
    times = [None if ticks is None else float(ticks * base) for ticks in (packet.pts, packet.dts)]
    return Stamp(times[0], times[1], packet.is_discard or _unseen(packet))


def numbered(container: Any, stream: Any) -> Iterator[tuple[int, Any]]:
    """A stream's packets, with their number as time stamp, so that pictures can be matched to packets.

    Chunks without data, which recorders write for dropped frames, are left out: a decoder would take them for the end.
    """
    number = 0
    for packet in container.demux(stream):
        if packet.size:
            packet.pts = number
            yield number, packet
            number += 1


def _unseen(packet: Any) -> bool:
    """True if a VP8 packet holds a picture that is only a reference."""
    stream = packet.stream
    return stream.codec_context.name == "vp8" and not memoryview(packet)[0] & 0x10


def _settled(source: Source, survey: Survey) -> Survey:
    """The survey of a stream with rising time stamps, after checking whether its pictures come in another order."""
    with opened(source) as (container, _):
        stream = container.streams[survey.index]
        last = -1
        count = 0
        for _, packet in numbered(container, stream):
            try:
                pictures = packet.decode()
            except av.error.FFmpegError:
                continue
            for picture in pictures:
                if picture.pts is not None and picture.pts < last:
                    return survey
                last = picture.pts if picture.pts is not None else last
            count += len(pictures)
            if count >= LOOK:
                break
    repaired = {kind: frames for kind, frames in survey.times.repaired.items() if kind != "decode_order"}
    return replace(survey, times=replace(survey.times, in_order=False, repaired=repaired))
