"""Who passes the camera of a live stream: one walk of each track, once it has ended; and who was there before."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from gallery import Gallery
from gallery.decision.reappearance import Span, Walks
from gallery.types import Identification
from models.errors import GaitkeeperError
from pipelines.sequence import GaitSequence

log = logging.getLogger("gaitkeeper")


class Passing:
    """Names the people of windows, and has the collection learn the last window of each track that ends.

    Args:
        gallery: names, and learns.
        camera: that is looked through; without one nothing is learnt.
        top_k, fpir, where: as of :meth:`gallery.Gallery.identify_many`.
    """

    def __init__(
        self,
        gallery: Gallery,
        camera: str | None,
        top_k: int = 5,
        fpir: float = 0.01,
        where: Mapping[str, str] | None = None,
    ) -> None:
        self._gallery, self._camera = gallery, camera
        self._top_k, self._fpir, self._where = top_k, fpir, where
        self._last: dict[int, GaitSequence] = {}
        self._walks = Walks()

    def __call__(self, seqs: Sequence[GaitSequence], spans: Sequence[Span]) -> list[Identification]:
        """Who each is; windows of one track overlap, so none of them is learnt yet.

        Args:
            seqs: windows of different tracks.
            spans: the first and the last frame in which each track was seen.
        """
        for seq, span in zip(seqs, spans, strict=True):
            self._walks.saw(seq.track, span, over=False)
            if self._camera is not None:
                self._last[seq.track] = seq
        return self._gallery.identify_many(
            seqs, self._top_k, self._fpir, self._where, camera=self._camera, learn=False, walks=self._walks
        )

    def ended(self, track: int, span: Span) -> None:
        """Learn what was seen last of a track; where that fails, the stream goes on.

        Args:
            track: its number.
            span: the first and the last frame in which it was seen.
        """
        self._walks.saw(track, span, over=True)
        walk = self._last.pop(track, None)
        if walk is None or self._camera is None:
            return
        try:
            self._gallery.learn([walk], self._camera)
        except GaitkeeperError as error:
            log.warning("a passer-by could not be kept: %s: %s", error.code, error.detail)
