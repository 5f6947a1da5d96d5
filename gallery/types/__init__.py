"""Types of the gallery's arguments and results. REST replies and ``--json`` serialise these types."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.walk_quality import Quality


def _parse(value: Any) -> Any:
    return Fingerprint.parse(value) if isinstance(value, str) else value


FingerprintText = Annotated[
    Fingerprint,
    BeforeValidator(_parse),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["gei:none:1:blazepose-full/1"]}),
]
"""A fingerprint: an object in Python, a string in JSON."""


BASIS = (
    'What the value rests on: "camera (n passers-by)", people seen by the same camera; "collection", its other'
    ' subjects; "prior", plain distance, strict, where too few other people are known. Null without a calibration.'
)


class Record(BaseModel):
    """Base of the types below: frozen, keyword-only."""

    model_config = ConfigDict(frozen=True)


class Verdict(StrEnum):
    """The verdict on a probe."""

    MATCH = "match"
    UNKNOWN = "unknown"
    INCONCLUSIVE = "inconclusive"


class Reason(StrEnum):
    """Why a verdict is inconclusive."""

    EMPTY_GALLERY = "empty_gallery"
    TOO_SHORT = "too_short"
    LOW_RATE = "low_rate"
    POOR_QUALITY = "poor_quality"
    NOT_UPRIGHT = "not_upright"
    LIKENESS_CHANGED = "likeness_changed"
    UNCALIBRATED = "uncalibrated"


class Shadow(Record):
    """A second set of embeddings of a collection's templates, with another fingerprint, that can go live."""

    fingerprint: FingerprintText
    templates: int = Field(description="Templates with an embedding in it.")
    missing: int = Field(description="Templates without one; it can go live at 0.")
    was_live: bool = Field(description="True if it was searched before; a rollback returns to it.")


class Collection(Record):
    """A gallery pinned to one fingerprint."""

    name: str
    fingerprint: FingerprintText | None = Field(description="Set by the first enrolment; null while empty.")
    trained: bool | None = Field(description="False if the pinned network's weights are random; null while empty.")
    keeps_heatmaps: bool = Field(description="Whether stored sequences keep their joint heatmaps.")
    subjects: int = Field(description="Number of enrolled subjects.")
    templates: int = Field(description="Number of enrolled templates.")
    created: datetime
    ttl_seconds: float | None = Field(
        default=None, description="Seconds after which templates enrolled from now on expire; null for never."
    )
    sightings_seconds: float | None = Field(
        default=None, description="Seconds for which sightings, and pictures of subjects, are kept; null for none."
    )
    shadow: Shadow | None = Field(
        default=None, description="The other fingerprint's embeddings, during and after a migration."
    )


class LastSeen(Record):
    """The newest kept sighting of a subject."""

    time: datetime
    camera: str | None = Field(description="The camera that recorded it, if named.")


class Subject(Record):
    """An enrolled person."""

    subject: str = Field(
        validation_alias=AliasChoices("subject", "id"),  # archives of older versions say "id"
        description="The subject's id: 1 to 128 characters, without control characters and slashes.",
    )
    collection: str
    display_name: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    legal_basis: str | None = Field(default=None, description="Why this person's data may be kept.")
    templates: int = Field(description="Number of this subject's templates.")
    created: datetime
    last_seen: LastSeen | None = Field(default=None, description="Its newest kept sighting; null if there is none.")
    picture: bool = Field(default=False, description="Whether a picture of the subject is kept.")


