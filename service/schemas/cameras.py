"""Requests and replies about cameras that the service runs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gaitkeeper.gallery.types import Verdict
from gaitkeeper.service.options import Rotation

CameraStateName = Literal["starting", "running", "reconnecting", "stopped", "failed", "elsewhere"]

_SOURCE = (
    "`rtsp://`, `rtsps://`, `http://` or `https://` and the address, without user and password; a file on the "
    "service's machine; or the number of a webcam. It must be listed in `GAITKEEPER_LIVE_SOURCES`. Of an ONVIF camera "
    "take the RTSP address that it gives."
)
_NAMED = (
    "Name of the secret that holds the camera's `user:password`: a file in the folder `GAITKEEPER_SECRETS`, or the "
    "variable `GAITKEEPER_SECRET_` and the name in capitals."
)
_ROTATE = "Degrees by which to turn the pictures clockwise; null for the value in `GAITKEEPER_CAMERA_ROTATE`."
_FPIR = "False-positive identification rate of the threshold."
_WHERE = "Metadata that a subject must have to be a candidate."


class NewCamera(BaseModel):
    """A camera to add."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(description="1 to 64 ASCII letters, digits, `_`, `-` and `.`.", examples=["north-door"])
    source: str = Field(max_length=2000, description=_SOURCE, examples=["rtsp://door.example/main"])
    secret: str | None = Field(None, description=_NAMED, examples=["north_door"])
    collection: str = Field("default", description="Collection whose subjects are looked for.")
    rotate: Rotation | None = Field(None, description=_ROTATE)
    fpir: float = Field(0.01, gt=0, lt=1, description=_FPIR)
    where: dict[str, str] = Field({}, description=_WHERE)
    on: bool = Field(True, description="Whether the service runs it.")


class CameraChange(BaseModel):
    """Changes to a camera. Fields that are left out keep their value."""

    model_config = ConfigDict(extra="forbid", strict=True)

    source: str | None = Field(None, max_length=2000, description=_SOURCE)
    secret: str | None = Field(None, description=f"{_NAMED} An explicit null removes it.")
    collection: str | None = Field(None, description="Collection whose subjects are looked for.")
    rotate: Rotation | None = Field(None, description=_ROTATE)
    fpir: float | None = Field(None, gt=0, lt=1, description=_FPIR)
    where: dict[str, str] | None = Field(None, description=_WHERE)
    on: bool | None = Field(None, description="Whether the service runs it.")


class CameraVerdict(BaseModel):
    """A verdict on a person in front of a camera."""

    at: datetime
    verdict: Verdict
    subject: str | None = Field(description="The matched subject; null for an unknown walker.")
    confidence: float | None
    track: int


class Camera(BaseModel):
    """A camera that the service runs, and what it does now."""

    name: str
    source: str = Field(description="Without user and password.")
    secret: str | None = Field(description="Name of its secret, never its content.")
    collection: str
    rotate: Rotation | None
    fpir: float
    where: dict[str, str]
    on: bool
    created: datetime
    state: CameraStateName = Field(
        description="`starting`: no picture came yet; `running`; `reconnecting`: it is lost and looked for; `stopped`: "
        "it is off, or its file has ended; `failed`: see `code`; `elsewhere`: another process of this service runs it."
    )
    code: str | None = Field(description="Code of the error, where it failed or is lost.")
    detail: str | None = Field(description="One sentence about it.")
    since: datetime | None = Field(description="When the state began.")
    rate: float = Field(description="Frames a second that come from it now.")
    frames: int = Field(description="Frames that were looked at since it was started.")
    dropped: int = Field(description="Frames that were not.")
    people: int = Field(description="People in the latest picture.")
    picture: datetime | None = Field(description="Time of the latest picture, which `/cameras/{name}/picture` shows.")
    verdicts: list[CameraVerdict] = Field(description="The latest ten, newest first.")
    learnt: str = Field(description="Address of what its collection has learnt about cameras.")


class CameraList(BaseModel):
    """The cameras of the caller's collections, by name."""

    cameras: list[Camera]


class RemovedCamera(BaseModel):
    """The camera that was removed."""

    name: str
