"""Routes for jobs: clips that are processed after their request was answered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path, Response, WebSocket
from fastapi.responses import FileResponse

from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.service.auth.access import require_collection
from gaitkeeper.service.background.jobs import Jobs
from gaitkeeper.service.errors import UnknownField
from gaitkeeper.service.http.admission import refuse
from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.http.sockets import Channel, opened
from gaitkeeper.service.http.unknown_fields import refuse_unknown
from gaitkeeper.service.routes.common.dependencies import JobsOf, JobsPageOf
from gaitkeeper.service.routes.common.tables import TEXT, csv_response
from gaitkeeper.service.schemas import IdentifyReply, JobReply, JobsReply, JobState
from gaitkeeper.service.schemas.spreadsheet import MEDIA_TYPE

router = APIRouter(prefix="/jobs", tags=["jobs"])

JobPath = Annotated[str, Path(description="Id of the job.", examples=["0c8b6f1e6f5f4f7d9a3b2c1d0e9f8a7b"])]

FILE = {"schema": {"type": "string", "format": "binary"}}
"""A file in the OpenAPI document."""

AT_MOST_EVERY = 0.1
"""Minimum seconds between two events of one job."""
CHECK_EVERY = 5.0
"""Seconds between two checks that the key is still valid."""


@router.get("", summary="List your jobs", responses=problems("store_unavailable"))
def list_jobs(jobs: JobsOf, page: JobsPageOf) -> JobsReply:
    """Lists the jobs of the caller's key, newest first, in pages, without their results."""
    if page.collection is not None:
        require_collection(page.collection)
    return jobs.page(page.limit, page.after, page.collection)


@router.get("/{job}", summary="How a job stands", responses=problems("not_found", "store_unavailable"))
def show_job(jobs: JobsOf, response: Response, job: JobPath) -> JobReply:
    """State and progress. After the end of the job, also the reply or problem document of the request."""
    reply = jobs.show(job)
    if reply.ended is None:
        response.headers["Retry-After"] = "1"
    return reply


@router.get(
    "/{job}/annotated.mp4",
    summary="The clip of a job with boxes, names and verdicts",
    response_class=FileResponse,
    responses={200: {"content": {"video/mp4": FILE}}, **problems("not_found", "store_unavailable")},
)
def show_annotated_clip(jobs: JobsOf, job: JobPath) -> FileResponse:
    """H.264 in MP4, of an identification with `annotate`. Kept as long as the job's result."""
    return FileResponse(jobs.annotated(job), media_type="video/mp4", filename=f"{job}.mp4")


@router.get(
    "/{job}/people.csv",
    summary="The walkers of a job as a table",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: TEXT}}, **problems("not_found", "store_unavailable")},
)
def show_people_table(jobs: JobsOf, job: JobPath) -> Response:
    """A row for each candidate of each walker, of an identification that is done."""
    reply = jobs.show(job).result
    if not isinstance(reply, IdentifyReply):
        raise NotFound(f"The job {job!r} has no walkers: it is no identification, or is not done.")
    return csv_response(reply, f"{job}.csv")


@router.delete("/{job}", summary="Cancel a job", responses=problems("not_found", "store_unavailable"))
def cancel_job(jobs: JobsOf, job: JobPath) -> JobReply:
    """Cancels a queued job at once, a running one at its next frame. A job that has ended is unchanged."""
    return jobs.cancel(job)


@router.websocket("/{job}/events")
async def job_events(socket: WebSocket, job: str) -> None:
    """Sends the event ``job`` whenever the job's state changes. The last event contains the result; then the socket is
    closed.
    """
    try:
        refuse_unknown(socket.query_params, ())
    except UnknownField as error:
        await refuse(error, socket.scope, socket.receive, socket.send)
        return
    async with opened(socket) as channel:
        jobs: Jobs = socket.app.state.jobs
        await channel.while_there(_tell(channel, jobs, job))


async def _tell(channel: Channel, jobs: Jobs, job: str) -> None:
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    told: JobState | None = None

    def notify() -> None:
        with suppress(RuntimeError):  # the service is ending, so there is no listener
            loop.call_soon_threadsafe(changed.set)

    await anyio.to_thread.run_sync(jobs.show, job)  # raises if the job belongs to another caller
    with jobs.listening(job, notify):
        while True:
            changed.clear()
            reply = await anyio.to_thread.run_sync(jobs.show, job)
            if reply.ended is not None:
                await channel.send("job", reply)
                return
            stands = JobState(**dict(reply))
            if stands != told:
                await channel.send("job", stands)
                told = stands
            await asyncio.sleep(AT_MOST_EVERY)
            while not changed.is_set():
                await anyio.to_thread.run_sync(channel.check)
                try:
                    await asyncio.wait_for(changed.wait(), CHECK_EVERY)
                except TimeoutError:
                    continue
