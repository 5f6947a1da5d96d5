"""Make pictures upright: apply the display matrix, and make pixels square."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type

if TYPE_CHECKING:
    from gaitkeeper.pipelines.decode import ClipInfo, Frame

Image = npt.NDArray[np.uint8]

ROTATIONS = (0, 90, 180, 270)
"""Rotations that can be applied, in degrees clockwise."""
WIDEST = 4
"""Maximum pixel aspect ratio, either way; a more extreme value in the stream is ignored as invalid."""


@dataclass(frozen=True)
class Turn:
    """One of the eight orientations of a picture: rows and columns swapped, then flipped.

    Attributes:
        swap: columns become rows.
        mirror: then, left becomes right.
        tumble: then, top becomes bottom.
    """

    swap: bool = False
    mirror: bool = False
    tumble: bool = False

    @classmethod
    def of(cls, matrix: bytes | None) -> Turn:
        """The orientation nearest to a display matrix.

        Args:
            matrix: 36 bytes, nine int32 in native order, as libav gives them; None for none.
        """
        if matrix is None or len(matrix) != 36:
            return cls()
        a, b, _, c, d, *_ = (float(value) for value in np.frombuffer(matrix, np.int32))
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def __call__(self, image: Image) -> Image:
        """The picture, uint8 (H, W, 3), in this orientation; contiguous in memory."""
        if self.swap:
            image = image.transpose(1, 0, 2)
        return np.ascontiguousarray(image[:: -1 if self.tumble else 1, :: -1 if self.mirror else 1])


def matrix_of(picture: Any) -> bytes | None:
    """The display matrix of a decoded picture; None if it has none."""
    found = picture.side_data.get(Type.DISPLAYMATRIX)
    return None if found is None else bytes(found)


def squared(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """Width and height of a picture with square pixels: the smaller one grows, so that nothing is lost.

    Args:
        width, height: in pixels.
        aspect: width of a pixel by its height; None if the stream does not say.
    """
    if not aspect or not Fraction(1, WIDEST) <= aspect <= WIDEST:
        return width, height
    if aspect >= 1:
        return max(1, round(width * aspect)), height
    return width, max(1, round(height / aspect))


def turned_info(info: ClipInfo, rotate: int) -> ClipInfo:
    """A clip's properties after turning its pictures by ``rotate`` degrees."""
    width, height = (info.height, info.width) if rotate in (90, 270) else (info.width, info.height)
    return replace(info, width=width, height=height, rotated=rotate)


def turned(image: Image, rotate: int) -> Image:
    """A picture turned clockwise by ``rotate`` degrees, one of :data:`ROTATIONS`; contiguous in memory."""
    return np.ascontiguousarray(np.rot90(image, -(rotate // 90) % 4)) if rotate else image


def all_turned(stream: Generator[Frame, None, None], rotate: int) -> Generator[Frame, None, None]:
    """Frames turned clockwise by ``rotate`` degrees, one of :data:`ROTATIONS`; closing this closes the stream."""
    try:
        for frame in stream:
            yield replace(frame, image=turned(frame.image, rotate))
    finally:
        stream.close()
