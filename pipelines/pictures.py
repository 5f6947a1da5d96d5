"""Single pictures of a live stream, decoded one message at a time: JPEG, or H.264 in Annex B, an access unit each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from gaitkeeper.pipelines.errors import TooLarge, Undecodable
from gaitkeeper.pipelines.upright import Turn, matrix_of, squared

Array = npt.NDArray[Any]
Codec = Literal["jpeg", "h264"]

LIBAV: dict[str, str] = {"jpeg": "mjpeg", "h264": "h264"}
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
EXIF, EXIF_WITHIN = b"Exif\0\0", 1 << 16
HEADROOM = 4
"""Multiple of the allowed pixels up to which a picture is decoded to report its size; beyond, it counts as damaged."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded picture, upright and with square pixels if its stream says how.

    Attributes:
        number: number of its message.
        image: RGB uint8 (H, W, 3).
    """

    number: int
    image: Array


class Pictures(Protocol):
    """The decoder of one live stream."""

    @property
    def broken(self) -> bool:
        """True if this stream cannot be decoded any further."""

    def decode(self, data: bytes, number: int) -> list[Picture]:
        """The pictures of a message: one, none yet, or those of earlier messages.

        Args:
            data: a JPEG file or an access unit; empty at the end of the stream, to get the rest.
            number: of the message.

        Raises:
            Undecodable: it is damaged, or refers to a missing picture. Later messages may be decodable.
            TooLarge: it has too many pixels.
        """

    def close(self) -> None:
        """Release resources."""


class PictureDecoder:
    """Decodes in this process; for hostile input use :meth:`gaitkeeper.pipelines.sandbox.Sandbox.pictures`.

    Args:
        codec: of the messages.
        max_pixels: of a picture.
    """

    broken = False

    def __init__(self, codec: Codec, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._context: Any = av.CodecContext.create(LIBAV[codec], "r")
        self._context.thread_count = 1  # one thread per frame would delay pictures
        self._codec = codec
        self._converter = VideoReformatter()
        self._turn = Turn.of(None)
        self._exif = False
        # The library would invent the rest of a truncated JPEG. H.264 continues after lost pictures.
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
            raise Undecodable("The picture is damaged, or an earlier picture that it needs is missing.") from error
        return [self._picture(frame, number) for frame in frames]

    def close(self) -> None:
        """Does nothing."""

    def _may_turn(self, frame: Any) -> bool:
        return self._exif if self._codec == "jpeg" else bool(frame.key_frame)

    def _picture(self, frame: Any, number: int) -> Picture:
        if frame.width * frame.height > self._max_pixels:
            raise TooLarge(f"The picture has {frame.width} × {frame.height} pixels, {self._max_pixels} are allowed.")
        if frame.is_corrupt:
            raise Undecodable("The picture is damaged, or an earlier picture that it needs is missing.")
        width, height = squared(frame.width, frame.height, self._context.sample_aspect_ratio)
        if width * height > self._max_pixels:
            raise TooLarge(f"The picture has {width} × {height} pixels, {self._max_pixels} are allowed.")
        # A frame that converts itself keeps threads of its own for that; share one converter.
        plain = self._converter.reformat(frame, width=width, height=height, format="rgb24")
        # Reading side data makes a frame refer to itself, which keeps its pixels in memory: read it only for frames at
        # which the orientation can change.
        if self._may_turn(frame):
            self._turn = Turn.of(matrix_of(frame))
        image = self._turn(np.asarray(plain.to_ndarray(), np.uint8))
        return Picture(number if frame.pts is None else int(frame.pts), image)
