"""What a collection knows of its cameras, and who passed them."""

from __future__ import annotations

from fastapi import APIRouter

from service.http.openapi import problems
from service.routes.dependencies import CameraPath, CollectionPath, EngineOf
from service.schemas import CamerasReply, KeepPassersBy

router = APIRouter(prefix="/collections/{collection}/cameras", tags=["cameras"])

STORE_PROBLEMS = ("not_found", "bad_collection", "store_unavailable", "bad_store")


@router.get("", summary="List what is known of cameras", responses=problems(*STORE_PROBLEMS))
def list_cameras(engine: EngineOf, collection: CollectionPath) -> CamerasReply:
    """Every camera of which passers-by are kept, by the way people walk in it, and how many they are."""
    return engine.cameras(collection)


@router.put("", summary="Keep passers-by of cameras, or not", responses=problems(*STORE_PROBLEMS, "bad_request"))
def keep_passers_by(engine: EngineOf, collection: CollectionPath, keep: KeepPassersBy) -> CamerasReply:
    """Off unless asked for. Concerns who passes a camera that is named from now on; turned off, all are forgotten."""
    return engine.keep_passers_by(keep.keep_seconds, collection=collection)


@router.delete("/{camera}", summary="Forget a camera", responses=problems(*STORE_PROBLEMS, "bad_camera"))
def forget_camera(engine: EngineOf, collection: CollectionPath, camera: CameraPath) -> CamerasReply:
    """For a camera that was moved: who passed it is erased; nobody who is enrolled is."""
    return engine.forget_camera(collection, camera)
