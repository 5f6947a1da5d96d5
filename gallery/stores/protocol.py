"""The store protocol, and the types of its arguments and results."""

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

from gaitkeeper.gallery.stores.seen import Seen
from gaitkeeper.gallery.types import Action, AuditReport, Collection, Erasure, Promises, Removal, Subject, Template
from gaitkeeper.gallery.types.pairs import Merge
from gaitkeeper.gallery.views import View
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.walk_quality import Quality

Embedding = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NewSubject:
    """Subject data of an enrolment or update. None keeps the stored value; an empty text deletes it.

    Attributes:
        id: the subject's id.
        display_name, metadata, legal_basis: see :class:`gaitkeeper.gallery.types.Subject`.
        created: time of creation; None for now. A subject from an archive keeps its own.
    """

    id: str
    display_name: str | None = None
    metadata: Mapping[str, str] | None = None
    legal_basis: str | None = None
    created: datetime | None = None


@dataclass(frozen=True, eq=False)
class NewTemplate:
    """The template that an enrolment adds.

    Attributes:
        fingerprint: fingerprint of the embedding.
        embedding: finite float32 or float16 (P, C), stored in its own precision.
        sequence: gait sequence behind the template, as a compact file.
        has_heatmaps: whether that file contains heatmaps.
        quality: quality of the sequence.
        track: number of the tracklet in its clip.
        start, end: times of the sequence's first and last frame in seconds.
        clip_sha256: digest of the clip, lower-case hexadecimal, or None.
        camera, heading: view of the walk, if known; see :class:`gaitkeeper.gallery.views.View`.
        expires: time of expiry; None to use the collection's ``ttl_seconds``.
        id, created: None for a new id and the current time. A template from an archive keeps its own.
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
        """Make the template of a walk.

        Args:
            seq: the walk, with at least one frame.
            fingerprint: fingerprint of its embedding.
            embedding: finite float32 (P, C), on the CPU.
            heatmaps: whether to keep the sequence's heatmaps.
            view: view of the walk, if known.
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
    """A template that was added, changed or removed.

    Attributes:
        template: id of the template. A known template is reported again if its subject's metadata changed, or if it
            belongs to another subject now.
        subject, fingerprint, embedding, metadata: data of the template; None if it was removed. The metadata is its
            subject's.
        expires: time from which searches must ignore it, although it is still stored; None for never.
        camera, heading: view of the walk; None if unknown.
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
    """The next changes for a follower of a collection.

    Attributes:
        changes: the changes, in order.
        cursor: cursor for the next request. Unchanged if there is nothing new.
        reset: True if the follower must discard its copy before it applies ``changes``. Reasons: another set of
            embeddings has gone live, the collection was created again, or the cursor is older than the store's history.
    """

    changes: tuple[Change, ...]
    cursor: str
    reset: bool = False


@dataclass(frozen=True)
class Digest:
    """Digest of the stored templates. A follower compares it with its copy, which ``changes`` built. Expired templates
    count.

    Attributes:
        count: number of templates.
        value: 32 bytes, the exclusive or of every template's :meth:`leaf`. It does not depend on the order.
        salt: key of the leaves. It differs per collection if the store is encrypted.
    """

    count: int
    value: bytes
    salt: bytes = field(default=b"", repr=False)

    def leaf(self, template: str, embedding: npt.NDArray[np.floating]) -> bytes:
        """HMAC-SHA256, 32 bytes, of a template's id and its embedding (P, C) as little-endian float32."""
        return leaf_of(self.salt, template, np.ascontiguousarray(embedding, "<f4").tobytes())


def leaf_of(salt: bytes, template: str, float32: bytes) -> bytes:
    """As :meth:`Digest.leaf`, for an embedding's float32 bytes."""
    return hmac.digest(salt, template.encode() + b"\0" + float32, hashlib.sha256)


