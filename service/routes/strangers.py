"""Routes for strangers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.routes.common.dependencies import CollectionPath, EngineOf
from gaitkeeper.service.schemas import KeepStrangers, NamedReply, NewName, Removal, StrangersReply, Strips

router = APIRouter(prefix="/collections/{collection}/strangers", tags=["strangers"])

STORE_PROBLEMS = ("not_found", "bad_collection", "store_unavailable", "bad_store")
GroupPath = Annotated[str, Path(description="Id of the group.", examples=["3f1c9a0b7d5e2468"])]
StrangerPath = Annotated[str, Path(description="Id of the stranger.", examples=["9c0d4f0e1c7b4a4c8b59f2f1f2a9f0c3"])]


@router.get("", summary="List the strangers", responses=problems(*STORE_PROBLEMS))
def list_strangers(engine: EngineOf, collection: CollectionPath) -> StrangersReply:
    """Unknown walkers, grouped by similarity, most recently seen first. At most 1,000 are kept."""
    return engine.strangers(collection=collection)


@router.put("", summary="Keep strangers, or not", responses=problems(*STORE_PROBLEMS, "bad_request"))
def keep_strangers(engine: EngineOf, collection: CollectionPath, keep: KeepStrangers) -> StrangersReply:
    """Off by default. Applies to future unknown walkers. Turning it off deletes all kept ones."""
    return engine.keep_strangers(keep.keep_seconds, collection=collection)


@router.delete("", summary="Forget all strangers", responses=problems(*STORE_PROBLEMS))
def forget_all(engine: EngineOf, collection: CollectionPath) -> Removal:
    """Deletes all strangers. Those of later clips are kept again."""
    return engine.forget_strangers(collection=collection)


@router.post(
    "/{group}",
    status_code=201,
    summary="Name a group of strangers",
    responses=problems(
        *STORE_PROBLEMS,
        "bad_request",
        "bad_subject",
        "too_short",
        "poor_quality",
        "not_upright",
        "likeness_changed",
        "clip_of_other_subject",
        "fingerprint_mismatch",
    ),
)
def name_strangers(engine: EngineOf, collection: CollectionPath, group: GroupPath, name: NewName) -> NamedReply:
    """Enrols all strangers of the group as one subject. If the group has grown since, the reply is `not_found`."""
    return engine.name_strangers(group, name.subject, display_name=name.display_name, collection=collection)


@router.delete("/{group}", summary="Forget a group of strangers", responses=problems(*STORE_PROBLEMS))
def forget_group(engine: EngineOf, collection: CollectionPath, group: GroupPath) -> Removal:
    """Erases the group in the same way as enrolled people."""
    return engine.forget_strangers(group, collection=collection)


@router.get("/{stranger}/pictures", summary="Look at a stranger", responses=problems(*STORE_PROBLEMS))
def stranger_pictures(engine: EngineOf, collection: CollectionPath, stranger: StrangerPath) -> Strips:
    """Silhouettes and skeletons of the walk."""
    return engine.stranger_pictures(stranger, collection=collection)
