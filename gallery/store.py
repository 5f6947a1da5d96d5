"""What keeps a gallery: the protocol of every store, and what goes in and out of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gallery.types import Collection, Erasure, Subject, Template
from pipelines.fingerprint import Fingerprint
from pipelines.sequence import Quality

Embedding = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NewSubject:
    """A subject as an enrolment names it; None leaves what is stored."""

    id: str
    display_name: str | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, eq=False)
class NewTemplate:
    """What one enrolment adds.

    Attributes:
        fingerprint: what the embedding was made with.
        embedding: finite float32 (P, C).
        sequence: the compact file of the gait sequence behind it.
        has_heatmaps: whether that file has heatmaps.
        quality: of the sequence.
        track: number of the tracklet in its clip.
        start, end: seconds of the sequence's first and last frame.
        clip_sha256: digest of the clip, lower-case hexadecimal, or None.
    """

    fingerprint: Fingerprint
    embedding: Embedding
    sequence: bytes = field(repr=False)
    has_heatmaps: bool
    quality: Quality
    track: int
    start: float
    end: float
    clip_sha256: str | None = None


@dataclass(frozen=True, eq=False)
class Change:
    """One step in a collection's history.

    Attributes:
        revision: rises with every change of the store.
        template: id of a template that came or went.
        subject, fingerprint, embedding: of a template that came; None where it is gone.
    """

    revision: int
    template: str
    subject: str | None = None
    fingerprint: Fingerprint | None = None
    embedding: Embedding | None = None


class Store(Protocol):
    """Keeps collections, subjects and templates; safe under threads, and under processes that share it.

    Every method may raise StoreUnavailable, and BadStore where what is stored cannot be read. Every method that names
    a collection raises NotFound where there is none of that name.
    """

    def ensure_collection(self, name: str, *, keeps_heatmaps: bool = False) -> Collection:
        """The collection of that name, made where there is none. ``keeps_heatmaps`` concerns a new one alone."""

    def collection(self, name: str) -> Collection:
        """The collection of that name."""

    def collections(self) -> list[Collection]:
        """All collections, by name."""

    def enroll(self, collection: str, subject: NewSubject, template: NewTemplate) -> Template:
        """Add a template, and its subject where it is new, all or nothing. On return it outlives a power cut.

        The first template pins the collection to its fingerprint; with the last one gone it is free again. The same
        clip and track of the same subject gives the template that is there, marked ``duplicate``.

        Raises:
            FingerprintMismatch: the collection is pinned to another fingerprint or another shape of embedding.
            ClipOfOtherSubject: the same clip and track is enrolled as another subject.
        """

    def subjects(self, collection: str) -> list[Subject]:
        """All subjects, by id."""

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

    def changes(self, collection: str, after: int, limit: int = 1000) -> list[Change]:
        """The oldest changes later than the revision ``after``, 0 for all, at most ``limit`` of them.

        A template that came and went since is told of as gone, so reading from 0 gives what is stored now.
        """

    def ping(self) -> None:
        """Write and read back, so that a service can tell that it is ready."""

    def close(self) -> None:
        """Let go of files and connections; the store cannot be used afterwards."""
