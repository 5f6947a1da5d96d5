"""Operations on two subjects who may be one person."""

from __future__ import annotations

from unicodedata import normalize

from gaitkeeper.gallery.names import known_subject
from gaitkeeper.gallery.types import Reason
from gaitkeeper.gallery.types.pairs import Merge
from gaitkeeper.service.recognition.administration import DEFAULT_COLLECTION, Administration
from gaitkeeper.service.recognition.pictures import moving
from gaitkeeper.service.schemas import Apart, DistancesReply, DoublesReply, Silhouettes

WALKS = 32
"""Maximum number of walks of a subject that are compared with each other, the latest."""


class Pairs(Administration):
    """Adds the operations on two subjects."""

    def merge(self, subject: str, other: str, *, collection: str = DEFAULT_COLLECTION) -> Merge:
        """Merge another subject into a subject, which takes the other's place on watch lists, and delete kept replies
        that name the other one. Raises NotFound, Conflict, BadSubject.
        """
        merged = self.gallery(collection).merge(subject, other)
        if self.settings.state_path.exists():
            self.state.watch_instead(collection, merged.other, merged.subject)
        self.forget(collection, other)
        return merged

    def doubles(
        self, *, collection: str = DEFAULT_COLLECTION, limit: int | None = None, after: str | None = None
    ) -> DoublesReply:
        """Pairs of subjects who are likely the same person, of all subjects or of one page of them. Raises NotFound if
        the collection does not exist.
        """
        gallery, start = self.gallery(collection), normalize("NFC", after or "")
        fingerprint = gallery.collection.fingerprint
        if fingerprint is None:
            return DoublesReply(collection=collection, reason=Reason.EMPTY_GALLERY, doubles=[])
        if gallery.calibration(fingerprint) is None:
            return DoublesReply(collection=collection, reason=Reason.UNCALIBRATED, doubles=[])
        listed = self.subjects(collection=collection, limit=limit, after=after)
        found = gallery.doubles(start, limit)
        return DoublesReply(collection=collection, reason=None, doubles=found, next=listed.next)

    def tell_apart(self, subject: str, other: str, *, collection: str = DEFAULT_COLLECTION) -> Apart:
        """Store that two subjects are different people. Raises NotFound, Conflict."""
        self.gallery(collection).tell_apart(subject, other)
        return Apart(collection=collection, subject=known_subject(subject), other=known_subject(other))

    def distances(
        self, subject: str, other: str | None = None, *, collection: str = DEFAULT_COLLECTION
    ) -> DistancesReply:
        """The distances between the walks of one or two subjects. Raises NotFound."""
        gallery = self.gallery(collection)
        names = [known_subject(name) for name in (subject, other) if name is not None]
        templates = [one for name in dict.fromkeys(names) for one in gallery.templates(name)[-WALKS:]]
        return DistancesReply(
            collection=collection,
            subject=names[0],
            other=None if other is None else names[1],
            templates=templates,
            distances=gallery.distances([template.id for template in templates]).tolist(),
        )

    def silhouettes(self, subject: str, template: str, *, collection: str = DEFAULT_COLLECTION) -> Silhouettes:
        """A part of a template's walk as moving silhouettes. Raises NotFound."""
        gallery = self.gallery(collection)
        self._require_template(gallery, subject, template)
        return moving(gallery.sequence(template))
