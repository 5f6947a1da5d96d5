"""Single pictures of a live stream, decoded one message at a time: JPEG, or H.264 in Annex B, an access unit each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from pipelines.errors import TooLarge, Undecodable
from pipelines.upright import Turn, matrix_of, squared

Array = npt.NDArray[Any]
Codec = Literal["jpeg", "h264"]

LIBAV: dict[str, str] = {"jpeg": "mjpeg", "h264": "h264"}
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
EXIF, EXIF_WITHIN = b"Exif\0\0", 1 << 16
HEADROOM = 4
"""Times the allowed pixels up to which a picture is decoded to say how large it is; beyond, it is merely damaged."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded picture, upright and with square pixels where its stream says how.

    Attributes:
        number: of the message that it came in.
        image: RGB uint8 (H, W, 3).
    """

    number: int
    image: Array


class Pictures(Protocol):
    """The decoder of one live stream."""

    @property
    def broken(self) -> bool:
        """Whether nothing can be decoded for this stream any more."""

    def decode(self, data: bytes, number: int) -> list[Picture]:
        """What a message shows: one picture, none yet, or those of earlier messages.

        Args:
            data: a JPEG file or an access unit; empty at the end of the stream, for what is left.
            number: of the message.

        Raises:
            Undecodable: it is damaged, or refers to what never came. Another message may be good.
            TooLarge: it has too many pixels.
        """

    def close(self) -> None:
        """Let go of what was started."""


class PictureDecoder:
    """Decodes right here; for what is hostile see :meth:`pipelines.sandbox.Sandbox.pictures`.

    Args:
        codec: of the messages.
        max_pixels: of a picture.
    """

    broken = False

    def __init__(self, codec: Codec, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._context: Any = av.CodecContext.create(LIBAV[codec], "r")
        self._context.thread_count = 1  # threads that each take a frame would keep pictures back
        self._codec = codec
        self._converter = VideoReformatter()
        self._turn = Turn.of(None)
        self._exif = False
        # Of a JPEG that ends too early the library would make up the rest. H.264 goes on from pictures that were lost.
        strict = {"err_detect": "explode"} if codec == "jpeg" else {}
        self._context.options = {"max_pixels": str(HEADROOM * max_pixels), **strict}

    def decode(self, data: bytes, number: int) -> list[Picture]:
        """As :meth:`Pictures.decode`."""
        packet = None
        if data and self._codec == "jpeg" and data.rfind(END_OF_IMAGE) <= data.rfind(START_OF_SCAN):
            raise Undecodable("The picture is cut short.")
        exif = EXIF in data[:EXIF_WITHIN]
        if self._exif and not exif:
            self._turn = Turn.of(None)
        self._exif = exif
        if data:
            packet = av.Packet(data)
            packet.pts = number
        try:
            frames = self._context.decode(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise Undecodable("The picture is damaged, or needs one that never came.") from error
        return [self._picture(frame, number) for frame in frames]

    def close(self) -> None:
        """Nothing was started."""

    def _may_turn(self, frame: Any) -> bool:
        return self._exif if self._codec == "jpeg" else bool(frame.key_frame)

    def _picture(self, frame: Any, number: int) -> Picture:
        if frame.width * frame.height > self._max_pixels:
            raise TooLarge(f"The picture has {frame.width} × {frame.height} pixels, {self._max_pixels} are allowed.")
        if frame.is_corrupt:
            raise Undecodable("The picture is damaged, or needs one that never came.")
        width, height = squared(frame.width, frame.height, self._context.sample_aspect_ratio)
        if width * height > self._max_pixels:
            raise TooLarge(f"The picture has {width} × {height} pixels, {self._max_pixels} are allowed.")
        # A frame that converts itself keeps threads of its own for that; one converter does for all.
        plain = self._converter.reformat(frame, width=width, height=height, format="rgb24")
        # A frame whose side data was asked for refers to itself, and its pixels stay for a while: only those are asked
        # that can begin to lie otherwise.
        if self._may_turn(frame):
            self._turn = Turn.of(matrix_of(frame))
        image = self._turn(np.asarray(plain.to_ndarray(), np.uint8))
        return Picture(number if frame.pts is None else int(frame.pts), image)
