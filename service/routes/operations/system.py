"""Routes that describe the service."""

from __future__ import annotations

from fastapi import APIRouter, Request

from gaitkeeper.service.auth.access import CALLER
from gaitkeeper.service.auth.keys import Scope
from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.operations import system
from gaitkeeper.service.routes.common.dependencies import EngineOf, JobsOf, Queue
from gaitkeeper.service.schemas import ModelsReply, PermissionsReply, SystemReply

router = APIRouter(tags=["system"])


@router.get("/models", summary="List the networks", responses=problems())
def list_models(engine: EngineOf) -> ModelsReply:
    """The networks that a collection can be pinned to, their weights, and what they are calibrated for."""
    return system.models(engine.calibrations)


@router.get("/key", summary="What your key may do", responses=problems())
def show_key() -> PermissionsReply:
    """Scopes and collections of the caller's key. Without keys, every caller has all scopes."""
    key = CALLER.get()
    if key is None:
        return PermissionsReply(id=None, name="", scopes=[scope.value for scope in Scope], collections=None)
    return PermissionsReply(
        id=key.id, name=key.name, scopes=[scope.value for scope in key.scopes], collections=key.collections
    )


@router.get("/system", summary="What runs here, and how busy it is", responses=problems("store_unavailable"))
def show_system(request: Request, engine: EngineOf, queue: Queue, jobs: JobsOf) -> SystemReply:
    """Device, networks, store, load and limits; for keys that administer everything."""
    state = request.app.state
    return system.system(engine, queue, jobs, started=state.started, locked=state.keys.exist(), mqtt=state.news.shown())
