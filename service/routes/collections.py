"""Routes for collections."""

from __future__ import annotations

from fastapi import APIRouter

from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.routes.common.dependencies import CollectionPath, EngineOf, PageOf
from gaitkeeper.service.schemas import Collection, CollectionsReply, NewCollection, Removal

router = APIRouter(prefix="/collections", tags=["collections"])

STORE_PROBLEMS = ("store_unavailable", "bad_store")


@router.get("", summary="List the collections", responses=problems(*STORE_PROBLEMS))
def list_collections(engine: EngineOf, page: PageOf) -> CollectionsReply:
    """Lists the collections that the key is for, by name, in pages, each with its fingerprint."""
    return engine.collections(limit=page.limit, after=page.after)


@router.post(
    "",
    status_code=201,
    summary="Make a collection",
    responses=problems(*STORE_PROBLEMS, "bad_request", "bad_collection", "conflict"),
)
def create_collection(engine: EngineOf, new: NewCollection) -> Collection:
    """Creates an empty collection. Enrolling also creates one, with the defaults."""
    return engine.create_collection(new.name, keeps_heatmaps=new.keeps_heatmaps, ttl_seconds=new.ttl_seconds)


@router.get(
    "/{collection}", summary="Show a collection", responses=problems(*STORE_PROBLEMS, "not_found", "bad_collection")
)
def show_collection(engine: EngineOf, collection: CollectionPath) -> Collection:
    """The collection's fingerprint, settings and size."""
    return engine.collection(collection)


@router.delete(
    "/{collection}", summary="Delete a collection", responses=problems(*STORE_PROBLEMS, "not_found", "bad_collection")
)
def delete_collection(engine: EngineOf, collection: CollectionPath) -> Removal:
    """Deletes the collection and everyone in it. `default` is recreated at once, empty."""
    return engine.delete_collection(collection)
