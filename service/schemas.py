"""What the service replies: the same objects over REST, from the client and from the command line's ``--json``.

The gallery's own types are the heart of them; here stands only what a clip adds.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gallery.types import (
    Collection,
    Erasure,
    Identification,
    Outlier,
    Removal,
    Resemblance,
    Subject,
    Template,
    Verification,
)
from pipelines.sequence import Quality

__all__ = [
    "Clip",
    "Collection",
    "CollectionsReply",
    "DemoProbe",
    "DemoReply",
    "EnrollReply",
    "Erasure",
    "FailedClip",
    "Health",
    "IdentifyReply",
    "InspectReply",
    "JobReply",
    "NewCollection",
    "Person",
    "ProblemDetails",
    "Readiness",
    "Removal",
    "Skipped",
    "Strips",
    "SubjectChange",
    "SubjectReply",
    "SubjectsReply",
    "TrackChoice",
    "Trail",
    "VerifyReply",
    "WalkerPictures",
]


class Clip(BaseModel):
    """What came in."""

    sha256: str = Field(description="Digest of the clip's bytes, lower-case hexadecimal.")
    width: int = Field(description="Pixels of the upright picture.")
    height: int = Field(description="Pixels of the upright picture.")
    rate: float = Field(description="Median frame rate of the stream, in hertz.")
    frames: int = Field(description="Frames in the stream.")
    duration: float = Field(description="Seconds.")
    codec: str = Field(description="Video codec.")
    container: str = Field(description="Kind of file.")


class Skipped(BaseModel):
    """A person who was followed but did not become a gait sequence."""

    model_config = ConfigDict(from_attributes=True)

    track: int = Field(description="Number of the tracklet in the clip.")
    reason: str = Field(description="Why, as in `too_short` or `cut_off`.")
    frames: int = Field(description="Frames in which the person was seen.")
    usable: int = Field(description="Frames that could have been used.")
    start: float = Field(description="Seconds from the clip's first video frame to the first of them.")
    end: float = Field(description="Seconds from the clip's first video frame to the last of them.")


class TrackChoice(BaseModel):
    """One of several walkers, to choose from."""

    track: int = Field(description="Number of the tracklet in the clip, from 1, in order of appearance.")
    start: float = Field(description="Seconds from the clip's first video frame to the walker's first.")
    end: float = Field(description="Seconds from the clip's first video frame to the walker's last.")
    box: tuple[float, float, float, float] = Field(description="x1, y1, x2, y2 in pixels, half-way through.")
    quality: Quality
    thumbnail: str | None = Field(None, description="JPEG of the person, base64.")


class EnrollReply(BaseModel):
    """A durable enrolment."""

    template: Template
    warning: Resemblance | None = Field(
        None, description="Somebody else whom the walker matches at the strictest calibrated rate."
    )
    clip: Clip
    skipped: list[Skipped]
    timings: dict[str, float] = Field(description="Seconds by stage.")


class Strips(BaseModel):
    """Twenty moments of a walk side by side, 1280 by 64 pixels."""

    silhouettes: str = Field(description="PNG, base64.")
    skeletons: str = Field(description="PNG, base64.")


class WalkerPictures(Strips):
    """One walker of the clip, and beside it the templates that are explained."""

    thumbnail: str = Field(description="JPEG of the person, base64.")
    templates: dict[str, Strips] = Field(description="By template, of the candidates in `explanation`.")


class Trail(BaseModel):
    """Where a walker is, frame by frame; frames that could not be used are missing."""

    times: list[float] = Field(description="Seconds from the clip's first video frame.")
    boxes: list[tuple[float, float, float, float]] = Field(
        description="x1, y1, x2, y2 in pixels of the upright picture, one for each time."
    )


class Person(Identification):
    """One walker: what the gallery says, and what else was asked for."""

    pictures: WalkerPictures | None = Field(default=None, description="With `pictures`.")
    trail: Trail | None = Field(default=None, description="With `boxes`.")


class IdentifyReply(BaseModel):
    """Everybody who walks in a clip, each with ranked candidates and a verdict."""

    collection: str
    people: list[Person] = Field(description="One a walker, by track.")
    clip: Clip
    skipped: list[Skipped]
    timings: dict[str, float] = Field(description="Seconds by stage.")


class VerifyReply(BaseModel):
    """Whether the walker in a clip is the subject that is claimed."""

    person: Verification
    clip: Clip
    skipped: list[Skipped]
    timings: dict[str, float] = Field(description="Seconds by stage.")


class InspectReply(BaseModel):
    """What the pipeline saw in a clip. Of the command line only."""

    clip: Clip
    walkers: list[TrackChoice]
    skipped: list[Skipped]
    pictures: list[str] = Field(description="Paths of the pictures that were written.")
    timings: dict[str, float] = Field(description="Seconds by stage.")


class DemoProbe(BaseModel):
    """A clip that the demo identified. Of the command line only, as the two below."""

    file: str
    truth: str | None = Field(description="Who walks in it, where that is known.")
    reply: IdentifyReply


class FailedClip(BaseModel):
    """A clip that could not be used."""

    file: str
    code: str
    detail: str


class DemoReply(BaseModel):
    """What the demo did."""

    enrolled: list[Template]
    probes: list[DemoProbe]
    failed: list[FailedClip]
    rank1: int = Field(description="Walkers whose nearest candidate is the right one.")
    known: int = Field(description="Walkers of whom it is known who they are.")
    report: str = Field(description="Path of the HTML report.")


class JobReply(BaseModel):
    """A clip that is worked on after its request was answered."""

    id: str
    kind: Literal["enroll", "identify"]
    collection: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: float = Field(description="Share that is done, in [0, 1].")
    created: float = Field(description="Seconds since 1970.")
    ended: float | None = Field(description="Seconds since 1970.")
    status: int | None = Field(description="HTTP status that the request would have got.")
    result: EnrollReply | IdentifyReply | None = Field(description="The reply that the request would have got.")
    problem: dict[str, Any] | None = Field(description="The problem document that it would have got.")


class SubjectsReply(BaseModel):
    """The subjects of a collection, by id, or a page of them."""

    collection: str
    subjects: list[Subject]
    next: str | None = Field(None, description="`after` of the next page; null where there is none.")


class SubjectReply(BaseModel):
    """One subject and its templates, in the order of their enrolment."""

    subject: Subject
    templates: list[Template]
    outliers: list[Outlier] = Field([], description="Templates that may be of somebody else, or of a walk gone wrong.")


class SubjectChange(BaseModel):
    """What to change about a subject; what is null or left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    display_name: str | None = Field(None, description="1 to 256 characters.", examples=["Alice B."])
    metadata: dict[str, str] | None = Field(
        None, description="In place of all that is there; at most 64 entries.", examples=[{"site": "north"}]
    )
    legal_basis: str | None = Field(None, description="Up to 256 characters; empty takes it away.")


class NewCollection(BaseModel):
    """A collection to make."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(description="1 to 64 ASCII letters, digits, `_`, `-` and `.`.", examples=["hall"])
    keeps_heatmaps: bool = Field(
        False, description="Keep joint heatmaps, which a move to a network that reads them needs."
    )
    ttl_seconds: float | None = Field(
        None, ge=1, le=3.2e9, description="Seconds after which templates expire; null for never."
    )


class CollectionsReply(BaseModel):
    """The collections, by name."""

    collections: list[Collection]


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The service can answer: every check that was made just now, with its seconds."""

    status: Literal["ready"] = "ready"
    checks: dict[str, float]


class ProblemDetails(BaseModel):
    """RFC 9457 problem details; some codes add fields of their own, as `tracks` of `multiple_people`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="URN of the code.")
    title: str = Field(description="The same for every occurrence of the code.")
    status: int
    code: str = Field(description="Stable; the one to program against.")
    detail: str = Field(description="One sentence about this occurrence.")