def xor_of(leaves: bytes) -> bytes:
    """The exclusive or, 32 bytes, of concatenated leaves."""
    rows = np.frombuffer(leaves, np.uint8).reshape(-1, 32)
    return bytes(np.bitwise_xor.reduce(rows, axis=0))


class Records(Protocol):
    """Collections, subjects and templates.

    **Expiry.** A template has a time of expiry. Searches ignore it from that time on. It stays stored, and listed with
    its ``expires``, until :meth:`purge` removes it.
    """

    def ensure_collection(
        self, name: str, *, keeps_heatmaps: bool = False, ttl_seconds: float | None = None
    ) -> Collection:
        """The collection of that name, created if it does not exist. The keyword arguments only apply to a new one."""

    def collection(self, name: str) -> Collection:
        """The collection of that name."""

    def collections(self) -> list[Collection]:
        """All collections, by name."""

    def set_ttl(self, collection: str, ttl_seconds: float | None) -> Collection:
        """Set the time in seconds after which future templates expire; None for never."""

    def delete_collection(self, collection: str) -> Removal:
        """Delete a collection and its content."""

    def enroll(self, collection: str, subject: NewSubject, template: NewTemplate, seen: str | None = None) -> Template:
        """Add a template, and its subject if it is new, atomically. Durable on return, as :meth:`promises` says.

        The first template pins the collection to its fingerprint; removing the last one unpins it. The same clip and
        track of the same subject returns the existing template, marked ``duplicate``. So does an existing id.

        Args:
            collection: its name.
            subject: subject of the template.
            template: the template to add.
            seen: a cursor of :meth:`changes`. Nothing is added if there are later changes. So a conclusion that the
                caller drew from the collection still holds when the template is written.

        Raises:
            Overtaken: there are changes after ``seen``.
            FingerprintMismatch: the collection is pinned to another fingerprint or another shape of embedding.
            ClipOfOtherSubject: the same clip and track is enrolled as another subject.
            Conflict: another subject has a template with this id.
        """

    def update_subject(self, collection: str, subject: NewSubject) -> Subject:
        """Change a subject's display name, metadata or legal basis; its id stays. Raises NotFound."""

    def subjects(self, collection: str, after: str = "", limit: int | None = None) -> list[Subject]:
        """The subjects with an id greater than ``after``, sorted by id (code points), at most ``limit``."""

    def subject(self, collection: str, subject: str) -> Subject:
        """One subject. Raises NotFound."""

    def templates(self, collection: str, subject: str) -> list[Template]:
        """A subject's templates in order of enrolment. Raises NotFound for an unknown subject."""

    def embedding(self, collection: str, template: str) -> Embedding:
        """A template's embedding, float32 (P, C). Raises NotFound."""

    def sequence(self, collection: str, template: str) -> bytes:
        """The gait sequence behind a template, as a compact file. Raises NotFound."""

    def erase(self, collection: str, subject: str) -> Erasure:
        """Erase a subject and all its data. Raises NotFound."""

    def delete_template(self, collection: str, template: str) -> Removal:
        """Remove one template. Its subject stays, even without templates. Raises NotFound."""

    def purge(self, collection: str, now: datetime) -> Removal:
        """Remove expired templates, the subjects that lose their last template by this, and old sightings."""


class Pairs(Protocol):
    """Two subjects who may be the same person."""

    def merge(self, collection: str, subject: str, other: str) -> Merge:
        """Make another subject's templates the subject's own, atomically; the other id no longer exists. Durable as an
        enrolment.

        :func:`gaitkeeper.gallery.stores.merging.merged` says which data remains. The templates keep their ids, and
        sightings become the subject's own; the other's picture is deleted. In an
        encrypted collection they are encrypted with the subject's key, and the other's key is deleted.

        Raises:
            NotFound: one of the subjects does not exist.
            Conflict: the two are the same subject.
            BadSubject: together they have too many entries of metadata.
        """

    def tell_apart(self, collection: str, subject: str, other: str) -> None:
        """Store that two subjects are different people, until one of them gets a template or is erased.

        Raises:
            NotFound: one of the subjects does not exist.
            Conflict: the two are the same subject.
        """

    def apart(self, collection: str, subject: str) -> list[str]:
        """Ids of the subjects that were said to be other people than this one, sorted. Raises NotFound."""


