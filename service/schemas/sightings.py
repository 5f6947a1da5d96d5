"""Replies and requests about sightings."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from pydantic import BaseModel, ConfigDict, Field

from gaitkeeper.gallery.types import Verdict
from gaitkeeper.gallery.types.sightings import Sighting


class SightingFilter(TypedDict, total=False):
    """Which sightings are meant. None, or a missing key, accepts everything.

    Attributes:
        collection: name of the collection, by default "default".
        subject: id of the subject.
        camera: name of the camera.
        verdict: the verdict.
        since: earliest time, with a time zone.
        until: time before which they were, with a time zone.
    """

    collection: str
    subject: str | None
    camera: str | None
    verdict: Verdict | None
    since: datetime | None
    until: datetime | None


class SightingsReply(BaseModel):
    """Sightings of a collection, newest first, or a page of them."""

    collection: str
    keep_seconds: float | None = Field(description="Seconds to keep each of them; null if none is kept.")
    sightings: list[Sighting]
    next: str | None = Field(None, description="`after` of the next page; null if there is none.")


class CollectionChange(BaseModel):
    """Changes to a collection. Fields that are left out keep their value; null is a value."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ttl_seconds: float | None = Field(
        None, ge=1, le=3.2e9, description="Seconds after which templates enrolled from now on expire; null for never."
    )
    sightings_seconds: float | None = Field(
        None,
        ge=1,
        le=3.2e9,
        description="Seconds for which sightings, and pictures of subjects, are kept, also those that are there; null "
        "stops this and deletes all of them.",
        examples=[604800.0],
    )
