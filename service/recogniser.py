"""What an engine in this process and the client of a service can both do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol, Unpack

from gaitkeeper.service.options import ClipOptions, EnrollOptions, IdentifyOptions, LookOptions, VerifyOptions
from gaitkeeper.service.schemas import (
    Apart,
    CamerasReply,
    Collection,
    CollectionsReply,
    DistancesReply,
    DoublesReply,
    EarlierSearch,
    EnrollReply,
    ErasedHandle,
    Erasure,
    IdentifyReply,
    LearnReply,
    Merge,
    NamedReply,
    Removal,
    Sighting,
    SightingFilter,
    SightingsReply,
    Silhouettes,
    StrangersReply,
    Strips,
    SubjectReply,
    SubjectsReply,
    TemplatesReply,
    VerifyReply,
    WalkersReply,
)

Progress = Callable[[str, float], None]
"""Progress callback: takes the name of a stage and its completed fraction, in [0, 1]."""


class Recogniser(Protocol):
    """The methods of :class:`gaitkeeper.service.recognition.engine.Engine` that
    :class:`gaitkeeper.service.client.Client` has, too."""

    def enroll(
        self,
        clip: str | Path | None = None,
        subject: str | None = None,
        *,
        more: Sequence[str | Path] = (),
        on_progress: Progress | None = None,
        **options: Unpack[EnrollOptions],
    ) -> EnrollReply:
        """Enrol a clip's only walker, the chosen one, or several."""

    def identify(
        self,
        clip: str | Path | None = None,
        *,
        annotate: str | Path | None = None,
        on_progress: Progress | None = None,
        **options: Unpack[IdentifyOptions],
    ) -> IdentifyReply:
        """Rank the collection's subjects for every walker of a clip, or for the chosen one. With ``annotate``, also
        write an MP4 file of the clip with boxes, names and verdicts.
        """

    def walkers(
        self, clip: str | Path, *, on_progress: Progress | None = None, **options: Unpack[LookOptions]
    ) -> WalkersReply:
        """Find the walkers of a clip, and keep them for some minutes."""

    def show_walkers(self, handle: str) -> WalkersReply:
        """The reply to the look that gave a handle."""

    def erase_walkers(self, handle: str) -> ErasedHandle:
        """Erase the walkers that are kept under a handle."""

    def verify(
        self,
        clip: str | Path | None,
        subject: str,
        *,
        on_progress: Progress | None = None,
        **options: Unpack[VerifyOptions],
    ) -> VerifyReply:
        """Verify that a clip's only walker, or the chosen one, is the subject."""

    def learn(
        self, clip: str | Path, camera: str, *, on_progress: Progress | None = None, **options: Unpack[ClipOptions]
    ) -> LearnReply:
        """Keep the walkers of a clip as passers-by of a camera."""

    def subjects(self, *, collection: str = "default") -> SubjectsReply:
        """The subjects of a collection."""

    def subject(self, subject: str, *, collection: str = "default") -> SubjectReply:
        """One subject and its templates."""

    def update_subject(
        self,
        subject: str,
        *,
        display_name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        legal_basis: str | None = None,
        collection: str = "default",
    ) -> SubjectReply:
        """Change a subject's display name, metadata or legal basis; None keeps the stored value."""

    def erase(self, subject: str, *, collection: str = "default") -> Erasure:
        """Erase a subject and all its data."""

    def merge(self, subject: str, other: str, *, collection: str = "default") -> Merge:
        """Merge another subject into a subject. This cannot be undone."""

    def doubles(self, *, collection: str = "default") -> DoublesReply:
        """Pairs of subjects who are likely the same person."""

    def tell_apart(self, subject: str, other: str, *, collection: str = "default") -> Apart:
        """Store that two subjects are different people."""

    def distances(self, subject: str, other: str | None = None, *, collection: str = "default") -> DistancesReply:
        """The distances between the walks of one or two subjects."""

    def silhouettes(self, subject: str, template: str, *, collection: str = "default") -> Silhouettes:
        """A part of a template's walk as moving silhouettes."""

    def templates(self, subject: str, *, collection: str = "default") -> TemplatesReply:
        """A subject's templates."""

    def template_pictures(self, subject: str, template: str, *, collection: str = "default") -> Strips:
        """Pictures of a template's walk."""

    def delete_template(self, subject: str, template: str, *, collection: str = "default") -> Removal:
        """Remove one template of a subject."""

    def strangers(self, *, collection: str = "default") -> StrangersReply:
        """The collection's unknown walkers, grouped."""

    def keep_strangers(self, keep_seconds: float | None, *, collection: str = "default") -> StrangersReply:
        """Keep future unknown walkers for this time. None stops this and deletes all kept ones."""

    def name_strangers(
        self, group: str, subject: str, *, display_name: str | None = None, collection: str = "default"
    ) -> NamedReply:
        """Enrol a group of strangers as one subject."""

    def forget_strangers(self, group: str | None = None, *, collection: str = "default") -> Removal:
        """Delete a group of strangers, or all of them."""

    def stranger_pictures(self, stranger: str, *, collection: str = "default") -> Strips:
        """Pictures of a stranger's walk."""

    def cameras(self, collection: str = "default") -> CamerasReply:
        """What a collection has learnt about cameras."""

    def keep_passers_by(self, keep_seconds: float | None, *, collection: str = "default") -> CamerasReply:
        """Keep future passers-by for this time. None stops this and deletes all kept ones."""

    def forget_camera(self, collection: str, camera: str) -> CamerasReply:
        """Delete what a collection knows about a camera."""

    def collections(self) -> CollectionsReply:
        """All collections."""

    def collection(self, collection: str) -> Collection:
        """One collection."""

    def create_collection(
        self,
        collection: str,
        *,
        keeps_heatmaps: bool = False,
        ttl_seconds: float | None = None,
        sightings_seconds: float | None = None,
    ) -> Collection:
        """Create a collection."""

    def update_collection(self, collection: str = "default", **changes: float | None) -> Collection:
        """Change ``ttl_seconds`` or ``sightings_seconds`` of a collection."""

    def sightings(
        self, *, limit: int | None = None, after: str | None = None, **wanted: Unpack[SightingFilter]
    ) -> SightingsReply:
        """Sightings, newest first, all or one page."""

    def sighting(self, sighting: str, *, collection: str = "default") -> Sighting:
        """One sighting."""

    def sighting_thumbnail(self, sighting: str, *, collection: str = "default") -> bytes:
        """The picture of a sighting, JPEG."""

    def forget_sighting(self, sighting: str, *, collection: str = "default") -> Removal:
        """Delete one sighting."""

    def forget_sightings(self, **wanted: Unpack[SightingFilter]) -> Removal:
        """Delete all sightings that are wanted."""

    def earlier(
        self,
        subject: str,
        *,
        before: datetime | None = None,
        fpir: float = 0.01,
        limit: int = 100,
        collection: str = "default",
    ) -> EarlierSearch:
        """Search the kept unknown walkers for a subject."""

    def subject_picture(self, subject: str, *, collection: str = "default") -> bytes:
        """The picture of a subject, JPEG."""

    def delete_collection(self, collection: str) -> Removal:
        """Delete a collection and its content."""
