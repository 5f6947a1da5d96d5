"""The front door: clips in, enrolments and identifications out."""

from __future__ import annotations

import time
from functools import partial

from fastapi import APIRouter, Response

from service.dependencies import (
    ClipFile,
    ClipRoute,
    CollectionField,
    EngineOf,
    Fpir,
    IdempotencyKey,
    MetricsOf,
    Queue,
    ReplaysOf,
    SubjectField,
    TopK,
    TrackField,
)
from service.openapi import problems
from service.replay import digest
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
    "idempotency_mismatch",
    "in_progress",
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
    replays: ReplaysOf,
    metrics: MetricsOf,
    response: Response,
    clip: ClipFile,
    subject: SubjectField,
    track: TrackField = None,
    collection: CollectionField = "default",
    idempotency_key: IdempotencyKey = None,
) -> EnrollReply:
    """Exactly one walker is enrolled. Where several walk in the clip, name one by `track`: the reply
    `multiple_people` lists them with a picture each."""
    end = time.monotonic() + engine.settings.deadline

    def work() -> tuple[int, EnrollReply]:
        reply = engine.enroll(clip.file, subject, track=track, collection=collection, deadline=end)
        metrics.enrolled(reply)
        return 200 if reply.template.duplicate else 201, reply

    def once() -> tuple[int, EnrollReply]:
        if idempotency_key is None:
            return work()
        request = digest("enroll", {"subject": subject, "track": track, "collection": collection}, clip.file)
        there = partial(engine.has, collection)
        return replays.once(idempotency_key, request, collection, work, _enrolled, there, EnrollReply)

    response.status_code, reply = await queue.run(once, deadline=end)
    return reply


@router.post(
    "/identify",
    summary="Name everybody who walks in a clip",
    responses=problems(*CLIP_PROBLEMS, "bad_fpir", "not_found"),
)
async def identify(
    engine: EngineOf,
    queue: Queue,
    replays: ReplaysOf,
    metrics: MetricsOf,
    clip: ClipFile,
    top_k: TopK = 5,
    fpir: Fpir = 0.01,
    collection: CollectionField = "default",
    idempotency_key: IdempotencyKey = None,
) -> IdentifyReply:
    """Every walker gets a verdict (`match`, `unknown`, or `inconclusive` with a reason) and ranked candidates."""
    end = time.monotonic() + engine.settings.deadline

    def work() -> tuple[int, IdentifyReply]:
        reply = engine.identify(clip.file, top_k=top_k, fpir=fpir, collection=collection, deadline=end)
        metrics.identified(reply)
        return 200, reply

    def once() -> tuple[int, IdentifyReply]:
        if idempotency_key is None:
            return work()
        request = digest("identify", {"top_k": top_k, "fpir": fpir, "collection": collection}, clip.file)
        there = partial(engine.has, collection)
        return replays.once(idempotency_key, request, collection, work, _candidates, there, IdentifyReply)

    return (await queue.run(once, deadline=end))[1]


def _enrolled(reply: EnrollReply) -> list[str]:
    return [reply.template.subject]


def _candidates(reply: IdentifyReply) -> list[str]:
    return [candidate.subject for person in reply.people for candidate in person.candidates]
