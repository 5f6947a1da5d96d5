"""The protocol of a store, and what goes in and out of one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gallery.types import Action, AuditReport, Collection, Erasure, Promises, Removal, Subject, Template
from gallery.views import View
from pipelines.fingerprint import Fingerprint
from pipelines.sequence import GaitSequence, Quality

Embedding = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NewSubject:
    """A subject as an enrolment or an update names it; None leaves what is stored, empty text takes it away.

    Attributes:
        id: of the subject.
        display_name, metadata, legal_basis: see :class:`gallery.types.Subject`.
        created: None for now; a subject that is read from an archive keeps its own.
    """

    id: str
    display_name: str | None = None
    metadata: Mapping[str, str] | None = None
    legal_basis: str | None = None
    created: datetime | None = None


@dataclass(frozen=True, eq=False)
class NewTemplate:
    """What one enrolment adds.

    Attributes:
        fingerprint: what the embedding was made with.
        embedding: finite float32 or float16 (P, C); kept in its own precision.
        sequence: the compact file of the gait sequence behind it.
        has_heatmaps: whether that file has heatmaps.
        quality: of the sequence.
        track: number of the tracklet in its clip.
        start, end: seconds of the sequence's first and last frame.
        clip_sha256: digest of the clip, lower-case hexadecimal, or None.
        camera, heading: from where it was seen, where that is known; see :class:`gallery.views.View`.
        expires: when it expires; None where the collection's ``ttl_seconds`` says.
        id, created: None for a new id and now; a template that is read from an archive keeps its own.
    """

    fingerprint: Fingerprint
    embedding: npt.NDArray[np.floating]
    sequence: bytes = field(repr=False)
    has_heatmaps: bool
    quality: Quality
    track: int
    start: float
    end: float
    clip_sha256: str | None = None
    camera: str | None = None
    heading: str | None = None
    expires: datetime | None = None
    id: str | None = None
    created: datetime | None = None

    @classmethod
    def of(
        cls,
        seq: GaitSequence,
        fingerprint: Fingerprint,
        embedding: Tensor,
        *,
        heatmaps: bool,
        view: View | None = None,
        clip_sha256: str | None = None,
    ) -> Self:
        """A template of a walk.

        Args:
            seq: the walk, one frame at least.
            fingerprint: of its embedding.
            embedding: finite float32 (P, C), on the processor.
            heatmaps: whether to keep those of the sequence.
            view: from where it was seen, where that is known.
            clip_sha256: as of the class.
        """
        kept = seq if heatmaps else seq.without_heatmaps()
        return cls(
            fingerprint=fingerprint,
            embedding=embedding.numpy(),
            sequence=kept.to_bytes(),
            has_heatmaps=kept.heatmaps is not None,
            quality=seq.quality,
            track=seq.track,
            start=float(seq.timestamps[0]),
            end=float(seq.timestamps[-1]),
            clip_sha256=clip_sha256,
            camera=None if view is None else view.camera,
            heading=None if view is None else view.heading,
        )


@dataclass(frozen=True, eq=False)
class Change:
    """A template that came, changed, or went.

    Attributes:
        template: its id. One that is known already is told of again where its subject's metadata changed.
        subject, fingerprint, embedding, metadata: of a template that is there; None where it is gone. The metadata is
            its subject's.
        expires: from when on it must not be found any more, though it is still there; None for never.
        camera, heading: from where it was seen; None where that is not known.
    """

    template: str
    subject: str | None = None
    fingerprint: Fingerprint | None = None
    embedding: Embedding | None = None
    metadata: Mapping[str, str] | None = None
    expires: datetime | None = None
    camera: str | None = None
    heading: str | None = None


@dataclass(frozen=True, eq=False)
class Changes:
    """What a follower of a collection has to do next.

    Attributes:
        changes: in their order.
        cursor: what to ask with next time; equal to the one asked with where there is nothing new.
        reset: True where the follower must forget all it knows before it takes ``changes``: other embeddings have gone
            live, the collection was made anew, or the follower has been away for longer than the store remembers.
    """

    changes: tuple[Change, ...]
    cursor: str
    reset: bool = False


@dataclass(frozen=True)
class Digest:
    """By which a follower proves that it knows what the store holds: templates told of by ``changes``, expired or not.

    Attributes:
        count: number of templates.
        value: 32 bytes, the exclusive or of every template's :meth:`leaf`, so that order does not matter.
        salt: key of the leaves, different for each collection where the store is encrypted.
    """

    count: int
    value: bytes
    salt: bytes = field(default=b"", repr=False)

    def leaf(self, template: str, embedding: npt.NDArray[np.floating]) -> bytes:
        """HMAC-SHA256, 32 bytes, of a template's id and its embedding (P, C) as little-endian float32."""
        return leaf_of(self.salt, template, np.ascontiguousarray(embedding, "<f4").tobytes())


