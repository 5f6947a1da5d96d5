"""Types of the gallery's arguments and results. REST replies and ``--json`` serialise these types."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from pipelines.fingerprint import Fingerprint
from pipelines.sequence import Quality


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
    templates: int = Field(description="Templates that have an embedding in it.")
    missing: int = Field(description="Templates that have none yet; it can go live at 0.")
    was_live: bool = Field(description="True where it was searched before; going back to it is a rollback.")


class Collection(Record):
    """A gallery pinned to one fingerprint."""

    name: str
    fingerprint: FingerprintText | None = Field(description="Set by the first enrolment; null while empty.")
    trained: bool | None = Field(description="False where the pinned network's weights are random; null while empty.")
    keeps_heatmaps: bool = Field(description="Whether stored sequences keep their joint heatmaps.")
    subjects: int = Field(description="Number of enrolled subjects.")
    templates: int = Field(description="Number of enrolled templates.")
    created: datetime
    ttl_seconds: float | None = Field(
        default=None, description="Seconds after which a template that is enrolled from now on expires; null for never."
    )
    shadow: Shadow | None = Field(
        default=None, description="The other fingerprint's embeddings, during and after a move."
    )


class Subject(Record):
    """An enrolled person."""

    id: str = Field(description="1 to 128 characters, without control characters and slashes.")
    collection: str
    display_name: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    legal_basis: str | None = Field(default=None, description="On what ground this person's data is kept.")
    templates: int = Field(description="Number of this subject's templates.")
    created: datetime


class Template(Record):
    """Provenance of an enrolled embedding. Its id gives access to the embedding and the sequence."""

    id: str
    collection: str
    subject: str
    fingerprint: FingerprintText
    trained: bool = Field(description="False where the network's weights are random numbers.")
    shape: tuple[int, int] = Field(description="Parts and dims of the embedding.")
    clip_sha256: str | None = Field(description="Digest of the clip's bytes, where the caller gave it.")
    track: int = Field(description="The walker's tracklet in that clip, from 1.")
    camera: str | None = Field(default=None, description="The camera that saw it, where the caller said so.")
    heading: str | None = Field(default=None, description="Which way the walker goes in the picture; with a camera.")
    start: float = Field(description="Seconds from the clip's first video frame to the sequence's first.")
    end: float = Field(description="Seconds from the clip's first video frame to the sequence's last.")
    quality: Quality
    has_heatmaps: bool
    created: datetime
    expires: datetime | None = Field(
        default=None, description="When it stops being found and is due to be removed; null for never."
    )
    duplicate: bool = Field(
        default=False, description="True where this enrolment had been made before and its template is given again."
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
    fpir: float = Field(description="The false-positive identification rate that was asked for.")
    gallery_size: int = Field(description="Templates searched.")
    source: str | None = Field(description='"calibration", or null where there is none for the fingerprint.')
    extrapolated: bool = Field(description="True where the gallery's size lies outside the calibrated sizes.")
    basis: str | None = Field(None, description=BASIS)
    unit: float | None = Field(
        None,
        description="How far apart different people are here, in the mean: the value is a share of it. Null where the"
        " basis is the prior.",
    )


class PartImpostors(Record):
    """Distances of one part between different people; null if unknown."""

    top: float | None = Field(description="Of the strip of the body that the part looks at, 0 at the top of the head.")
    bottom: float | None = Field(description="1 at the soles. Both are null where the part is no strip of the body.")
    low: float | None = Field(description="Distance that 5 % of pairs of different people are within.")
    median: float | None = Field(description="That 50 % are within.")
    high: float | None = Field(description="That 95 % are within.")


class CandidateParts(Record):
    """One candidate, part by part."""

    subject: str
    template: str
    distances: tuple[float, ...] = Field(description="Of each part; their mean is the candidate's distance.")
    impostor_shares: tuple[float, ...] | None = Field(
        description="For each part, the share of pairs of different people that are as near in this part, in [0, 1]: "
        "near 0 speaks for the candidate, near 1 against. Null where too little is known."
    )


class Explanation(Record):
    """Explanation of the candidates: evidence for and against each, part by part."""

    source: str | None = Field(
        description='Of the impostor distances: "calibration"; "collection", pairs of its own subjects; or null.'
    )
    pairs: int = Field(description="Pairs of different people that they come from.")
    parts: tuple[PartImpostors, ...] = Field(description="In the embedding's order.")
    candidates: tuple[CandidateParts, ...] = Field(description="The first five candidates, nearest first.")


class ViewStatistics(Record):
    """Statistics of one view, which is a camera and a walking direction."""

    camera: str
    heading: str = Field(description="Which way the walkers go in the picture.")
    walks: int = Field(description="How many passers-by are kept of it.")


class SeenFrom(Record):
    """The view of a walker, and the correction applied."""

    camera: str
    heading: str | None = Field(description="Which way the walker goes in the picture; null where that cannot be told.")
    walks: int = Field(description="How many passers-by the collection keeps of this view.")
    applied: bool = Field(description="Whether what they have in common was taken off before distances.")


class Identification(Record):
    """The answer to one probe."""

    verdict: Verdict
    reason: Reason | None = Field(description="Why the verdict is inconclusive; null otherwise.")
    candidates: tuple[Candidate, ...] = Field(description="Nearest subject first.")
    threshold: Threshold
    collection: str
    fingerprint: FingerprintText = Field(description="Of the probe, and of everything it was compared with.")
    trained: bool = Field(description="False where the network's weights are random numbers.")
    track: int = Field(description="The walker's tracklet in the probe's clip, from 1.")
    start: float = Field(description="Seconds from the clip's first video frame to the probe's first.")
    end: float = Field(description="Seconds from the clip's first video frame to the probe's last.")
    quality: Quality = Field(description="Of the probe; says what was skipped and why.")
    same_as: int | None = Field(
        default=None,
        description="The track of an earlier walker of the same clip or stream who is the same person by this answer's"
        " threshold. Null if there is none, or if none was looked for.",
    )
    timings: dict[str, float] = Field(description="Seconds by stage, embed and search, of the whole call.")
    explanation: Explanation | None = Field(default=None, description="Where it was asked for.")
    seen: SeenFrom | None = Field(default=None, description="Where the camera was named.")
    age: float | None = Field(
        default=None,
        description="Seconds that what was searched is old, while the store cannot be reached; null where it can.",
    )


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
    other_subject: str | None = Field(description="The nearest other subject; null where nobody else is enrolled.")
    other_distance: float | None = Field(description="Part-wise distance to it.")


class MatchThreshold(Record):
    """The distance up to which a walker matches the claimed subject, and its origin."""

    value: float | None = Field(description="Null without a calibration for one-to-one comparison.")
    fmr: float = Field(description="The false match rate that was asked for: of strangers who claim to be the subject.")
    source: str | None = Field(description='"calibration", or null where there is none for the fingerprint.')
    basis: str | None = Field(None, description=BASIS)
    unit: float | None = Field(None, description="As of an identification's threshold.")


class Verification(Record):
    """Verification result: whether a walker is the claimed subject."""

    verdict: Verdict = Field(description="`unknown` where the walker is not shown to be the subject.")
    reason: Reason | None = Field(description="Why the verdict is inconclusive; null otherwise.")
    subject: str
    distance: float | None = Field(description="Part-wise distance to the subject's nearest template; null if none.")
    confidence: float | None = Field(description="In [0, 1], falling with the distance; null without a calibration.")
    template: str | None = Field(description="Id of that nearest template.")
    threshold: MatchThreshold
    collection: str
    fingerprint: FingerprintText = Field(description="Of the probe, and of everything it was compared with.")
    trained: bool = Field(description="False where the network's weights are random numbers.")
    track: int = Field(description="The walker's tracklet in the probe's clip, from 1.")
    start: float = Field(description="Seconds from the clip's first video frame to the probe's first.")
    end: float = Field(description="Seconds from the clip's first video frame to the probe's last.")
    quality: Quality = Field(description="Of the probe; says what was skipped and why.")
    timings: dict[str, float] = Field(description="Seconds by stage, embed and search.")
    seen: SeenFrom | None = Field(default=None, description="Where the camera was named.")


class Erasure(Record):
    """Result of erasing a subject."""

    collection: str
    subject: str
    templates: int = Field(description="Templates erased with the subject.")
    passers_by: int = Field(
        default=0, description="Passers-by of cameras who were erased, too, as they are like one of the templates."
    )
    pending: bool = Field(description="True where the store has yet to overwrite the erased bytes on disk.")


class Removal(Record):
    """Result of deleting a template or a collection, or of removing expired data."""

    collection: str
    templates: int = Field(description="Templates removed.")
    subjects: int = Field(description="Subjects removed with their last template.")
    pending: bool = Field(description="True where the store has yet to overwrite the removed bytes on disk.")


class Promises(Record):
    """Durability of an acknowledged enrolment."""

    durable: bool = Field(description="True where it outlives a kill of the store and a power cut.")
    encrypted: bool = Field(description="True where embeddings and sequences are encrypted at rest.")
    remarks: tuple[str, ...] = Field(description="How, and what is not promised, in sentences.")


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


class AuditEntry(Record):
    """One log entry."""

    at: datetime
    actor: str = Field(description='Whoever did it, as the service or the command line names them; "local" otherwise.')
    action: Action
    collection: str
    subject: str | None = Field(
        description="HMAC-SHA256 of the subject's id, hexadecimal; null where it is about none."
    )
    templates: int = Field(description="Templates that came or went.")


class AuditReport(Record):
    """The log of a collection, and leftovers found of erased data."""

    collection: str
    entries: tuple[AuditEntry, ...] = Field(description="Oldest first.")
    erased: int = Field(description="Subjects that were erased and have not been enrolled again since.")
    left: tuple[str, ...] = Field(
        description="What was found that belongs to none of the subjects there; empty if good."
    )
    pending: bool = Field(description="True where erased bytes may still lie in the store's files.")
