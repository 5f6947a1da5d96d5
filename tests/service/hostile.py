"""Small clips that are broken on purpose, in every way that the formats allow."""

from __future__ import annotations

import io
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

Rng = np.random.Generator

ENCODERS = (
    ("mp4", "libx264"), ("mp4", "mpeg4"), ("mov", "libx265"), ("matroska", "libx264"), ("webm", "libvpx-vp9"),
    ("avi", "mpeg4"), ("webm", "libvpx"),
)  # fmt: skip


@cache
def good(container: str = "mp4", codec: str = "libx264", frames: int = 12, faststart: bool = False) -> bytes:
    """A sound clip of moving stripes, 96 × 64."""
    options = {"movflags": "faststart"} if faststart else {}
    # By name, since the index can be moved to the front of a real file only.
    with (
        tempfile.NamedTemporaryFile() as file,
        av.open(file.name, "w", format=container, options=options) as out,
    ):
        stream = out.add_stream(codec, rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(frames):
            picture = np.broadcast_to(((np.arange(96) * 5 + i * 9) % 256).astype(np.uint8)[None, :, None], (64, 96, 3))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        out.mux(stream.encode())
        out.close()
        return Path(file.name).read_bytes()


def any_good(rng: Rng) -> bytes:
    container, codec = ENCODERS[rng.integers(len(ENCODERS))]
    return good(container, codec, faststart=container == "mp4" and bool(rng.integers(2)))


def truncated(rng: Rng) -> bytes:
    data = any_good(rng)
    return data[: rng.integers(1, len(data))]


def flipped(rng: Rng) -> bytes:
    data = bytearray(any_good(rng))
    for at in rng.integers(0, len(data), rng.integers(1, 60)):
        data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


def flipped_header(rng: Rng) -> bytes:
    """Only the structure is hurt, not the pictures."""
    data = bytearray(good(faststart=True))
    for at in rng.integers(8, data.index(b"mdat"), rng.integers(1, 12)):
        data[at] = int(rng.integers(256))
    return bytes(data)


def blanked(rng: Rng) -> bytes:
    data = bytearray(any_good(rng))
    at, length = rng.integers(0, len(data)), rng.integers(1, 400)
    data[at : at + length] = bytes([int(rng.choice([0, 255]))]) * len(data[at : at + length])
    return bytes(data)


def spliced(rng: Rng) -> bytes:
    one, other = any_good(rng), any_good(rng)
    return one[: rng.integers(len(one))] + other[rng.integers(len(other)) :]


def doubled(rng: Rng) -> bytes:
    return any_good(rng) + any_good(rng)


def with_box(name: bytes, offset: int, form: str, *values: int) -> bytes:
    """An mp4 with other numbers in one of its boxes; the offset counts from the box's name."""
    data = bytearray(good())
    struct.pack_into(form, data, data.index(name) + offset, *values)
    return bytes(data)


def lying(rng: Rng) -> bytes:
    """A header that says what is not so."""
    lies: list[Callable[[], bytes]] = [
        lambda: with_box(b"avc1", 28, ">HH", 65535, 65535),
        lambda: with_box(b"tkhd", 80, ">II", 0xFFFF0000, 0xFFFF0000),
        lambda: with_box(b"stsz", 12, ">I", 10**9),
        lambda: with_box(b"stts", 8, ">II", 10**9, 1),
        lambda: with_box(b"stts", 12, ">I", 0x7FFFFFFF),
        lambda: with_box(b"stts", 12, ">I", 0xFFFFFFF0),
        lambda: with_box(b"mdhd", 16, ">I", 0),
        lambda: with_box(b"mdhd", 20, ">i", -1),
        lambda: with_box(b"mvhd", 20, ">i", -5),
        lambda: with_box(b"mvhd", 16, ">I", 0xFFFFFFFF),
        lambda: with_box(b"stco", 12, ">I", 0xFFFFFFF0),
        lambda: with_box(b"stsc", 8, ">III", 10**9, 10**9, 7),
        lambda: with_box(b"moov", -4, ">I", 0xFFFFFFFF),
        lambda: with_box(b"moov", -4, ">I", 1),
        lambda: with_box(b"trak", -4, ">I", 0),
        lambda: with_box(b"hdlr", 12, ">I", 0x736F756E),
        lambda: with_box(b"tkhd", 44, ">9i", *(int(v) for v in rng.integers(-(2**31), 2**31, 9))),
    ]
    return lies[rng.integers(len(lies))]()


def external(rng: Rng) -> bytes:
    """An mp4 whose pictures are said to lie in a file of this machine."""
    data = good()
    reference = b"file:///etc/passwd\0"
    entry = struct.pack(">I4sI", 12 + len(reference), b"url ", 0) + reference
    at = data.index(b"url ") - 4
    return data[:at] + entry + data[at + 12 :]


def masked(rng: Rng) -> bytes:
    """Something else by the name of a clip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("walk.mp4", bytes(10**6))
    things = [
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n", packed.getvalue(),
        b"", b"\0", b"RIFF", bytes(5000), b"<?xml version='1.0'?><MPD/>", b"%PDF-1.4\n" * 50, b"\x7fELF" + bytes(500),
        b"\x89PNG\r\n\x1a\n" + bytes(100), b"GIF89a" + bytes(100), b"OggS" + bytes(100), b"ID3" + bytes(100),
        rng.bytes(3000), b"\x1a\x45\xdf\xa3" + rng.bytes(3000), b"\0\0\0\x20ftyp" + rng.bytes(3000),
        b"RIFF\xff\xff\xff\xffAVI LIST" + rng.bytes(3000),
    ]  # fmt: skip
    return things[rng.integers(len(things))]


def polyglot(rng: Rng) -> bytes:
    """A clip that is something else, too."""
    packed = io.BytesIO(good())
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("x", "y")
    playlist = b"#EXTM3U\nfile:///etc/passwd\n"
    skipped = struct.pack(">I4s", 8 + len(playlist), b"free") + playlist
    return [packed.getvalue(), skipped + good(), good() + playlist][rng.integers(3)]


def unending(rng: Rng) -> bytes:
    """A live stream: clusters of unknown length and no end."""
    data = bytearray(good("matroska", "libx264"))
    at = data.index(b"\x1f\x43\xb6\x75") + 4
    data[at : at + 8] = b"\x01" + b"\xff" * 7 if data[at] == 1 else data[at : at + 8]
    cluster = bytes(data[at - 4 :])
    return bytes(data) + cluster * int(rng.integers(1, 40))


def sound(rng: Rng) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        for start in range(0, 8192, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def uneven(rng: Rng) -> bytes:
    """Any time stamps at all."""
    buffer = io.BytesIO()
    stamps = np.sort(rng.choice(10 ** int(rng.integers(2, 9)), 20, replace=False))
    with av.open(buffer, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for stamp in stamps:
            frame = av.VideoFrame(96, 64, "yuv420p")
            frame.pts, frame.time_base = int(stamp), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return buffer.getvalue()


def turned(rng: Rng) -> bytes:
    a, b, c, d = [(0, 1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, -1), (7, 3, 1, 2), (0, 0, 0, 0)][rng.integers(5)]
    return with_box(b"tkhd", 44, ">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)


def short(rng: Rng) -> bytes:
    return good(frames=int(rng.integers(1, 3)))


def growing(rng: Rng) -> bytes:
    """H.264 whose second half is of another size than its first and its header say."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as out:
        header = out.add_stream("libx264", rate=25)
        header.width, header.height, header.pix_fmt = 96, 64, "yuv420p"
        clock = 0
        for width, height in ((96, 64), (320, 240), (32, 32)):
            encoder = av.CodecContext.create("libx264", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base, encoder.options = Fraction(1, 25), {"bf": "0"}
            for frame in [*(av.VideoFrame(width, height, "yuv420p") for _ in range(8)), None]:
                for packet in encoder.encode(frame):
                    packet.stream, packet.pts, packet.dts, packet.time_base = header, clock, clock, Fraction(1, 25)
                    clock += 1
                    out.mux(packet)
    return buffer.getvalue()


KINDS: tuple[Callable[[Rng], bytes], ...] = (
    truncated, flipped, flipped_header, blanked, spliced, doubled, lying, lying, external, masked, polyglot, unending,
    sound, uneven, turned, short, growing,
)  # fmt: skip


def clips(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """So many clips with the names of what was done to them, each kind in turn; the same for a seed."""
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        yield f"{kind.__name__}-{number}", kind(np.random.default_rng((seed, number)))
