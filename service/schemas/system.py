"""Replies about the service itself: networks, load, limits, keys, sessions, health, problems."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from gaitkeeper.gallery.types import FingerprintText


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


class MqttState(BaseModel):
    """The connection to an MQTT broker."""

    broker: str = Field(description="Its address.")
    connected: bool
    problem: str | None = Field(description="One sentence, while it is not connected.")


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
    mqtt: MqttState | None = Field(description="The MQTT broker; null if none is set.")
    started: datetime
    uptime: float = Field(description="Seconds.")


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