def leaf_of(salt: bytes, template: str, float32: bytes) -> bytes:
    """As :meth:`Digest.leaf`, of an embedding's float32 bytes."""
    return hmac.digest(salt, template.encode() + b"\0" + float32, hashlib.sha256)


def xor_of(leaves: bytes) -> bytes:
    """The exclusive or, 32 bytes, of leaves put one behind the other."""
    rows = np.frombuffer(leaves, np.uint8).reshape(-1, 32)
    return bytes(np.bitwise_xor.reduce(rows, axis=0))


class Store(Protocol):
    """Keeps collections, subjects and templates; safe under threads, and under processes that share it.

    Every method may raise StoreUnavailable, and BadStore where what is stored cannot be read. Every method that names
    a collection raises NotFound where there is none of that name.

    **Expiry.** A template carries the moment from which it must not be found. It stays stored, and listed with its
    ``expires``, until :meth:`purge` removes it; whoever searches leaves it out from that moment on.

    **Moving to another fingerprint.** A collection has one live set of embeddings and at most one other, its shadow.
    Subjects, templates and sequences are one; only embeddings are twofold. Enrolments, erasures and all that is read
    concern the live set alone, except that what goes, goes from both. An enrolment is thus never refused or lost
    during a move: its template is listed by :meth:`shadow_missing` until its sequence, embedded by the other network,
    is given to :meth:`put_shadow`. :meth:`flip` checks within its transaction that nothing is missing, so no template
    is ever left behind, and then swaps the two sets; followers are told by ``reset``. The former live set becomes the
    shadow: going back is the same swap under the same check.
    """

    def promises(self) -> Promises:
        """What an acknowledged enrolment outlives, in plain words."""

    def ensure_collection(
        self, name: str, *, keeps_heatmaps: bool = False, ttl_seconds: float | None = None
    ) -> Collection:
        """The collection of that name, made where there is none. The keywords concern a new one alone."""

    def collection(self, name: str) -> Collection:
        """The collection of that name."""

    def collections(self) -> list[Collection]:
        """All collections, by name."""

    def set_ttl(self, collection: str, ttl_seconds: float | None) -> Collection:
        """Set after how many seconds a template expires that is enrolled from now on; None for never."""

    def delete_collection(self, collection: str) -> Removal:
        """Remove a collection with everything in it."""

    def enroll(self, collection: str, subject: NewSubject, template: NewTemplate, seen: str | None = None) -> Template:
        """Add a template, and its subject where it is new, all or nothing. On return it is as durable as promised.

        The first template pins the collection to its fingerprint; with the last one gone it is free again. The same
        clip and track of the same subject gives the template that is there, marked ``duplicate``, and so does an id
        that is there.

        Args:
            collection: its name.
            subject: whose template it is.
            template: what to add.
            seen: a cursor of :meth:`changes`: nothing new is added where anything has happened after it, so that what
                a caller concluded from what there was still holds when this is written.

        Raises:
            Overtaken: something has happened after ``seen``.
            FingerprintMismatch: the collection is pinned to another fingerprint or another shape of embedding.
            ClipOfOtherSubject: the same clip and track is enrolled as another subject.
            Conflict: the template's id is another subject's.
        """

    def update_subject(self, collection: str, subject: NewSubject) -> Subject:
        """Change a subject's display name, metadata or legal basis; its id stays. Raises NotFound."""

    def subjects(self, collection: str, after: str = "", limit: int | None = None) -> list[Subject]:
        """The subjects with an id greater than ``after``, by id (code points), at most ``limit`` of them."""

    def subject(self, collection: str, subject: str) -> Subject:
        """One subject. Raises NotFound."""

    def templates(self, collection: str, subject: str) -> list[Template]:
        """A subject's templates in the order of their enrolment. Raises NotFound for an unknown subject."""

    def template(self, collection: str, template: str) -> Template:
        """One template. Raises NotFound."""

    def embedding(self, collection: str, template: str) -> Embedding:
        """A template's embedding, float32 (P, C). Raises NotFound."""

    def sequence(self, collection: str, template: str) -> bytes:
        """The compact file of the gait sequence behind a template. Raises NotFound."""

    def erase(self, collection: str, subject: str) -> Erasure:
        """Remove a subject with everything kept of it. Raises NotFound."""

    def delete_template(self, collection: str, template: str) -> Removal:
        """Remove one template; its subject stays, even without any. Raises NotFound."""

    def purge(self, collection: str, now: datetime) -> Removal:
        """Remove the templates that have expired, and the subjects whose last template was among them."""

    def flush(self) -> bool:
        """Overwrite on disk what was removed and reported as ``pending``; True where nothing is left to do."""

    def changes(self, collection: str, after: str = "", limit: int = 1000) -> Changes:
        """What happened after the cursor ``after``, at most ``limit`` steps of it; from "" everything stored.

        Asked again and again with the cursor of the reply until there is nothing new, it gives what is stored now.
        A template that came and went since is told of as gone.
        """

    def wait(self, collection: str, after: str, seconds: float) -> bool:
        """Block until there is something after the cursor, and say True, or until that many seconds have passed."""

    def digest(self, collection: str) -> Digest:
        """Number and digest of the templates stored."""

    def begin_shadow(self, collection: str, fingerprint: Fingerprint) -> Collection:
        """Begin, or take up again, a shadow of that fingerprint.

        Raises:
            Conflict: there is a shadow of another fingerprint, or the live set has this one.
        """

    def shadow_missing(self, collection: str, limit: int = 1000) -> list[str]:
        """Ids of the oldest templates without an embedding in the shadow. Raises Conflict where there is no shadow."""

    def put_shadow(
        self, collection: str, template: str, fingerprint: Fingerprint, embedding: npt.NDArray[np.floating]
    ) -> None:
        """Give a template its embedding in the shadow; on return it is as durable as an enrolment.

        Raises:
            NotFound: the template is gone by now.
            FingerprintMismatch: the shadow has another fingerprint, or embeddings of another shape.
            Conflict: there is no shadow.
        """

    def flip(self, collection: str) -> Collection:
        """Make the shadow live and the live set the shadow, at once for everybody; also the way back.

        Raises:
            ShadowBehind: ``missing`` templates have no embedding in the shadow.
            Conflict: there is no shadow.
        """

    def rollback(self, collection: str) -> Collection:
        """As :meth:`flip`, but only to a set that was live before. Raises Conflict where the shadow never was."""

    def drop_shadow(self, collection: str) -> Removal:
        """Remove the shadow's embeddings. Raises Conflict where there is none."""

    def rotate_key(self) -> int:
        """Give every encrypted collection whose key is sealed by another than the first master key a new key.

        Data keys of subjects are sealed anew; what they have sealed stays. Returns how many collections got a key.
        """

    def note(self, collection: str, action: Action) -> None:
        """Log what is done with a collection from outside the store."""

    def audit(self, collection: str) -> AuditReport:
        """The log of a collection, one that is deleted included, and the proof that what was erased is gone."""

    def ping(self) -> None:
        """Write and read back, so that a service can tell that it is ready."""

    def close(self) -> None:
        """Let go of files and connections; the store cannot be used afterwards."""
