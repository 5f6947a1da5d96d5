"""A decoder that keeps only some frames, to measure the effect of a lower frame rate."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from gaitkeeper.pipelines.decode import ClipInfo, Decoder, Frame, Source, thinned
from gaitkeeper.pipelines.pictures import Codec, Pictures


class Thinned:
    """Clips as a camera of a lower frame rate would have recorded them: frames nearest to the ticks of its clock.

    Args:
        decoder: decoder of all frames.
        rate: frame rate of the slower camera, in hertz; slower clips are unchanged.
    """

    def __init__(self, decoder: Decoder, rate: float) -> None:
        self._decoder = decoder
        self._rate = rate

    def probe(self, source: Source, deadline: float | None = None) -> ClipInfo:
        """As in the decoder, with the lower rate; ``frames`` is that of the file."""
        info = self._decoder.probe(source, deadline)
        return replace(info, rate=min(info.rate, self._rate))

    def frames(self, source: Source, info: ClipInfo, deadline: float | None = None) -> Generator[Frame, None, None]:
        """The kept frames, with their times and their numbers in the file."""
        with closing(self._decoder.frames(source, info, deadline)) as stream:
            yield from thinned(stream, self._rate)

    def pictures(self, codec: Codec, max_pixels: int, max_bytes: int) -> Pictures:
        """As in the decoder: the sender of a live stream chooses the rate."""
        return self._decoder.pictures(codec, max_pixels, max_bytes)

    def close(self) -> None:
        """As in the decoder."""
        self._decoder.close()
