"""Replies and requests about collections, subjects, templates, strangers and cameras."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gaitkeeper.gallery.types import Collection, Outlier, StrangerGroup, Subject, Template, ViewStatistics


class SubjectsReply(BaseModel):
    """The subjects of a collection, by id, or a page of them."""

    collection: str
    subjects: list[Subject]
    next: str | None = Field(None, description="`after` of the next page; null if there is none.")


class SubjectReply(BaseModel):
    """One subject and its templates, in order of enrolment."""

    subject: Subject
    templates: list[Template]
    outliers: list[Outlier] = Field([], description="Templates that may show another person or a bad walk.")


class SubjectChange(BaseModel):
    """Changes to a subject. Fields that are null or left out keep their value."""

    model_config = ConfigDict(extra="forbid", strict=True)

    display_name: str | None = Field(None, description="1 to 256 characters.", examples=["Alice B."])
    metadata: dict[str, str] | None = Field(
        None, description="Replaces the present metadata; at most 64 entries.", examples=[{"site": "north"}]
    )
    legal_basis: str | None = Field(None, description="Up to 256 characters; an empty text removes it.")


class NewCollection(BaseModel):
    """Request to create a collection."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(description="1 to 64 ASCII letters, digits, `_`, `-` and `.`.", examples=["hall"])
    keeps_heatmaps: bool = Field(
        False, description="Keep joint heatmaps. A migration to a network that reads heatmaps needs them."
    )
    ttl_seconds: float | None = Field(
        None, ge=1, le=3.2e9, description="Seconds after which templates expire; null for never."
    )
    sightings_seconds: float | None = Field(
        None,
        ge=1,
        le=3.2e9,
        description="Seconds for which sightings, and pictures of subjects, are kept; null for none.",
    )


class KeepStrangers(BaseModel):
    """Setting: whether a collection keeps unknown walkers."""

    model_config = ConfigDict(extra="forbid", strict=True)

    keep_seconds: float | None = Field(
        ge=1, le=3.2e9, description="Seconds to keep each of them; null stops this and deletes all.", examples=[86400.0]
    )


class StrangersReply(BaseModel):
    """Unknown walkers, grouped by similarity, most recently seen first."""

    collection: str
    keep_seconds: float | None = Field(description="Seconds to keep each of them; null if none is kept.")
    groups: list[StrangerGroup]


class NewName(BaseModel):
    """The subject to enrol a group of strangers as."""

    model_config = ConfigDict(extra="forbid", strict=True)

    subject: str = Field(description="1 to 128 characters, no slashes.", examples=["carol"])
    display_name: str | None = Field(None, description="1 to 256 characters.")


class NamedReply(BaseModel):
    """Result of enrolling a group of strangers."""

    collection: str
    subject: str
    templates: list[Template]


class KeepPassersBy(BaseModel):
    """Setting: whether a collection keeps passers-by."""

    model_config = ConfigDict(extra="forbid", strict=True)

    keep_seconds: float | None = Field(
        ge=1,
        le=3.2e9,
        description="Seconds to keep each of them; null stops this and deletes all.",
        examples=[604800.0],
    )


class CamerasReply(BaseModel):
    """What a collection has learnt about its cameras from the passers-by that it keeps."""

    collection: str
    keep_seconds: float | None = Field(description="Seconds to keep each passer-by; null if none is kept.")
    views: list[ViewStatistics] = Field(description="By camera and heading.")


class TemplatesReply(BaseModel):
    """A subject's templates in order of enrolment, or a page of them."""

    collection: str
    subject: str
    templates: list[Template]
    next: str | None = Field(None, description="`after` of the next page; null if there is none.")


class CollectionsReply(BaseModel):
    """The collections, by name, or a page of them."""

    collections: list[Collection]
    next: str | None = Field(None, description="`after` of the next page; null if there is none.")
