"""Types of sightings: who was seen when, by which camera, and with which verdict."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from gaitkeeper.gallery.types import LastSeen, Reason, Record, Verdict
from gaitkeeper.pipelines.fingerprint import Fingerprint

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_SIGHTINGS = 10_000
"""Number of sightings that a collection keeps, unless another is set."""


class Source(StrEnum):
    """What a sighting comes from."""

    REQUEST = "request"
    JOB = "job"
    BATCH = "batch"
    STREAM = "stream"


class Sighting(Record):
    """One walker who was seen, and the verdict."""

    id: str = Field(description="32 hexadecimal digits, unique in the collection.")
    collection: str
    time: datetime = Field(
        description="Time of the verdict: of a live stream the time of the walk, of a clip that of its processing."
    )
    expires: datetime = Field(description="Time at which it is deleted.")
    camera: str | None = Field(description="The camera that recorded the walker, if named.")
    source: Source = Field(description="`request`, `job`, `batch` or `stream`, which is also `watch`.")
    verdict: Verdict
    reason: Reason | None = Field(description="Why the verdict is inconclusive; null otherwise.")
    subject: str | None = Field(description="Who it is; null unless the verdict is a match.")
    distance: float | None = Field(description="Part-wise distance to that subject; null unless it is a match.")
    confidence: float | None = Field(description="Confidence of the match, in [0, 1]; null unless it is a match.")
    stranger: str | None = Field(description="Id of the kept stranger, if the collection keeps strangers.")
    clip_sha256: str | None = Field(description="Digest of the clip's bytes; null for a live stream.")
    track: int = Field(description="The walker's tracklet in the clip or stream, from 1.")
    start: float = Field(description="Seconds from the first frame of the clip or stream to the walker's first.")
    end: float = Field(description="Seconds from the first frame of the clip or stream to the walker's last.")
    thumbnail: bool = Field(description="Whether a picture is kept.")
    searchable: bool = Field(
        description="Whether the walk's embedding is kept, to find the walker again: of those who are unknown, or could"
        " not be compared because no one was enrolled or the network is not calibrated."
    )


class Earlier(Record):
    """A kept sighting of a walker without a name, compared with a subject."""

    sighting: Sighting
    distance: float = Field(description="Part-wise distance to the subject's nearest template.")
    threshold: float | None = Field(
        description="Distance up to which it is a match at the asked rate, as of an identification; null without a"
        " calibration."
    )
    match: bool | None = Field(description="Whether it is the subject; null without a calibration.")


class EarlierSearch(Record):
    """Sightings of walkers without a name who may be a subject: matches first, and of each kind the nearest first."""

    collection: str
    subject: str
    before: datetime = Field(description="Only earlier sightings were searched; by default the subject's enrolment.")
    searched: int = Field(description="Number of sightings that were compared.")
    incomparable: int = Field(
        description="Number of sightings that were not, because they were embedded by another network."
    )
    found: tuple[Earlier, ...]


@dataclass(frozen=True)
class Wanted:
    """A filter of sightings. None accepts everything.

    Attributes:
        subject: id of the subject.
        camera: name of the camera.
        verdict: the verdict.
        since: earliest time.
        until: time before which they were.
    """

    subject: str | None = None
    camera: str | None = None
    verdict: Verdict | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, eq=False)
class SeenWalk:
    """The walk of a walker without a name, to find it again.

    Attributes:
        fingerprint: fingerprint of the embedding.
        embedding: finite float32 (P, C).
        heading: walking direction in the picture, if a camera was named.
    """

    fingerprint: Fingerprint
    embedding: npt.NDArray[np.float32] = field(repr=False)
    heading: str | None = None


@dataclass(frozen=True, eq=False)
class NewSighting:
    """A sighting to keep.

    Attributes:
        id: 32 hexadecimal digits; by default random. A sighting with the id of a kept one takes its place, with its
            time.
        time: time of the verdict, with a time zone; by default now.
        thumbnail: JPEG of the walker; empty if there is none.
        walk: the walk of a walker without a name; None for others.
        camera, source, verdict, reason, subject, distance, confidence, stranger, clip_sha256, track, start, end: as of
            :class:`Sighting`.
    """

    source: Source
    verdict: Verdict
    track: int
    start: float
    end: float
    camera: str | None = None
    reason: Reason | None = None
    subject: str | None = None
    distance: float | None = None
    confidence: float | None = None
    stranger: str | None = None
    clip_sha256: str | None = None
    thumbnail: bytes = field(default=b"", repr=False)
    walk: SeenWalk | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Known:
    """What a store knows about a subject beside its templates.

    Attributes:
        last_seen: its newest sighting; None if there is none.
        picture: whether a picture of it is kept.
    """

    last_seen: LastSeen | None = None
    picture: bool = False


def id_of(clip_sha256: str | None, track: int) -> str:
    """The id of the sighting of a clip's walker; without a clip a random one."""
    if clip_sha256 is None:
        return uuid.uuid4().hex
    return hashlib.sha256(f"{clip_sha256}:{track}".encode()).hexdigest()[:32]
