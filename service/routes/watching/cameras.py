"""Routes for cameras that the service runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from gaitkeeper.service.cameras.cameras import Cameras
from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.schemas.cameras import Camera, CameraChange, CameraList, NewCamera, RemovedCamera

router = APIRouter(prefix="/cameras", tags=["cameras"])

FIELD_PROBLEMS = (
    *("bad_request", "bad_camera", "bad_source", "password_in_source", "source_not_allowed", "secret_missing"),
    *("bad_collection", "bad_fpir", "bad_subject", "not_found", "conflict", "store_unavailable", "bad_store"),
)
FIND_PROBLEMS = ("not_found", "bad_camera", "store_unavailable", "bad_store")


def _cameras(request: Request) -> Cameras:
    cameras: Cameras = request.app.state.cameras
    return cameras


CamerasOf = Annotated[Cameras, Depends(_cameras)]
NamePath = Annotated[str, Path(description="Name of the camera.", examples=["north-door"])]


@router.get("", summary="List the cameras", responses=problems("store_unavailable", "bad_store"))
def list_devices(cameras: CamerasOf) -> CameraList:
    """The cameras that this service runs, with their state, frame rate and latest verdicts. A key sees those of its
    collections.
    """
    return cameras.list()


@router.post("", status_code=201, summary="Add a camera", responses=problems(*FIELD_PROBLEMS))
def add_camera(cameras: CamerasOf, new: NewCamera) -> Camera:
    """Adds a camera, which the service then watches. It starts again whenever the service does."""
    return cameras.add(new)


@router.get("/{name}", summary="Show a camera", responses=problems(*FIND_PROBLEMS))
def show_camera(cameras: CamerasOf, name: NamePath) -> Camera:
    """One camera, with its state, frame rate and latest verdicts."""
    return cameras.show(name)


@router.patch("/{name}", summary="Change a camera, switch it on or off", responses=problems(*FIELD_PROBLEMS))
def change_camera(cameras: CamerasOf, name: NamePath, change: CameraChange) -> Camera:
    """Changes the given fields. A camera that is on starts again, also if nothing is different."""
    return cameras.change(name, change)


@router.delete("/{name}", summary="Remove a camera", responses=problems(*FIND_PROBLEMS))
def remove_camera(cameras: CamerasOf, name: NamePath) -> RemovedCamera:
    """Stops and removes the camera. What its collection has learnt about it stays."""
    cameras.remove(name)
    return RemovedCamera(name=name)


@router.get(
    "/{name}/picture",
    summary="Show what a camera sees",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "The picture."}, **problems(*FIND_PROBLEMS)},
)
def show_camera_picture(cameras: CamerasOf, name: NamePath) -> Response:
    """The latest picture that was looked at, upright, as JPEG. It is kept in memory while the camera runs."""
    return Response(cameras.picture(name), media_type="image/jpeg", headers={"Cache-Control": "no-store"})
