"""A decoder of which every so many frames are kept, to measure what a lower frame rate costs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from pipelines.decode import ClipInfo, Decoder, Frame, Source, thinned
from pipelines.pictures import Codec, Pictures


class Thinned:
    """Clips as a camera of a lower frame rate would have recorded them: frames nearest to the ticks of its clock.

    Args:
        decoder: gives all frames.
        rate: of the slower camera, in hertz; clips that are slower already stay as they are.
    """

    def __init__(self, decoder: Decoder, rate: float) -> None:
        self._decoder = decoder
        self._rate = rate

    def probe(self, source: Source, deadline: float | None = None) -> ClipInfo:
        """As of the decoder, with the lower rate; ``frames`` are those of the file."""
        info = self._decoder.probe(source, deadline)
        return replace(info, rate=min(info.rate, self._rate))

    def frames(self, source: Source, info: ClipInfo, deadline: float | None = None) -> Generator[Frame, None, None]:
        """The frames that are kept; each keeps its time, and its number in the file."""
        with closing(self._decoder.frames(source, info, deadline)) as stream:
            yield from thinned(stream, self._rate)

    def pictures(self, codec: Codec, max_pixels: int, max_bytes: int) -> Pictures:
        """As of the decoder: live pictures are sent at a lower rate by their sender."""
        return self._decoder.pictures(codec, max_pixels, max_bytes)

    def close(self) -> None:
        """As of the decoder."""
        self._decoder.close()
