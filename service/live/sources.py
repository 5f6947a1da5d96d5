"""Picture sources of `gaitkeeper watch` and of cameras: on the network, a webcam, or a file played like a camera."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.decode import Decoder
from gaitkeeper.pipelines.pictures import LIBAV, Codec
from gaitkeeper.service.errors import SourceNotAllowed, SourceRefused, SourceUnavailable
from gaitkeeper.service.settings import Settings

Array = npt.NDArray[Any]

PATIENCE = 10.0
CODECS: dict[str, Codec] = {libav: codec for codec, libav in LIBAV.items()}  # type: ignore[misc]
WEBCAM = re.compile(r"/dev/video\d+")
SCHEMES = frozenset({"rtsp", "rtsps", "http", "https"})
FFMPEG: dict[str, dict[str, str]] = {
    "rtsp": {"rtsp_transport": "tcp", "protocol_whitelist": "rtsp,rtsps,rtp,tcp,tls"},
    # A stream, no playlist: that could name other addresses. Nor is a redirect followed.
    "http": {
        "protocol_whitelist": "http,https,tcp,tls",
        "format_whitelist": "mpjpeg,mjpeg,mpegts,h264",
        "max_redirects": "0",
    },
}
"""FFmpeg's options, by the beginning of the scheme."""


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame of a source: encoded data, or a picture, RGB uint8 (H, W, 3)."""

    t: float
    codec: Codec | None
    data: bytes = b""
    image: Array | None = None

    def coded(self) -> tuple[Codec, bytes]:
        """The frame in encoded form, for sending."""
        if self.codec is not None or self.image is None:
            return self.codec or "jpeg", self.data
        import cv2

        return "jpeg", cv2.imencode(".jpg", np.ascontiguousarray(self.image[..., ::-1]))[1].tobytes()


def shots_of(source: str, settings: Settings, decoder: Decoder) -> Iterator[Shot]:
    """Iterate over the frames of a source as they arrive. A file is played at its recorded speed.

    Args:
        source: ``rtsp://…``, ``http://…``, ``/dev/videoN``, or a file.
        settings: list the cameras that may be opened.
        decoder: decoder for files.

    Raises:
        SourceNotAllowed: the camera is not on the list.
        SourceRefused: the camera refuses the user name and password.
        SourceUnavailable: the source cannot be opened, or sends neither H.264 nor JPEG.
        ClipError: the file cannot be used.
    """
    if "://" in source:
        require_listed(source, settings.live_sources)
        return _network(source)
    if WEBCAM.fullmatch(source):
        return _webcam(source)
    if not Path(source).is_file():
        raise SourceUnavailable(f"{source} is neither a file, nor a webcam (/dev/videoN), nor an address of a camera.")
    return _file(Path(source), decoder)


def is_camera(source: str) -> bool:
    """Whether a source is endless. If an endless source ends, the connection was lost."""
    return "://" in source or WEBCAM.fullmatch(source) is not None


def require_listed(source: str, allowed: list[str]) -> None:
    """Check that the list of allowed cameras has a source. User names and passwords do not matter.

    Raises:
        SourceNotAllowed: it does not.
    """
    place = _place(source)
    if place[0] not in {*SCHEMES, ""} or place not in {_place(one) for one in allowed}:
        raise SourceNotAllowed(
            "This source is not on the list of allowed cameras: add it to GAITKEEPER_LIVE_SOURCES, "
            "without name and password, as in '[\"rtsp://door.example/main\"]'."
        )


def _place(source: str) -> tuple[str, str | None, int | None, str, str]:
    """A URL without user name and password, or the whole path of a file or webcam."""
    if "://" not in source:
        return "", None, None, str(Path(source).resolve()), ""
    try:
        parts = urlsplit(source)
        return parts.scheme, parts.hostname, parts.port, parts.path, parts.query
    except ValueError:  # no URL that names a machine and a port
        return source.partition("://")[0], None, None, "", ""


def _network(url: str) -> Iterator[Shot]:
    """Frames as the camera sends them, not decoded."""
    import av

    # Do not show the URL: it may contain a password.
    gone = SourceUnavailable("The camera does not answer, or broke off.")
    options, stamped = FFMPEG[url[:4]], url.startswith("rtsp")
    try:
        container = av.open(url, options=options, timeout=PATIENCE)
    except (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError):
        raise SourceRefused("The camera refuses this user name and password.") from None
    except (av.error.FFmpegError, OSError):
        raise gone from None
    with container:
        stream = next(iter(container.streams.video), None)
        codec = CODECS.get(stream.codec_context.name) if stream is not None else None
        if stream is None or codec is None:
            raise SourceUnavailable("The camera sends neither H.264 nor JPEG.")
        opening = bytes(stream.codec_context.extradata or b"")  # SPS and PPS, if the session description contains them
        start = time.monotonic()
        try:
            for packet in container.demux(stream):
                data = bytes(packet)
                if not data:
                    continue
                stamp = packet.pts if packet.pts is not None else packet.dts
                if not stamped or stamp is None or packet.time_base is None:  # pictures over HTTP carry no times
                    t = time.monotonic() - start
                else:
                    t = float(stamp * packet.time_base)
                yield Shot(max(t, 0.0), codec, opening + data if packet.is_keyframe and codec == "h264" else data)
        except (av.error.FFmpegError, OSError):
            raise gone from None


def _webcam(device: str) -> Iterator[Shot]:
    import cv2

    camera = cv2.VideoCapture(device, cv2.CAP_V4L2)
    try:
        start = time.monotonic()
        seen = False
        while True:
            there, image = camera.read()
            if not there:
                raise SourceUnavailable(f"{device} {'gives no more pictures' if seen else 'cannot be opened'}.")
            seen = True
            yield Shot(time.monotonic() - start, None, image=np.ascontiguousarray(image[..., ::-1]))
    finally:
        camera.release()


def _file(path: Path, decoder: Decoder) -> Iterator[Shot]:
    info = decoder.probe(path)
    start = time.monotonic()
    for frame in decoder.frames(path, info):
        time.sleep(max(0.0, start + frame.time - time.monotonic()))
        yield Shot(frame.time, None, image=frame.image)
