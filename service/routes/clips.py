"""Routes that take clips and return enrolments and identifications."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from gaitkeeper.service.background.replay import digest
from gaitkeeper.service.background.requests import ClipRequest, EnrollRequest, IdentifyRequest, LookRequest
from gaitkeeper.service.background.work import Reply
from gaitkeeper.service.http.callers import CallerOf
from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.options import ClipOptions, EnrollOptions, IdentifyRequestOptions, LookOptions, VerifyOptions
from gaitkeeper.service.recognition.clip_walkers import OpenClip
from gaitkeeper.service.recognition.parsing.walker_options import check_source
from gaitkeeper.service.routes.common.dependencies import (
    ClipFile,
    ClipFiles,
    ClipOrHandle,
    ClipRoute,
    EngineOf,
    IdempotencyKey,
    JobsOf,
    Prefer,
    Queue,
    ReplaysOf,
    SubjectField,
    SubjectOrSubjects,
    WorkOf,
)
from gaitkeeper.service.routes.common.option_fields import form
from gaitkeeper.service.routes.common.tables import TEXT, csv_response, wants_csv
from gaitkeeper.service.schemas import (
    EnrollReply,
    IdentifyReply,
    JobReply,
    LearnReply,
    VerifyReply,
    WalkersReply,
    spreadsheet,
)

# Clips are stored on disk. Fields stay in memory, because they are few and short.
FIELDS: Any = {"max_files": 17, "max_fields": 100, "max_part_size": 2**14}
router = APIRouter(tags=["clips"], route_class=ClipRoute, form_limits=FIELDS)

JOB: dict[str, Any] = {
    "description": "The clip became a job, as requested or because it is long. `Location` is the job's address.",
    "model": JobReply,
}


class Asked:
    """Processing mode of a clip request: at once or as a job, and once for each ``Idempotency-Key``."""

    def __init__(
        self,
        work: WorkOf,
        queue: Queue,
        replays: ReplaysOf,
        jobs: JobsOf,
        caller: CallerOf,
        request: Request,
        prefer: Prefer = None,
    ) -> None:
        self._work, self._queue, self._replays, self._jobs = work, queue, replays, jobs
        self._caller, self._root = caller, request.scope.get("root_path", "")
        self._later = "respond-async" in (prefer or "").lower()

    async def answer(
        self, request: ClipRequest, clips: Sequence[OpenClip], response: Response, token: str | None = None
    ) -> Any:
        """The reply, with its status set, or a response if the clip has become a job. Several clips never become
        a job, and neither does a handle, which stands for no clip to process.

        Args:
            request: what to do.
            clips: the clips; none with a handle.
            response: gets the status.
            token: the Idempotency-Key, if there is one.

        Raises:
            InvalidRequest: something is missing or given in two ways.
        """
        self._work.check_parts(request, len(clips))
        end = time.monotonic() + self._work.engine.settings.deadline
        once = partial(self._once, request, clips, end, token)
        if (self._later or request.needs_job) and len(clips) == 1:
            status, reply = await anyio.to_thread.run_sync(once)
        else:
            status, reply = await self._queue.run(once, deadline=end, caller=self._caller)
        if isinstance(reply, JobReply):
            return JSONResponse(reply.model_dump(mode="json"), status, {"Location": f"{self._root}/jobs/{reply.id}"})
        response.status_code = status
        return reply

    def _once(
        self, request: ClipRequest, clips: Sequence[OpenClip], end: float, token: str | None
    ) -> tuple[int, Reply]:
        if token is None:
            return self._done(request, clips, end)
        collection = request.options["collection"]
        there = partial(self._work.engine.has, collection)
        work = partial(self._done, request, clips, end)
        return self._replays.once(token, digest(request, clips), collection, work, there, request.reply)

    def _done(self, request: ClipRequest, clips: Sequence[OpenClip], end: float) -> tuple[int, Reply]:
        clip, more = (clips[0], clips[1:]) if clips else (None, ())
        later = self._later or request.needs_job
        if clip is not None and not more and (later or self._work.is_long(clip, end)):
            self._work.check(request)
            if not later:
                self._caller.require()  # create no job if the caller has disconnected
            collection = request.options["collection"]
            return 202, self._jobs.submit(request.kind, clip.file, request.fields, collection, clip.name)
        return self._work.do(request, clip, self._caller.tell, deadline=end, more=more)


AskedOf = Annotated[Asked, Depends()]


def _opened(*clips: UploadFile) -> list[OpenClip]:
    return [OpenClip(one.file, one.filename) for one in clips]


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
LOOK_PROBLEMS = tuple(
    code for code in CLIP_PROBLEMS if code not in ("idempotency_mismatch", "in_progress", "unknown_network")
)
"""Of a look at a clip, which uses no network and is not repeated by an idempotency key."""
HANDLE_PROBLEMS = ("unknown_handle", "track_not_found")


@router.post(
    "/enroll",
    status_code=201,
    response_model=EnrollReply,
    summary="Enrol the person who walks in a clip, or several",
    responses={
        201: {"description": "Enrolled, and durable."},
        200: {
            "description": "This walk of this subject was enrolled before; the reply contains its template.",
            "model": EnrollReply,
        },
        202: JOB,
        **problems(
            *CLIP_PROBLEMS,
            *HANDLE_PROBLEMS,
            "multiple_people",
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
    options: Annotated[EnrollOptions, Depends(form(EnrollOptions))],
    clip: ClipFiles = [],  # noqa: B006  # the framework makes the schema of it, and does not change it
    subject: SubjectOrSubjects = None,
    idempotency_key: IdempotencyKey = None,
) -> EnrollReply | Response:
    """Enrols one walker from each clip, or none if a clip cannot be used. If a clip has several walkers, choose one by
    `track` or `point`, or say by `subjects` who each is; the reply `multiple_people` lists them with a picture each.
    `warning` names another subject that the walker matches. A `handle` stands for a clip that was looked at before.
    """
    request = EnrollRequest(subject, options)
    reply: EnrollReply | Response = await asked.answer(request, _opened(*clip), response, idempotency_key)
    return reply


@router.post(
    "/identify",
    response_model=IdentifyReply,
    summary="Identify everybody who walks in a clip",
    responses={
        200: {"content": {spreadsheet.MEDIA_TYPE: TEXT}},
        202: JOB,
        **problems(*CLIP_PROBLEMS, *HANDLE_PROBLEMS, "bad_fpir", "bad_subject", "not_found"),
    },
)
async def identify(
    asked: AskedOf,
    request: Request,
    response: Response,
    options: Annotated[IdentifyRequestOptions, Depends(form(IdentifyRequestOptions))],
    clip: ClipOrHandle = None,
    idempotency_key: IdempotencyKey = None,
) -> IdentifyReply | Response:
    """Every walker, or the chosen one, gets a verdict (`match`, `unknown`, or `inconclusive` with a reason) and ranked
    candidates. A `handle` stands for a clip that was looked at before. With `Accept: text/csv` the reply is a table.
    """
    clips = _opened() if clip is None else _opened(clip)
    reply: IdentifyReply | Response = await asked.answer(IdentifyRequest(options), clips, response, idempotency_key)
    if isinstance(reply, IdentifyReply) and wants_csv(request.headers.get("accept", "")):
        return csv_response(reply)
    return reply


@router.post(
    "/walkers",
    response_model=WalkersReply,
    summary="Find the walkers of a clip",
    responses={
        202: JOB,
        **problems(*LOOK_PROBLEMS),
    },
)
async def walkers(
    asked: AskedOf,
    response: Response,
    clip: ClipFile,
    options: Annotated[LookOptions, Depends(form(LookOptions))],
) -> WalkersReply | Response:
    """Lists the walkers with a thumbnail each, and says who cannot be enrolled and why. Compares them with no one. The
    walkers are kept in memory for some minutes: the `handle` stands for the clip in `/enroll`, `/identify` and
    `/verify`, for the same key.
    """
    reply: WalkersReply | Response = await asked.answer(LookRequest(options), _opened(clip), response)
    return reply


@router.post(
    "/learn",
    summary="Learn about a camera from the walkers of a clip",
    responses=problems(
        *LOOK_PROBLEMS,
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
        *HANDLE_PROBLEMS,
        "multiple_people",
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
    subject: SubjectField,
    options: Annotated[VerifyOptions, Depends(form(VerifyOptions))],
    clip: ClipOrHandle = None,
) -> VerifyReply:
    """Compares one walker with one subject: `match`, `unknown` if the walker does not match the subject, or
    `inconclusive` with a reason. A `handle` stands for a clip that was looked at before.
    """
    check_source(clip is not None, options["handle"], options["rotate"])
    end = time.monotonic() + engine.settings.deadline
    source = None if clip is None else clip.file
    work = partial(engine.verify, source, subject, on_progress=caller.tell, deadline=end, **options)
    return await queue.run(work, deadline=end, caller=caller)