class Feed(Protocol):
    """The content of a collection for followers, such as the search index: first everything, then each change."""

    def changes(self, collection: str, after: str = "", limit: int = 1000) -> Changes:
        """The changes after the cursor ``after``, at most ``limit`` of them; with "" everything stored.

        Repeated calls with the returned cursor, until there is nothing new, give the current content. A template that
        was added and removed in between is reported as removed.
        """

    def digest(self, collection: str) -> Digest:
        """Number and digest of the stored templates."""


class Shadows(Protocol):
    """The move of a collection to embeddings with another fingerprint.

    A collection has one live set of embeddings and at most one other, its shadow. Both sets share subjects, templates
    and sequences; only the embeddings differ. Enrolments and reads use only the live set. Removals apply to both sets.
    So an enrolment is never refused or lost during a migration: :meth:`shadow_missing` lists its template until
    :meth:`put_shadow` gets the embedding by the other network. :meth:`flip` checks in its transaction that no template
    is missing, and then swaps the two sets; followers see ``reset``. The former live set becomes the shadow: going back
    is the same swap with the same check.
    """

    def begin_shadow(self, collection: str, fingerprint: Fingerprint) -> Collection:
        """Start, or continue, a shadow with this fingerprint.

        Raises:
            Conflict: there is a shadow with another fingerprint, or the live set has this fingerprint.
        """

    def shadow_missing(self, collection: str, limit: int = 1000) -> list[str]:
        """Ids of the oldest templates without an embedding in the shadow. Raises Conflict if there is no shadow."""

    def put_shadow(
        self, collection: str, template: str, fingerprint: Fingerprint, embedding: npt.NDArray[np.floating]
    ) -> None:
        """Set a template's embedding in the shadow. On return it is as durable as an enrolment.

        Raises:
            NotFound: the template was removed.
            FingerprintMismatch: the shadow has another fingerprint, or embeddings of another shape.
            Conflict: there is no shadow.
        """

    def flip(self, collection: str, *, back: bool = False) -> Collection:
        """Swap the shadow and the live set atomically. A second call swaps them back.

        Args:
            collection: its name.
            back: swap only if the shadow was live before.

        Raises:
            ShadowBehind: ``missing`` templates have no embedding in the shadow.
            Conflict: there is no shadow, or with ``back``, it never was live.
        """

    def drop_shadow(self, collection: str) -> Removal:
        """Remove the shadow's embeddings. Raises Conflict if there is no shadow."""


class Upkeep(Protocol):
    """Durability, encryption keys, and the log of a store."""

    def promises(self) -> Promises:
        """Description of the failures that an acknowledged enrolment survives."""

    def rotate_key(self) -> int:
        """Give a new key to every encrypted collection whose key is not sealed by the first master key.

        The keys of subjects are sealed again; the data that they seal is unchanged. Returns the number of new keys.
        """

    def note(self, collection: str, action: Action) -> None:
        """Log an action on a collection that happens outside the store."""

    def audit(self, collection: str) -> AuditReport:
        """The log of a collection, also of a deleted one, and the check that erased data is gone."""

    def ping(self) -> None:
        """Test the store by writing and reading. Used for readiness checks."""

    def close(self) -> None:
        """Close files and connections. The store cannot be used afterwards."""


class Store(Records, Pairs, Feed, Shadows, Seen, Upkeep, Protocol):
    """What a store must do. Safe for concurrent threads and processes.

    Every method may raise StoreUnavailable, and BadStore if stored data cannot be read. Every method with a collection
    raises NotFound if it does not exist.

    Searches, migrations, archives, passers-by and strangers are built on these five parts: each function says which
    part it needs.
    """
