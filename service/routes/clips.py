"""The front door: clips in, enrolments and identifications out."""

from __future__ import annotations

import time

from fastapi import APIRouter, Response

from service.dependencies import (
    ClipFile,
    ClipRoute,
    CollectionField,
    EngineOf,
    Fpir,
    Queue,
    SubjectField,
    TopK,
    TrackField,
)
from service.openapi import problems
from service.schemas import EnrollReply, IdentifyReply

router = APIRouter(tags=["clips"], route_class=ClipRoute)

CLIP_PROBLEMS = (
    "bad_request",
    "too_large",
    "empty_upload",
    "unsupported_media",
    "undecodable",
    "no_video",
    "too_short",
    "no_person",
    "cut_off",
    "bad_collection",
    "fingerprint_mismatch",
    "overloaded",
    "deadline",
    "upload_timeout",
    "sandbox_unavailable",
    "store_unavailable",
    "weights_missing",
)


@router.post(
    "/enroll",
    status_code=201,
    summary="Enrol the person who walks in a clip",
    responses={
        201: {"description": "Enrolled, and durable."},
        200: {
            "description": "This walk of this subject was enrolled before; its template is given again.",
            "model": EnrollReply,
        },
        **problems(*CLIP_PROBLEMS, "multiple_people", "track_not_found", "bad_subject", "clip_of_other_subject"),
    },
)
async def enroll(
    engine: EngineOf,
    queue: Queue,
    response: Response,
    clip: ClipFile,
    subject: SubjectField,
    track: TrackField = None,
    collection: CollectionField = "default",
) -> EnrollReply:
    """Exactly one walker is enrolled. Where several walk in the clip, name one by `track`: the reply
    `multiple_people` lists them with a picture each."""
    end = time.monotonic() + engine.settings.deadline
    reply = await queue.run(
        lambda: engine.enroll(clip.file, subject, track=track, collection=collection, deadline=end), deadline=end
    )
    if reply.template.duplicate:
        response.status_code = 200
    return reply


@router.post(
    "/identify",
    summary="Name everybody who walks in a clip",
    responses=problems(*CLIP_PROBLEMS, "bad_fpir", "not_found"),
)
async def identify(
    engine: EngineOf,
    queue: Queue,
    clip: ClipFile,
    top_k: TopK = 5,
    fpir: Fpir = 0.01,
    collection: CollectionField = "default",
) -> IdentifyReply:
    """Every walker gets a verdict (`match`, `unknown`, or `inconclusive` with a reason) and ranked candidates."""
    end = time.monotonic() + engine.settings.deadline
    return await queue.run(
        lambda: engine.identify(clip.file, top_k=top_k, fpir=fpir, collection=collection, deadline=end), deadline=end
    )