class Template(Record):
    """Provenance of an enrolled embedding. Its id gives access to the embedding and the sequence."""

    id: str
    collection: str
    subject: str
    fingerprint: FingerprintText
    trained: bool = Field(description="False if the network's weights are random numbers.")
    shape: tuple[int, int] = Field(description="Parts and dims of the embedding.")
    clip_sha256: str | None = Field(description="SHA-256 of the clip's bytes, if the caller gave it.")
    track: int = Field(description="The walker's tracklet in that clip, from 1.")
    camera: str | None = Field(default=None, description="The camera that recorded it, if the caller named one.")
    heading: str | None = Field(default=None, description="Walking direction in the picture; only with a camera.")
    start: float = Field(description="Seconds from the clip's first video frame to the sequence's first.")
    end: float = Field(description="Seconds from the clip's first video frame to the sequence's last.")
    quality: Quality
    has_heatmaps: bool
    created: datetime
    expires: datetime | None = Field(
        default=None, description="Time from which it is not found any more, and can be removed; null for never."
    )
    duplicate: bool = Field(
        default=False, description="True if this walk was enrolled before; its template is returned again."
    )


class Candidate(Record):
    """One enrolled subject in the ranked answer to a probe."""

    subject: str
    rank: int = Field(ge=1, description="1 is the nearest.")
    distance: float = Field(ge=0, description="Part-wise distance to the nearest template of the subject.")
    confidence: float | None = Field(description="In [0, 1], falling with the distance; null without a calibration.")
    template: str = Field(description="Id of that nearest template.")


class Threshold(Record):
    """The distance up to which the first candidate is a match, and its origin."""

    value: float | None = Field(description="Null without a calibration.")
    fpir: float = Field(description="The requested false-positive identification rate.")
    gallery_size: int = Field(description="Templates searched.")
    source: str | None = Field(description='"calibration", or null without one for the fingerprint.')
    extrapolated: bool = Field(description="True if the gallery's size is outside the calibrated sizes.")
    basis: str | None = Field(None, description=BASIS)
    unit: float | None = Field(
        None,
        description="Mean distance between different people here; the value is a fraction of it. Null if the basis is"
        " the prior.",
    )


class PartImpostors(Record):
    """Distances of one part between different people; null if unknown."""

    top: float | None = Field(description="Upper end of the part's strip of the body; 0 is the top of the head.")
    bottom: float | None = Field(
        description="Its lower end; 1 is the soles. Both are null if the part is not a strip of the body."
    )
    low: float | None = Field(description="5 % of pairs of different people are nearer than this.")
    median: float | None = Field(description="50 % are nearer than this.")
    high: float | None = Field(description="95 % are nearer than this.")


class CandidateParts(Record):
    """One candidate, part by part."""

    subject: str
    template: str
    distances: tuple[float, ...] = Field(description="Of each part; their mean is the candidate's distance.")
    impostor_shares: tuple[float, ...] | None = Field(
        description="For each part, the share of pairs of different people that are as near in this part, in [0, 1]: "
        "near 0 is evidence for the candidate, near 1 against. Null if too few people are known."
    )


class Explanation(Record):
    """Explanation of the candidates: evidence for and against each, part by part."""

    source: str | None = Field(
        description='Source of the impostor distances: "calibration"; "collection", pairs of its own subjects; or null.'
    )
    pairs: int = Field(description="Number of pairs of different people.")
    parts: tuple[PartImpostors, ...] = Field(description="In the embedding's order.")
    candidates: tuple[CandidateParts, ...] = Field(description="The first five candidates, nearest first.")


class ViewStatistics(Record):
    """Statistics of one view, which is a camera and a walking direction."""

    camera: str
    heading: str = Field(description="Walking direction in the picture.")
    walks: int = Field(description="Number of kept passers-by.")


class SeenFrom(Record):
    """The view of a walker, and the correction applied."""

    camera: str
    heading: str | None = Field(description="Walking direction in the picture; null if unknown.")
    walks: int = Field(description="Number of passers-by that the collection keeps of this view.")
    applied: bool = Field(description="Whether their common part was subtracted before distances.")


