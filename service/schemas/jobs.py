"""Replies about jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from gaitkeeper.gallery.types import Verdict
from gaitkeeper.service.schemas.clips import EnrollReply, IdentifyReply, WalkersReply


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
