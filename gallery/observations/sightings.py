"""Sightings: who was seen when, kept for a limited time if the collection enables it.

Unlike strangers, which are kept with their walk to be grouped and enrolled, and passers-by, which are kept for the
statistics of a camera, a sighting is a record of a verdict. Of a walker who is known there is no embedding in it.
"""

from __future__ import annotations

from datetime import datetime

from gaitkeeper.gallery.errors import PoorQuality
from gaitkeeper.gallery.gallery import Gallery
from gaitkeeper.gallery.identification.answers import view_of
from gaitkeeper.gallery.names import known_subject
from gaitkeeper.gallery.networks import embedded
from gaitkeeper.gallery.types import Identification, Reason, Verdict
from gaitkeeper.gallery.types.sightings import Earlier, EarlierSearch, NewSighting, SeenWalk, Sighting, Source, id_of
from gaitkeeper.pipelines.errors import ClipError
from gaitkeeper.pipelines.fingerprint import fingerprint_of
from gaitkeeper.pipelines.sequence import GaitSequence


class Sightings:
    """The sightings of one gallery.

    Args:
        gallery: kept open by the caller. Its store also holds the sightings.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery, self._store, self._name = gallery, gallery.store, gallery.name

    @property
    def keep_seconds(self) -> float | None:
        """Time in seconds to keep sightings; None if they are not kept."""
        return self._gallery.collection.sightings_seconds

    def record(
        self,
        seq: GaitSequence,
        answer: Identification,
        *,
        source: Source,
        camera: str | None = None,
        thumbnail: bytes = b"",
        clip_sha256: str | None = None,
        stranger: str | None = None,
        says: tuple[Verdict, str | None] | None = None,
        sighting: str | None = None,
    ) -> Sighting | None:
        """Keep a verdict. The same walk of the same clip is one sighting: a later verdict takes the place of an earlier
        one, at its time.

        Args:
            seq: the walker.
            answer: the gallery's answer.
            source: what it comes from.
            camera: name of the camera that recorded the walker.
            thumbnail: JPEG of the walker; empty for none.
            clip_sha256: digest of the clip.
            stranger: id of the kept stranger.
            says: verdict and subject that were told, if not those of the answer.
            sighting: id of an earlier verdict on the same walk, whose place this one takes.

        Returns:
            The sighting; None if none are kept, or the subject has been erased since.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        verdict, subject = says or (answer.verdict, answer.named)
        nearest = next((one for one in answer.candidates if one.subject == subject), None)
        new = NewSighting(
            source=source,
            verdict=verdict,
            reason=answer.reason if verdict is Verdict.INCONCLUSIVE else None,
            subject=subject,
            distance=None if nearest is None else nearest.distance,
            confidence=None if nearest is None else nearest.confidence,
            camera=camera,
            stranger=stranger,
            clip_sha256=clip_sha256,
            track=answer.track,
            start=answer.start,
            end=answer.end,
            thumbnail=thumbnail,
            walk=self._walk(seq, camera) if subject is None and self._can_be_found(seq, answer, verdict) else None,
            id=sighting or id_of(clip_sha256, seq.track),
        )
        return self._store.see(self._name, new, self._gallery.most_sightings)

    def earlier(self, subject: str, before: datetime | None = None, fpir: float = 0.01) -> EarlierSearch:
        """Search the kept walkers without a name for a subject.

        Args:
            subject: its id.
            before: search only sightings before this time; by default before the subject was enrolled.
            fpir: false-positive identification rate of the threshold; see :mod:`gaitkeeper.gallery.rates`.

        Raises:
            NotFound: no subject has this id.
        """
        owner = known_subject(subject)
        until = before or self._gallery.subject(owner).created
        fingerprint = self._gallery.collection.fingerprint
        walks = self._store.seen_walks(self._name, until)
        comparable = [one for one in walks if one[1].fingerprint == fingerprint]
        found = [
            Earlier(
                sighting=sighting,
                distance=distance,
                threshold=limit,
                match=None if limit is None else distance <= limit,
            )
            for sighting, distance, limit in self._gallery.look_back(owner, comparable, fpir)
        ]
        return EarlierSearch(
            collection=self._name,
            subject=owner,
            before=until,
            searched=len(found),
            incomparable=len(walks) - len(comparable),
            found=tuple(sorted(found, key=lambda one: (not one.match, one.distance))),
        )

    def _can_be_found(self, seq: GaitSequence, answer: Identification, verdict: Verdict) -> bool:
        """Whether the walk of somebody without a name is good enough to be found again."""
        if answer.reason is Reason.EMPTY_GALLERY:  # which comes before all other reasons
            try:
                self._gallery.check_enrolment(seq)
            except (ClipError, PoorQuality):
                return False
            return True
        return verdict is Verdict.UNKNOWN or answer.reason is Reason.UNCALIBRATED

    def _walk(self, seq: GaitSequence, camera: str | None) -> SeenWalk:
        network = self._gallery.network
        embedding = embedded(network, [seq], self._gallery.embed)[0].float().cpu().numpy()
        view = view_of(seq, camera)
        return SeenWalk(fingerprint_of(network, seq.perception), embedding, None if view is None else view.heading)
