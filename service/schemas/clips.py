"""Replies about clips and the walkers in them, and about the demo."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from gaitkeeper.gallery.types import Identification, Resemblance, Template, Verification
from gaitkeeper.pipelines.walk_quality import Quality


class Clip(BaseModel):
    """The clip that was received."""

    sha256: str = Field(description="Digest of the clip's bytes, lower-case hexadecimal.")
    width: int = Field(description="In square pixels, of the upright picture.")
    height: int = Field(description="In square pixels, of the upright picture.")
    rate: float = Field(description="Median frame rate of the stream, in hertz.")
    frames: int = Field(description="Number of frames that are shown.")
    duration: float = Field(description="Duration in seconds.")
    codec: str = Field(description="Video codec.")
    container: str = Field(description="Container format.")
    stream: int = Field(0, description="Index of the video stream that was used.")
    repaired: dict[str, int] = Field(
        {},
        description="Number of frames that were repaired or could not be decoded, by kind: `ran_back`, `jumped`, "
        "`burst`, `stood_still`, `decode_order`, `missing`, `undecoded`.",
    )
    rotated: int = Field(
        0, description="Degrees by which the pictures were turned clockwise, after the clip's own rotation."
    )


class Skipped(BaseModel):
    """A person who was followed but did not become a gait sequence."""

    model_config = ConfigDict(from_attributes=True)

    track: int = Field(description="Number of the tracklet in the clip.")
    reason: str = Field(description="Reason, for example `too_short` or `cut_off`.")
    frames: int = Field(description="Number of frames that show the person.")
    usable: int = Field(description="Number of frames of sufficient quality.")
    start: float = Field(description="Seconds from the clip's first video frame to the person's first.")
    end: float = Field(description="Seconds from the clip's first video frame to the person's last.")


class TrackChoice(BaseModel):
    """One of several walkers. The caller chooses among them."""

    track: int = Field(description="Number of the tracklet in the clip, from 1, in order of appearance.")
    start: float = Field(description="Seconds from the clip's first video frame to the walker's first.")
    end: float = Field(description="Seconds from the clip's first video frame to the walker's last.")
    box: tuple[float, float, float, float] = Field(description="x1, y1, x2, y2 in pixels, in the middle frame.")
    quality: Quality
    same_as: int | None = Field(
        None,
        description="Track of an earlier walker who seems to be the same person, who left and returned.",
    )
    thumbnail: str | None = Field(None, description="JPEG of the person, base64.")


class ClipEnrolment(BaseModel):
    """The template and quality of one enrolled clip."""

    template: Template
    warning: Resemblance | None = Field(
        None, description="Another subject that the walker matches at the strictest calibrated rate."
    )
    clip: Clip
    skipped: list[Skipped]
    timings: dict[str, float] = Field(description="Seconds by stage.")


class EnrollReply(ClipEnrolment):
    """A completed, durable enrolment."""

    others: list[ClipEnrolment] = Field(
        [], description="Enrolments from the other clips, or of the other walkers, of the request, in their order."
    )


class Strips(BaseModel):
    """Twenty moments of a walk side by side, 1280 by 64 pixels."""

    silhouettes: str = Field(description="PNG, base64.")
    skeletons: str = Field(description="PNG, base64.")


class WalkerPictures(Strips):
    """Pictures of one walker of the clip, and of the templates that the explanation compares it with."""

    thumbnail: str = Field(description="JPEG of the person, base64.")
    templates: dict[str, Strips] = Field(description="Pictures of the candidates in `explanation`, by template.")


class Trail(BaseModel):
    """Bounding boxes of a walker, one per usable frame."""

    times: list[float] = Field(description="Seconds from the clip's first video frame.")
    boxes: list[tuple[float, float, float, float]] = Field(
        description="x1, y1, x2, y2 in pixels of the upright picture, one for each time."
    )


class Person(Identification):
    """One walker: the gallery's answer, and the extras that the request asked for."""

    pictures: WalkerPictures | None = Field(default=None, description="With `pictures`.")
    trail: Trail | None = Field(default=None, description="With `boxes`.")
    stranger: str | None = Field(
        default=None,
        description="Id of the kept stranger, if the walker is unknown and the collection keeps strangers.",
    )
    sighting: str | None = Field(default=None, description="Id of the sighting, if the collection keeps sightings.")


class Kept(BaseModel):
    """The handle under which the walkers of a clip are kept."""

    handle: str | None = Field(
        None,
        description="Stands for the clip in later requests of the same key; null if the walkers are not kept, because "
        "that was not asked for, or they need more memory than the service gives.",
    )
    expires: datetime | None = Field(None, description="Time at which the kept walkers are erased.")


class IdentifyReply(Kept):
    """All walkers of a clip, each with ranked candidates and a verdict."""

    collection: str
    people: list[Person] = Field(description="One entry per walker, by track.")
    clip: Clip
    skipped: list[Skipped]
    timings: dict[str, float] = Field(description="Seconds by stage.")


class Unfit(BaseModel):
    """Why a walker cannot become a template."""

    code: str = Field(description="The error that an enrolment would give, such as `not_upright` or `too_short`.")
    detail: str
    reasons: list[str] = Field([], description="What is poor, such as `joints`, `masks` or `rate`.")


class WalkerSeen(TrackChoice):
    """One walker of a clip that was looked at."""

    unfit: Unfit | None = Field(description="Why the walker cannot be enrolled; null if nothing is against it.")
    strips: Strips | None = Field(None, description="With `pictures`.")
    trail: Trail | None = Field(None, description="With `boxes`.")


class WalkersReply(Kept):
    """The walkers of a clip, compared with no one."""

    collection: str
    walkers: list[WalkerSeen] = Field(description="One entry per walker, by track.")
    clip: Clip
    skipped: list[Skipped]
    timings: dict[str, float] = Field(description="Seconds by stage.")


class ErasedHandle(BaseModel):
    """A handle whose walkers were erased."""

    handle: str
    walkers: int = Field(description="Number of walkers that were kept.")


class VerifyReply(BaseModel):
    """Verification result: whether the walker in a clip is the claimed subject."""

    person: Verification
    clip: Clip
    skipped: list[Skipped]
    timings: dict[str, float] = Field(description="Seconds by stage.")


class LearnReply(BaseModel):
    """What a collection has learnt about a camera from a clip."""

    collection: str
    camera: str
    walkers: int = Field(description="Number of walkers in the clip.")
    kept: int = Field(
        description="Number of walkers that are kept as passers-by: those of good quality that resemble no kept one."
    )
    clip: Clip
    skipped: list[Skipped]
    timings: dict[str, float] = Field(description="Seconds by stage.")


class InspectReply(BaseModel):
    """What the pipeline found in a clip. Used by the command line only."""

    clip: Clip
    walkers: list[TrackChoice]
    skipped: list[Skipped]
    pictures: list[str] = Field(description="Paths of the pictures that were written.")
    timings: dict[str, float] = Field(description="Seconds by stage.")


class DemoProbe(BaseModel):
    """A clip that the demo identified. This type and the next two are used by the command line only."""

    file: str
    truth: str | None = Field(description="Subject who walks in the clip, if known.")
    reply: IdentifyReply


class FailedClip(BaseModel):
    """A clip that could not be used."""

    file: str
    code: str
    detail: str


class DemoReply(BaseModel):
    """Result of the demo."""

    enrolled: list[Template]
    probes: list[DemoProbe]
    failed: list[FailedClip]
    rank1: int = Field(description="Number of walkers whose nearest candidate is correct.")
    known: int = Field(description="Number of walkers with a known subject.")
    report: str = Field(description="Path of the HTML report.")