class Identification(Record):
    """The answer to one probe."""

    verdict: Verdict
    reason: Reason | None = Field(description="Why the verdict is inconclusive; null otherwise.")
    candidates: tuple[Candidate, ...] = Field(description="Nearest subject first.")
    threshold: Threshold
    collection: str
    fingerprint: FingerprintText = Field(description="Fingerprint of the probe, and of all templates compared with it.")
    trained: bool = Field(description="False if the network's weights are random numbers.")
    track: int = Field(description="The walker's tracklet in the probe's clip, from 1.")
    start: float = Field(description="Seconds from the clip's first video frame to the probe's first.")
    end: float = Field(description="Seconds from the clip's first video frame to the probe's last.")
    quality: Quality = Field(description="Quality of the probe; it says which frames were skipped and why.")
    same_as: int | None = Field(
        default=None,
        description="The track of an earlier walker of the same clip or stream who is the same person by this answer's"
        " threshold. Null if there is none, or if none was looked for.",
    )
    timings: dict[str, float] = Field(description="Seconds by stage, embed and search, of the whole call.")
    explanation: Explanation | None = Field(default=None, description="Only on request.")
    seen: SeenFrom | None = Field(default=None, description="Only if the camera was named.")
    age: float | None = Field(
        default=None,
        description="Age in seconds of the searched data while the store cannot be reached; otherwise null.",
    )

    @property
    def named(self) -> str | None:
        """The subject of a match; None for another verdict."""
        return self.candidates[0].subject if self.verdict is Verdict.MATCH else None


class Resemblance(Record):
    """Another subject that matches the walker to enrol, at the strictest calibrated rate."""

    code: str = "looks_like_other_subject"
    subject: str = Field(description="The other subject.")
    template: str = Field(description="Id of its nearest template.")
    distance: float = Field(ge=0, description="Part-wise distance to it.")
    threshold: Threshold
    detail: str = Field(description="One sentence.")


class Enrolment(Record):
    """Result of an enrolment: the template, and warnings."""

    template: Template
    warning: Resemblance | None = None


class OutlierReason(StrEnum):
    """Why a template may not belong to its subject."""

    FAR_FROM_OWN = "far_from_own"
    NEARER_TO_OTHER = "nearer_to_other"


class Outlier(Record):
    """A template that may show another person, or a bad recording."""

    template: str
    reason: OutlierReason
    own_distance: float = Field(description="Part-wise distance to the nearest other template of the subject.")
    other_subject: str | None = Field(description="The nearest other subject; null if no other subject is enrolled.")
    other_distance: float | None = Field(description="Part-wise distance to it.")


class MatchThreshold(Record):
    """The distance up to which a walker matches the claimed subject, and its origin."""

    value: float | None = Field(description="Null without a calibration for one-to-one comparison.")
    fmr: float = Field(
        description="The requested false match rate: the share of strangers claiming to be the subject who match."
    )
    source: str | None = Field(description='"calibration", or null without one for the fingerprint.')
    basis: str | None = Field(None, description=BASIS)
    unit: float | None = Field(None, description="As of an identification's threshold.")


class Verification(Record):
    """Verification result: whether a walker is the claimed subject."""

    verdict: Verdict = Field(description="`unknown` if the walker does not match the subject.")
    reason: Reason | None = Field(description="Why the verdict is inconclusive; null otherwise.")
    subject: str
    distance: float | None = Field(description="Part-wise distance to the subject's nearest template; null if none.")
    confidence: float | None = Field(description="In [0, 1], falling with the distance; null without a calibration.")
    template: str | None = Field(description="Id of that nearest template.")
    threshold: MatchThreshold
    collection: str
    fingerprint: FingerprintText = Field(description="Fingerprint of the probe, and of all templates compared with it.")
    trained: bool = Field(description="False if the network's weights are random numbers.")
    track: int = Field(description="The walker's tracklet in the probe's clip, from 1.")
    start: float = Field(description="Seconds from the clip's first video frame to the probe's first.")
    end: float = Field(description="Seconds from the clip's first video frame to the probe's last.")
    quality: Quality = Field(description="Quality of the probe; it says which frames were skipped and why.")
    timings: dict[str, float] = Field(description="Seconds by stage, embed and search.")
    seen: SeenFrom | None = Field(default=None, description="Only if the camera was named.")


