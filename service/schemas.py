"""Reply types of the service, shared by REST, the client and the command line's ``--json``.

They build on the gallery's types; this module adds what depends on a clip.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from gaitkeeper.gallery.types import (
    Collection,
    Erasure,
    FingerprintText,
    Identification,
    Outlier,
    Removal,
    Resemblance,
    StrangerGroup,
    Subject,
    Template,
    Verdict,
    Verification,
    ViewStatistics,
)
from gaitkeeper.pipelines.sequence import Quality

__all__ = [
    "Calibrated",
    "CamerasReply",
    "Clip",
    "ClipEnrolment",
    "Collection",
    "CollectionsReply",
    "DemoProbe",
    "DemoReply",
    "EnrollReply",
    "ErasedHandle",
    "Erasure",
    "FailedClip",
    "Health",
    "IdentifyReply",
    "InspectReply",
    "JobOutcome",
    "JobReply",
    "JobState",
    "JobsReply",
    "KeepStrangers",
    "Limits",
    "Load",
    "Model",
    "ModelWeights",
    "ModelsReply",
    "NamedReply",
    "NewCollection",
    "NewName",
    "PermissionsReply",
    "Person",
    "ProblemDetails",
    "Readiness",
    "Removal",
    "SessionReply",
    "SignIn",
    "SignedOut",
    "Skipped",
    "StoreState",
    "StrangersReply",
    "Strips",
    "SubjectChange",
    "SubjectReply",
    "SubjectsReply",
    "SystemReply",
    "TemplatesReply",
    "TrackChoice",
    "Trail",
    "Unfit",
    "VerifyReply",
    "WalkerPictures",
    "WalkerSeen",
    "WalkersReply",
]


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


class JobOutcome(BaseModel):
    """Outcome for one walker of a job's clip."""

    track: int
    verdict: Verdict | None = Field(description="Null for an enrolment, and for a walker who was only looked at.")
    subject: str | None = Field(description="The matched or enrolled subject; null otherwise.")


class JobState(BaseModel):
    """State of a job: a clip that is processed after its request was answered."""

    id: str
    kind: Literal["enroll", "identify", "walkers"]
    collection: str
    key: str | None = Field(description="Id of the key that sent it; null if it was sent without a key.")
    file: str | None = Field(description="Name of the clip's file, if it was sent with one.")
    camera: str | None = Field(description="The camera that was named.")
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    stage: str | None = Field(description="What is being done while it runs.")
    progress: float = Field(description="Completed fraction, in [0, 1].")
    created: datetime
    ended: datetime | None
    expires: datetime | None = Field(None, description="When the job is deleted with its result; null until it ends.")
    annotated: bool = Field(False, description="Whether its annotated clip can be fetched.")
    status: int | None = Field(description="HTTP status of the reply.")
    outcome: list[JobOutcome] | None = Field(description="Of each walker, once the job is done.")


class JobReply(JobState):
    """State of a job, with its result."""

    result: EnrollReply | IdentifyReply | WalkersReply | None = Field(
        description="The reply to the request; without the pictures and boxes of `/walkers`."
    )
    problem: dict[str, Any] | None = Field(description="The problem document, if the job failed.")


class JobsReply(BaseModel):
    """The jobs that the caller may see, newest first, or a page of them."""

    jobs: list[JobState]
    next: str | None = Field(None, description="`after` of the next page; null if there is none.")


class ModelWeights(BaseModel):
    """The weights of a network."""

    sha256: str
    licence: str = Field(description="SPDX identifier.")
    about: str
    state: str = Field(description="`present`, or the problem with the file.")


class Calibrated(BaseModel):
    """A fingerprint that has calibrated thresholds."""

    fingerprint: FingerprintText
    fpirs: list[float] = Field(description="Calibrated false-positive identification rates.")
    gallery_sizes: list[int] = Field(description="Numbers of templates for which the thresholds were measured.")
    fmrs: list[float] = Field(
        description="Calibrated false match rates. Without any, every verification is `inconclusive`."
    )


