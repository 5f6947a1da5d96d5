"""Requests and replies about two subjects who may be one person."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gaitkeeper.gallery.types import Reason, Template
from gaitkeeper.gallery.types.pairs import Double


class OtherSubject(BaseModel):
    """The other of two subjects."""

    model_config = ConfigDict(extra="forbid", strict=True)

    other: str = Field(description="Id of the other subject.", examples=["alice-2"])


class DoublesReply(BaseModel):
    """Pairs of subjects who are likely the same person, most likely first, or a page of them."""

    collection: str
    reason: Reason | None = Field(description="Why none can be found: `empty_gallery` or `uncalibrated`; else null.")
    doubles: list[Double]
    next: str | None = Field(
        None,
        description="`after` of the next page; null if there is none. A page covers `limit` subjects, whether or not "
        "they have doubles, and contains the pairs whose first subject is one of them.",
    )


class Apart(BaseModel):
    """Two subjects who are different people."""

    collection: str
    subject: str
    other: str


class DistancesReply(BaseModel):
    """Walks of one or two subjects, and the distances between them."""

    collection: str
    subject: str
    other: str | None
    templates: list[Template] = Field(
        description="The last 32 templates of the subject, in order of enrolment, then those of the other subject."
    )
    distances: list[list[float]] = Field(description="Part-wise distance of each template to each of them, in order.")


class Silhouettes(BaseModel):
    """A part of a walk as moving silhouettes."""

    silhouettes: str = Field(description="PNG, base64: silhouettes of 64 × 64 pixels beside each other.")
    frames: int = Field(description="Number of silhouettes, at most 60.")
    rate_hz: float = Field(description="Silhouettes per second, at most about 15.")
