"""Identifies the people of a live stream, keeps sightings of them, and lets the collection learn one walk of each ended
track.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Self

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.decision.reappearance import Span, Walks
from gaitkeeper.gallery.names import check_camera, check_metadata
from gaitkeeper.gallery.observations.sightings import Sightings
from gaitkeeper.gallery.rates import check_rates
from gaitkeeper.gallery.types import Identification, Verdict
from gaitkeeper.gallery.types.sightings import Source
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.live import Due
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.live.events import VerdictEvent
from gaitkeeper.service.options import StreamOptions

log = logging.getLogger("gaitkeeper")


class Passing:
    """Identifies the people in windows, keeps a sighting of each track, and lets the collection learn the last window
    of each ended one.

    Args:
        gallery: the gallery that identifies and learns.
        camera: name of the stream's camera; without one nothing is learnt.
        top_k, fpir, where: as of :meth:`gaitkeeper.gallery.Gallery.identify_many`.
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
        self._sighted: dict[tuple[int, int], str] = {}

    @classmethod
    def asked(cls, gallery: Gallery, options: StreamOptions) -> Self:
        """For a stream with these options, which are complete.

        Raises:
            BadFpir, BadSubject, BadCamera: an option is invalid.
        """
        check_metadata(options["where"])
        check_camera(options["camera"])
        check_rates(gallery, fpir=options["fpir"])
        return cls(gallery, options["camera"], options["top_k"], options["fpir"], options["where"] or None)

    def __call__(self, seqs: Sequence[GaitSequence], spans: Sequence[Span]) -> list[Identification]:
        """Identify each window. Windows of one track overlap, so none of them is learnt yet.

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

    def told(self, event: VerdictEvent, due: Due, walk: GaitSequence) -> None:
        """Keep a sighting of a track as soon as a name is shown for it, and at its end what is then said, if the
        collection keeps sightings. If this fails, the stream continues.

        Args:
            event: what is told of the track.
            due: the window.
            walk: its walk.
        """
        shown, of = event.shown, (event.track, due.window)
        known = self._sighted.pop(of, None) if event.final else self._sighted.get(of)
        is_news = event.final or (event.changed and shown.verdict is Verdict.MATCH)
        if event.person is None or not is_news or (self._where and shown.verdict is not Verdict.MATCH):
            return
        try:
            sightings = Sightings(self._gallery)
            if sightings.keep_seconds is None:
                return
            kept = sightings.record(
                walk,
                event.person,
                source=Source.STREAM,
                camera=self._camera,
                thumbnail=due.thumbnail(),
                says=(shown.verdict, shown.subject),
                sighting=known,
            )
        except GaitkeeperError as error:
            log.warning("a sighting could not be kept: %s: %s", error.code, error.detail)
            return
        if kept is not None and not event.final:
            self._sighted[of] = kept.id

    def ended(self, track: int, span: Span) -> None:
        """Learn the last window of a track. If this fails, the stream continues.

        Args:
            track: number of the track.
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
