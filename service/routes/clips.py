"""Routes that take clips and return enrolments and identifications."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import JSONResponse

from gaitkeeper.service import spreadsheet
from gaitkeeper.service.background.replay import digest
from gaitkeeper.service.background.requests import ClipRequest, EnrollRequest, IdentifyRequest
from gaitkeeper.service.background.work import Reply
from gaitkeeper.service.http.callers import CallerOf
from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.options import ClipOptions, EnrollOptions, IdentifyRequestOptions, VerifyOptions
from gaitkeeper.service.recognition.clip_walkers import OpenClip
from gaitkeeper.service.routes.dependencies import (
    ClipFile,
    ClipFiles,
    ClipRoute,
    EngineOf,
    IdempotencyKey,
    JobsOf,
    Prefer,
    Queue,
    ReplaysOf,
    SubjectField,
    WorkOf,
)
from gaitkeeper.service.routes.option_fields import form
from gaitkeeper.service.routes.tables import TEXT, csv_response, wants_csv
from gaitkeeper.service.schemas import EnrollReply, IdentifyReply, JobReply, LearnReply, VerifyReply

# Clips are stored on disk. Fields stay in memory, because they are few and short.
FIELDS: Any = {"max_files": 17, "max_fields": 100, "max_part_size": 2**14}
router = APIRouter(tags=["clips"], route_class=ClipRoute, form_limits=FIELDS)

JOB: dict[str, Any] = {
    "description": "The clip became a job, as requested or because it is long. `Location` is the job's address.",
    "model": JobReply,
}


class Asked:
    """Processing mode of a clip request: idempotent or not, at once or as a job."""

    def __init__(
        self,
        work: WorkOf,
        queue: Queue,
        replays: ReplaysOf,
        jobs: JobsOf,
        caller: CallerOf,
        request: Request,
        idempotency_key: IdempotencyKey = None,
        prefer: Prefer = None,
    ) -> None:
        self._work, self._queue, self._replays, self._jobs = work, queue, replays, jobs
        self._caller, self._root = caller, request.scope.get("root_path", "")
        self._token = idempotency_key
        self._later = "respond-async" in (prefer or "").lower()

    async def answer(
        self, request: ClipRequest, clip: OpenClip, response: Response, more: Sequence[OpenClip] = ()
    ) -> Any:
        """The reply, with its status set, or a response if the clip has become a job. Several clips never become
        a job.
        """
        end = time.monotonic() + self._work.engine.settings.deadline
        if (self._later or request.needs_job) and not more:
            status, reply = await anyio.to_thread.run_sync(self._once, request, clip, end)
        else:
            status, reply = await self._queue.run(
                self._once, request, clip, end, more, deadline=end, caller=self._caller
            )
        if isinstance(reply, JobReply):
            return JSONResponse(reply.model_dump(mode="json"), status, {"Location": f"{self._root}/jobs/{reply.id}"})
        response.status_code = status
        return reply

    def _once(
        self, request: ClipRequest, clip: OpenClip, end: float, more: Sequence[OpenClip] = ()
    ) -> tuple[int, Reply]:
        if self._token is None:
            return self._done(request, clip, end, more)
        collection = request.options["collection"]
        there = partial(self._work.engine.has, collection)
        work = partial(self._done, request, clip, end, more)
        return self._replays.once(self._token, digest(request, (clip, *more)), collection, work, there, request.reply)

    def _done(self, request: ClipRequest, clip: OpenClip, end: float, more: Sequence[OpenClip]) -> tuple[int, Reply]:
        later = self._later or request.needs_job
        if not more and (later or self._work.is_long(clip, end)):
            self._work.check(request)
            if not later:
                self._caller.require()  # create no job if the caller has disconnected
            collection = request.options["collection"]
            return 202, self._jobs.submit(request.kind, clip.file, request.fields, collection, clip.name)
        return self._work.do(request, clip, self._caller.tell, deadline=end, more=more)


AskedOf = Annotated[Asked, Depends()]

CLIP_PROBLEMS = (
    "bad_request",
    "not_multipart",
    "too_large",
    "empty_upload",
    "unsupported_media",
    "undecodable",
    "no_video",
    "too_short",
    "no_person",
    "cut_off",
    "not_upright",
    "bad_collection",
    "bad_camera",
    "fingerprint_mismatch",
    "overloaded",
    "deadline",
    "upload_timeout",
    "idempotency_mismatch",
    "in_progress",
    "sandbox_unavailable",
    "nvdec_unavailable",
    "store_unavailable",
    "weights_missing",
    "unknown_network",
)


@router.post(
    "/enroll",
    status_code=201,
    response_model=EnrollReply,
    summary="Enrol the person who walks in a clip",
    responses={
        201: {"description": "Enrolled, and durable."},
        200: {
            "description": "This walk of this subject was enrolled before; the reply contains its template.",
            "model": EnrollReply,
        },
        202: JOB,
        **problems(
            *CLIP_PROBLEMS,
            "multiple_people",
            "track_not_found",
            "poor_quality",
            "likeness_changed",
            "bad_subject",
            "clip_of_other_subject",
            "looks_like_other_subject",
        ),
    },
)
async def enroll(
    asked: AskedOf,
    response: Response,
    clip: ClipFiles,
    subject: SubjectField,
    options: Annotated[EnrollOptions, Depends(form(EnrollOptions))],
) -> EnrollReply | Response:
    """Enrols one walker from each clip, or none if a clip cannot be used. If a clip has several walkers, choose one by
    `track` or `point`: the reply `multiple_people` lists them with a picture each. `warning` names another subject that
    the walker matches.
    """
    first, *more = (OpenClip(one.file, one.filename) for one in clip)
    reply: EnrollReply | Response = await asked.answer(EnrollRequest(subject, options), first, response, more)
    return reply


@router.post(
    "/identify",
    response_model=IdentifyReply,
    summary="Identify everybody who walks in a clip",
    responses={
        200: {"content": {spreadsheet.MEDIA_TYPE: TEXT}},
        202: JOB,
        **problems(*CLIP_PROBLEMS, "bad_fpir", "bad_subject", "not_found"),
    },
)
async def identify(
    asked: AskedOf,
    request: Request,
    response: Response,
    clip: ClipFile,
    options: Annotated[IdentifyRequestOptions, Depends(form(IdentifyRequestOptions))],
) -> IdentifyReply | Response:
    """Every walker gets a verdict (`match`, `unknown`, or `inconclusive` with a reason) and ranked candidates. With
    `Accept: text/csv` the reply is a table.
    """
    reply: IdentifyReply | Response = await asked.answer(
        IdentifyRequest(options), OpenClip(clip.file, clip.filename), response
    )
    if isinstance(reply, IdentifyReply) and wants_csv(request.headers.get("accept", "")):
        return csv_response(reply)
    return reply


@router.post(
    "/learn",
    summary="Learn about a camera from the walkers of a clip",
    responses=problems(
        *(code for code in CLIP_PROBLEMS if code not in ("idempotency_mismatch", "in_progress", "unknown_network")),
        "conflict",
        "not_found",
    ),
)
async def learn(
    engine: EngineOf,
    queue: Queue,
    caller: CallerOf,
    clip: ClipFile,
    camera: Annotated[str, Form(description="Name of the camera that recorded the clip.", examples=["north-door"])],
    options: Annotated[ClipOptions, Depends(form(ClipOptions))],
) -> LearnReply:
    """Keeps walkers of sufficient quality as passers-by of the camera, without identifying them. `conflict` if the
    collection does not keep passers-by.
    """
    end = time.monotonic() + engine.settings.deadline
    work = partial(engine.learn, clip.file, camera, on_progress=caller.tell, deadline=end, **options)
    return await queue.run(work, deadline=end, caller=caller)


@router.post(
    "/verify",
    summary="Verify that the person who walks in a clip is the claimed subject",
    responses=problems(
        *(code for code in CLIP_PROBLEMS if code not in ("idempotency_mismatch", "in_progress")),
        "multiple_people",
        "track_not_found",
        "poor_quality",
        "bad_fmr",
        "bad_subject",
        "not_found",
    ),
)
async def verify(
    engine: EngineOf,
    queue: Queue,
    caller: CallerOf,
    clip: ClipFile,
    subject: SubjectField,
    options: Annotated[VerifyOptions, Depends(form(VerifyOptions))],
) -> VerifyReply:
    """Compares one walker with one subject: `match`, `unknown` if the walker does not match the subject, or
    `inconclusive` with a reason.
    """
    end = time.monotonic() + engine.settings.deadline
    work = partial(engine.verify, clip.file, subject, on_progress=caller.tell, deadline=end, **options)
    return await queue.run(work, deadline=end, caller=caller)
