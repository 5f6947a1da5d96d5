"""Routes for a collection's cameras and passers-by."""

from __future__ import annotations

from fastapi import APIRouter

from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.routes.common.dependencies import CameraPath, CollectionPath, EngineOf
from gaitkeeper.service.schemas import CamerasReply, KeepPassersBy

router = APIRouter(prefix="/collections/{collection}/cameras", tags=["cameras"])

STORE_PROBLEMS = ("not_found", "bad_collection", "store_unavailable", "bad_store")


@router.get("", summary="List what is known of cameras", responses=problems(*STORE_PROBLEMS))
def list_cameras(engine: EngineOf, collection: CollectionPath) -> CamerasReply:
    """The cameras with kept passers-by, by walking direction, with their numbers."""
    return engine.cameras(collection)


@router.put("", summary="Keep passers-by of cameras, or not", responses=problems(*STORE_PROBLEMS, "bad_request"))
def keep_passers_by(engine: EngineOf, collection: CollectionPath, keep: KeepPassersBy) -> CamerasReply:
    """Off by default. Applies to future passers-by of named cameras. Turning it off deletes all kept ones."""
    return engine.keep_passers_by(keep.keep_seconds, collection=collection)


@router.delete("/{camera}", summary="Forget a camera", responses=problems(*STORE_PROBLEMS, "bad_camera"))
def forget_camera(engine: EngineOf, collection: CollectionPath, camera: CameraPath) -> CamerasReply:
    """Erases the passers-by of a camera, for example after it was moved. Enrolled people are unchanged."""
    return engine.forget_camera(collection, camera)
