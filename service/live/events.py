"""Messages of a live stream: the header of a frame, and the events sent back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from gaitkeeper.gallery.types import Identification, Verdict
from gaitkeeper.pipelines.pictures import Codec

DropReason = Literal[
    "late", "no_credit", "rate", "thinned", "not_rising", "undecodable", "too_large", "no_picture", "closed"
]


class FrameHeader(BaseModel):
    """The text message before every binary one."""

    model_config = ConfigDict(extra="forbid")

    t: float = Field(ge=0, le=1e12, allow_inf_nan=False, description="Seconds, on a clock of the sender's choice.")
    seq: int = Field(ge=0, lt=2**53, description="The frame's number, by which it is reported.")
    codec: Codec = Field(description="`jpeg`, or `h264`: an access unit in Annex B. The same for the whole stream.")


class EndHeader(BaseModel):
    """The last text message: the caller sends no more frames."""

    model_config = ConfigDict(extra="forbid")

    end: Literal[True]


class Shown(BaseModel):
    """The name shown for a track. It changes more slowly than the verdicts on single windows."""

    verdict: Verdict = Verdict.INCONCLUSIVE
    reason: str | None = Field(
        "too_short",
        description="Why it is inconclusive: as of a clip, or `standing`, `unconfirmed`, `likeness_changed`.",
    )
    subject: str | None = Field(None, description="Who it is, of a match.")
    confidence: float | None = Field(None, description="Of the last window that said so, in [0, 1].")


class Person(BaseModel):
    """A person in a frame."""

    track: int = Field(description="Number of the track in the stream, from 1, in order of appearance.")
    box: tuple[float, float, float, float] = Field(description="x1, y1, x2, y2 in pixels.")
    score: float = Field(description="Confidence that this is a person, in [0, 1].")
    gait: float = Field(description="Seconds of gait seen in the window.")
    usable: bool = Field(description="False where this frame says nothing about the gait.")
    shown: Shown


class Tracks(BaseModel):
    """All people in a frame."""

    event: Literal["tracks"] = "tracks"
    seq: int
    t: float
    width: int = Field(description="Of the picture, in pixels.")
    height: int = Field(description="Of the picture, in pixels.")
    latency: float = Field(description="Seconds from the frame's coming to this event.")
    people: list[Person]
    ended: list[int] = Field(description="Tracks that have ended.")


class VerdictEvent(BaseModel):
    """The verdict on a window, or the withdrawal of a name."""

    event: Literal["verdict"] = "verdict"
    track: int
    t: float = Field(description="Of the window's last frame, on the sender's clock.")
    latency: float | None = Field(description="Seconds from that frame's coming to this event.")
    gait: float = Field(description="Seconds of gait in the window.")
    shown: Shown
    changed: bool = Field(description="Whether what is shown has changed.")
    final: bool = Field(description="True where the track has ended. Then the window is the whole track.")
    person: Identification | None = Field(description="This window alone; null where it was too short to be judged.")


class Dropped(BaseModel):
    """Frames that were not processed."""

    event: Literal["dropped"] = "dropped"
    reason: DropReason
    frames: list[int] = Field(description="Their `seq`.")


class Segment(BaseModel):
    """The sender's clock has jumped back. All tracks end, and the following frames start a new segment."""

    event: Literal["segment"] = "segment"
    seq: int = Field(description="The first frame after the jump.")
    t: float = Field(description="Its time, in seconds.")
    before: float = Field(description="The time of the last frame before the jump, in seconds.")


class SourceEvent(BaseModel):
    """A watched camera was lost, or is back. The watching program creates this event, not the service."""

    event: Literal["source"] = "source"
    state: Literal["lost", "back"]
    tries: int = Field(description="Tries to open it again, the coming one among them.")
    wait: float | None = Field(description="Seconds until that one; null where the camera is back.")
    detail: str = Field(description="A sentence that says why.")


class Credit(BaseModel):
    """Permission to send this number of further frames."""

    event: Literal["credit"] = "credit"
    frames: int


class ErrorEvent(BaseModel):
    """A problem document. The stream continues only if ``fatal`` is false."""

    model_config = ConfigDict(extra="allow")

    event: Literal["error"] = "error"
    fatal: bool = True
    code: str
    status: int
    title: str
    detail: str

    @property
    def document(self) -> dict[str, Any]:
        """The problem document."""
        return self.model_dump(exclude={"event", "fatal"})


Event = Annotated[
    Tracks | VerdictEvent | Dropped | Segment | SourceEvent | Credit | ErrorEvent, Field(discriminator="event")
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
