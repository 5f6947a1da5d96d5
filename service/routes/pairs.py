"""Routes for two subjects who may be one person, and for their walks beside each other."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from fastapi import APIRouter, Query

from gaitkeeper.gallery.names import known_subject
from gaitkeeper.gallery.types.pairs import Merge
from gaitkeeper.service.background.replay import Replays
from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.recognition.pairs import Pairs
from gaitkeeper.service.routes.common.dependencies import (
    CollectionPath,
    EngineOf,
    IdempotencyKey,
    PageOf,
    ReplaysOf,
    SubjectPath,
    TemplatePath,
)
from gaitkeeper.service.routes.subjects import GALLERY_PROBLEMS
from gaitkeeper.service.schemas import Apart, DistancesReply, DoublesReply, OtherSubject, Silhouettes

router = APIRouter(prefix="/collections/{collection}", tags=["subjects"])

OtherQuery = Annotated[str | None, Query(description="Id of another subject, to compare the walks of both.")]


@router.get("/doubles", summary="List likely doubles", responses=problems(*GALLERY_PROBLEMS, "fingerprint_mismatch"))
def list_doubles(engine: EngineOf, collection: CollectionPath, page: PageOf) -> DoublesReply:
    """Pairs of subjects who are likely the same person, by the rule of the warning about look-alikes at enrolment."""
    return engine.doubles(collection=collection, limit=page.limit, after=page.after)


@router.post(
    "/subjects/{subject}/merge",
    summary="Merge two subjects",
    responses=problems(*GALLERY_PROBLEMS, "bad_request", "conflict", "idempotency_mismatch", "in_progress"),
)
def merge_subjects(
    engine: EngineOf,
    replays: ReplaysOf,
    collection: CollectionPath,
    subject: SubjectPath,
    given: OtherSubject,
    idempotency_key: IdempotencyKey = None,
) -> Merge:
    """Makes the other subject's templates those of this subject. The other id no longer exists. This cannot be undone.

    This subject's display name, legal basis and entries of metadata win; the other's are kept where it has none.
    """
    if idempotency_key is None:
        return engine.merge(subject, given.other, collection=collection)
    return _once(replays, idempotency_key, engine, collection, subject, given.other)


@router.post(
    "/subjects/{subject}/apart",
    summary="Tell two subjects apart",
    responses=problems(*GALLERY_PROBLEMS, "bad_request", "conflict"),
)
def tell_apart(engine: EngineOf, collection: CollectionPath, subject: SubjectPath, given: OtherSubject) -> Apart:
    """The two are different people: they are not listed as doubles until one of them is enrolled again."""
    return engine.tell_apart(subject, given.other, collection=collection)


@router.get("/subjects/{subject}/distances", summary="Compare walks", responses=problems(*GALLERY_PROBLEMS))
def compare_walks(
    engine: EngineOf, collection: CollectionPath, subject: SubjectPath, other: OtherQuery = None
) -> DistancesReply:
    """The walks of the subject, or of two subjects, and the distances between them."""
    return engine.distances(subject, other, collection=collection)


@router.get(
    "/subjects/{subject}/templates/{template}/silhouettes",
    summary="Watch a template",
    responses=problems(*GALLERY_PROBLEMS),
)
def template_silhouettes(
    engine: EngineOf, collection: CollectionPath, subject: SubjectPath, template: TemplatePath
) -> Silhouettes:
    """Consecutive silhouettes from the middle of the walk that the template was made from, to be shown moving."""
    return engine.silhouettes(subject, template, collection=collection)


def _once(replays: Replays, token: str, engine: Pairs, collection: str, subject: str, other: str) -> Merge:
    """Merge, or return the stored reply to the same request."""
    gone = known_subject(other)
    request = hashlib.sha256(json.dumps(["merge", collection, subject, gone]).encode()).digest()

    def there(name: str) -> bool:
        return name == gone or engine.has(collection, name)

    def work() -> tuple[int, Merge]:
        return 200, engine.merge(subject, gone, collection=collection)

    _, reply = replays.once(token, request, collection, work, there, Merge)
    assert isinstance(reply, Merge)
    return reply
