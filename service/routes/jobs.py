"""Jobs: clips that are worked on after their request was answered."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from service.dependencies import JobsOf
from service.openapi import problems
from service.schemas import JobReply

router = APIRouter(prefix="/jobs", tags=["jobs"])

JobPath = Annotated[str, Path(description="Id of the job.", examples=["0c8b6f1e6f5f4f7d9a3b2c1d0e9f8a7b"])]


@router.get("/{job}", summary="How a job stands", responses=problems("not_found", "store_unavailable"))
def show_job(jobs: JobsOf, response: Response, job: JobPath) -> JobReply:
    """State and progress; once it has ended, the reply or the problem that the request would have got."""
    reply = jobs.show(job)
    if reply.ended is None:
        response.headers["Retry-After"] = "1"
    return reply


@router.delete("/{job}", summary="Cancel a job", responses=problems("not_found", "store_unavailable"))
def cancel_job(jobs: JobsOf, job: JobPath) -> JobReply:
    """A waiting job is cancelled at once, a running one at its next frame; one that has ended stays as it is."""
    return jobs.cancel(job)