class Erasure(Record):
    """Result of erasing a subject."""

    collection: str
    subject: str
    templates: int = Field(description="Templates erased with the subject.")
    passers_by: int = Field(
        default=0, description="Passers-by that were also erased, because they resemble one of the templates."
    )
    sightings: int = Field(
        default=0, description="Sightings that were also erased: of the subject, and unknown ones that resemble it."
    )
    pending: bool = Field(description="True if the store still has to overwrite the erased bytes on disk.")


class Removal(Record):
    """Result of deleting a template or a collection, or of removing expired data."""

    collection: str
    templates: int = Field(description="Templates removed.")
    subjects: int = Field(description="Subjects removed with their last template.")
    sightings: int = Field(default=0, description="Sightings removed.")
    pending: bool = Field(description="True if the store still has to overwrite the removed bytes on disk.")


class Promises(Record):
    """Durability of an acknowledged enrolment."""

    durable: bool = Field(description="True if enrolments survive a kill of the store and a power cut.")
    encrypted: bool = Field(description="True if embeddings and sequences are encrypted at rest.")
    remarks: tuple[str, ...] = Field(description="Sentences on how, and on what is not promised.")


class Action(StrEnum):
    """Actions in the log."""

    CREATE = "create"
    DELETE = "delete"
    ENROLL = "enroll"
    UPDATE = "update"
    ERASE = "erase"
    DELETE_TEMPLATE = "delete_template"
    PURGE = "purge"
    FLIP = "flip"
    DROP_SHADOW = "drop_shadow"
    ROTATE_KEY = "rotate_key"
    EXPORT = "export"
    IMPORT = "import"
    FORGET_CAMERA = "forget_camera"
    KEEP_PASSERS_BY = "keep_passers_by"
    MERGE = "merge"
    MERGED_AWAY = "merged_away"
    TELL_APART = "tell_apart"
    KEEP_SIGHTINGS = "keep_sightings"
    FORGET_SIGHTINGS = "forget_sightings"


class AuditEntry(Record):
    """One log entry."""

    at: datetime
    actor: str = Field(description='Who did it, as named by the service or the command line; otherwise "local".')
    action: Action
    collection: str
    subject: str | None = Field(
        description="HMAC-SHA256 of the subject's id, hexadecimal; null if no subject is concerned."
    )
    templates: int = Field(description="Number of added or removed templates.")


class AuditReport(Record):
    """The log of a collection, and leftovers found of erased data."""

    collection: str
    entries: tuple[AuditEntry, ...] = Field(description="Oldest first.")
    erased: int = Field(description="Subjects erased or merged into another, and not enrolled again since.")
    left: tuple[str, ...] = Field(description="Data without an owner; empty if all is well.")
    pending: bool = Field(description="True if erased bytes may still be in the store's files.")


class Stranger(Record):
    """A walker with the verdict "unknown"."""

    id: str
    seen: datetime = Field(description="Time at which the clip was processed.")
    expires: datetime | None = Field(description="Time at which it is deleted.")
    clip_sha256: str | None = Field(description="Digest of the clip's bytes.")
    track: int = Field(description="The walker's tracklet in that clip, from 1.")
    start: float = Field(description="Seconds from the clip's first video frame to the walker's first.")
    end: float = Field(description="Seconds from the clip's first video frame to the walker's last.")
    camera: str | None = Field(default=None, description="The camera that recorded the walker, if named.")


class StrangerGroup(Record):
    """A group of strangers who may be the same person."""

    id: str = Field(description="Computed from the members: it changes when a member is added or removed.")
    strangers: tuple[Stranger, ...] = Field(description="In order of appearance.")
    first_seen: datetime
    last_seen: datetime
    spread: float = Field(description="Largest part-wise distance between two members; 0 for one member.")
