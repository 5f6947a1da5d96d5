"""Who is enrolled in a collection, and the enrolment of a walker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from gaitkeeper.gallery.errors import FingerprintMismatch, LooksLikeOtherSubject, Overtaken
from gaitkeeper.gallery.identification.answers import Answers
from gaitkeeper.gallery.names import check_display_name, check_legal_basis, check_metadata, enrolled_only, known_subject
from gaitkeeper.gallery.networks import embedded
from gaitkeeper.gallery.stores.protocol import Embedding, NewSubject, NewTemplate, Store
from gaitkeeper.gallery.types import Collection, Enrolment, Removal, Subject, Template
from gaitkeeper.gallery.types.pairs import Merge
from gaitkeeper.gallery.views import View
from gaitkeeper.models import GaitNetwork
from gaitkeeper.pipelines.fingerprint import fingerprint_of
from gaitkeeper.pipelines.sequence import GaitSequence


class Enrolled:
    """Who is enrolled in one collection of a store.

    Args:
        store: kept open by the caller.
        collection: name of a collection of the store.

    Raises:
        NotFound: the collection does not exist.
    """

    def __init__(self, store: Store, collection: str) -> None:
        self.store = store
        self.name = store.collection(collection).name

    @property
    def collection(self) -> Collection:
        """The current state of the collection."""
        return self.store.collection(self.name)

    def collections(self) -> list[Collection]:
        """All collections of the store, by name."""
        return enrolled_only(self.store.collections())

    def subjects(self) -> list[Subject]:
        """All subjects, by id."""
        return self.store.subjects(self.name)

    def subject(self, subject: str) -> Subject:
        """One subject. Raises NotFound."""
        return self.store.subject(self.name, known_subject(subject))

    def templates(self, subject: str) -> list[Template]:
        """A subject's templates in order of enrolment. Raises NotFound for an unknown subject."""
        return self.store.templates(self.name, known_subject(subject))

    def embedding(self, template: str) -> Embedding:
        """A template's embedding, float32 (P, C), by the template's id. Raises NotFound."""
        return self.store.embedding(self.name, template)

    def sequence(self, template: str) -> GaitSequence:
        """The gait sequence that a template was made from, by the template's id. Raises NotFound."""
        return GaitSequence.load(self.store.sequence(self.name, template))

    def update_subject(
        self,
        subject: str,
        *,
        display_name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        legal_basis: str | None = None,
    ) -> Subject:
        """Change a subject's display name, metadata or legal basis; None keeps the stored value.

        Raises:
            NotFound: no subject has this id.
            BadSubject: one of the values is invalid.
        """
        check_display_name(display_name)
        check_metadata(metadata)
        check_legal_basis(legal_basis)
        new = NewSubject(known_subject(subject), display_name, metadata, legal_basis)
        return self.store.update_subject(self.name, new)

    def delete_template(self, template: str) -> Removal:
        """Remove one template, by its id; its subject stays. Raises NotFound."""
        return self.store.delete_template(self.name, template)

    def merge(self, subject: str, other: str) -> Merge:
        """Make another subject's templates the subject's own; the other id no longer exists. This cannot be undone.

        The subject's display name, legal basis and entries of metadata win; the other's are kept where it has none.

        Raises:
            NotFound: one of the subjects does not exist.
            Conflict: the two are the same subject.
            BadSubject: together they have more than 64 entries of metadata.
        """
        return self.store.merge(self.name, known_subject(subject), known_subject(other))

    def tell_apart(self, subject: str, other: str) -> None:
        """Store that two subjects are different people, until one of them is enrolled again or erased.

        Raises:
            NotFound: one of the subjects does not exist.
            Conflict: the two are the same subject.
        """
        self.store.tell_apart(self.name, known_subject(subject), known_subject(other))


class EnrolOptions(TypedDict, total=False):
    """Options of an enrolment.

    Attributes:
        display_name, metadata: of the subject; None keeps the stored values.
        clip_sha256: hexadecimal digest of the clip's bytes, used to detect repeated enrolments.
        strict: refuse a walker who matches another subject at the strictest calibrated rate.
        camera: name of the camera that saw the walker; see :mod:`gaitkeeper.gallery.views`.
    """

    display_name: str | None
    metadata: Mapping[str, str] | None
    clip_sha256: str | None
    strict: bool
    camera: str | None


def enrol(
    enrolled: Enrolled,
    answers: Answers,
    network: GaitNetwork,
    subject: NewSubject,
    seq: GaitSequence,
    clip_sha256: str | None,
    strict: bool,
    view: View | None,
) -> Enrolment:
    """See :meth:`gaitkeeper.gallery.Gallery.enrolment`; ``answers`` are those of the same collection."""
    collection = enrolled.collection
    fingerprint = fingerprint_of(network, seq.perception)
    if collection.fingerprint not in (None, fingerprint):
        raise FingerprintMismatch.between(collection.name, collection.fingerprint, fingerprint)
    answers.check_enrolment(seq, fingerprint)
    embedding = embedded(network, [seq], answers.embed)[0]
    template = NewTemplate.of(
        seq, fingerprint, embedding, heatmaps=collection.keeps_heatmaps, view=view, clip_sha256=clip_sha256
    )
    while True:
        warning, seen = answers.resemblance(subject.id, fingerprint, embedding, view)
        if warning is not None and strict:
            about = warning.model_dump(mode="json", exclude={"code", "detail"})
            raise LooksLikeOtherSubject(warning.detail, **about)
        try:
            added = enrolled.store.enroll(collection.name, subject, template, seen if strict else None)
        except Overtaken:
            continue  # a subject enrolled in the meantime may look like this walker
        answers.learn(network, seq, view, embedding)
        return Enrolment(template=added, warning=warning)
