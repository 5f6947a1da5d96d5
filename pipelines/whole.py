"""Detect truncated files from the sizes of their outermost parts.

Frame counts in headers are not reliable: an edit list hides frames, and recorders count wrong.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO

BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"sidx", b"mfra", b"styp", b"uuid"})
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
MOST = 1_000_000
"""Maximum number of parts that are examined."""
SLACK = 8
"""Bytes by which a RIFF may be too long: some recorders include its header."""


def ends_early(file: IO[bytes], kind: str) -> bool:
    """True if the declared length of the last part exceeds the file.

    Args:
        file: a seekable file; left at its start.
        kind: "mp4", "matroska" or "avi".
    """
    size = file.seek(0, os.SEEK_END)
    place = 0
    part = PARTS[kind]
    for _ in range(MOST):
        if place >= size:
            break
        file.seek(place)
        end = part(file.read(32), place, size)
        if end is None:
            break
        place = end
    file.seek(0)
    return place > size


def _box(head: bytes, place: int, size: int) -> int | None:
    """End of a box of mp4 or mov; None if there is no further box, or if the box extends to the end of the file."""
    length, name = int.from_bytes(head[:4]), head[4:8]
    if name not in BOXES or length == 0:
        return None
    if length == 1:
        length = int.from_bytes(head[8:16])
    return place + length if length >= 8 else None


def _chunk(head: bytes, place: int, size: int) -> int | None:
    """End of a RIFF; recorders that were interrupted, or still write, leave a size of zero or all ones."""
    length = int.from_bytes(head[4:8], "little")
    if head[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):
        return None
    end = place + 8 + length
    if size < end <= size + SLACK:
        return size
    return end + length % 2 if end < size else end


def _element(head: bytes, place: int, size: int) -> int | None:
    """End of an outermost element of Matroska; None if its size is not known, or it is not an element."""
    if head[:4] not in (EBML, SEGMENT) or len(head) < 5 or not head[4]:
        return None
    width = 9 - head[4].bit_length()
    coded = head[4 : 4 + width]
    length = int.from_bytes(coded) & ((1 << 7 * width) - 1)
    return None if length == (1 << 7 * width) - 1 else place + 4 + width + length


PARTS: dict[str, Callable[[bytes, int, int], int | None]] = {"mp4": _box, "matroska": _element, "avi": _chunk}