class Model(BaseModel):
    """A gait network."""

    name: str
    about: str = Field(description="One sentence.")
    inputs: tuple[str, ...] = Field(description="Its inputs, out of `silhouettes`, `joints` and `heatmaps`.")
    default: bool = Field(description="Whether new collections use it by default.")
    trained: bool = Field(description="False if its weights are random.")
    weights: ModelWeights | None
    calibrated: list[Calibrated] = Field(description="Without a calibration, every verdict is `inconclusive`.")


class ModelsReply(BaseModel):
    """The networks, by name."""

    models: list[Model]


class PermissionsReply(BaseModel):
    """What the caller's key may do."""

    id: str | None = Field(description="Id of the key; null if the service has no keys.")
    name: str = Field(description="Name that the key was created with.")
    scopes: list[Literal["enrol", "identify", "viewer", "metrics", "admin"]] = Field(
        description="`admin` includes the other scopes."
    )
    collections: list[str] | None = Field(description="Collections that the key is for; null for all.")


class StoreState(BaseModel):
    """The gallery's store."""

    kind: str = Field(description="For example `sqlite` or `redis`.")
    durable: bool = Field(description="Whether acknowledged data survives a power failure.")
    encrypted: bool
    collections: int
    subjects: int
    templates: int


class Load(BaseModel):
    """Load of the service."""

    clips_pending: int = Field(description="Number of clips that are being processed or waiting.")
    clips_bound: int = Field(description="Maximum of `clips_pending`; further clips get the error `overloaded`.")
    workers: int = Field(description="Number of clips processed at the same time.")
    jobs_waiting: int
    jobs_bound: int
    load_average: float = Field(description="Load average of the machine over one minute.")
    memory_bytes: int | None = Field(description="Memory of this process; null if unknown.")


class Limits(BaseModel):
    """Limits that requests must respect."""

    max_upload_bytes: int
    max_seconds: float = Field(description="Maximum duration of a clip.")
    async_seconds: float = Field(description="A longer clip becomes a job.")
    deadline: float = Field(description="Seconds for the body to arrive, and for the clip to be processed.")
    rate: str = Field(description="Rate limit of one API key.")


class SystemReply(BaseModel):
    """Description and load of the service."""

    version: str
    torch: str
    device: str
    device_name: str | None = Field(description="Name of the GPU, if one is used.")
    processors: int
    threads: int = Field(description="Number of threads that run perception.")
    network: str = Field(description="Network of new collections.")
    precision: str = Field(description="Number format of the searched embeddings.")
    perception: str
    sandbox: bool = Field(description="Whether clips are decoded in a sandboxed process.")
    locked: bool = Field(description="Whether API keys are required.")
    store: StoreState
    load: Load
    limits: Limits
    started: datetime
    uptime: float = Field(description="Seconds.")


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


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The service is ready. Lists each check that was just made, with its duration in seconds."""

    status: Literal["ready"] = "ready"
    checks: dict[str, float]


class SignIn(BaseModel):
    """To sign in."""

    model_config = ConfigDict(extra="forbid")

    key: SecretStr = Field(description="The text of an API key.", max_length=200)


class SessionReply(BaseModel):
    """A session of the page."""

    key: str = Field(description="Id of the key whose rights it has.")
    name: str = Field(description="Name of the key.")
    expires: datetime


class SignedOut(BaseModel):
    """The end of a session."""

    signed_out: bool = Field(description="Whether there was a session to end.")


class ProblemDetails(BaseModel):
    """RFC 9457 problem details. Some codes add fields, for example `tracks` of `multiple_people`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="URN of the code.")
    title: str = Field(description="The same for all occurrences of the code.")
    status: int
    code: str = Field(description="Stable code for programs.")
    detail: str = Field(description="One sentence that describes this occurrence.")
