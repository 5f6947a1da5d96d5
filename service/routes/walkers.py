"""Routes for what is kept of clips that were looked at."""

from __future__ import annotations

from fastapi import APIRouter

from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.routes.common.dependencies import EngineOf, HandlePath
from gaitkeeper.service.schemas import ErasedHandle, WalkersReply

router = APIRouter(prefix="/walkers/{handle}", tags=["clips"])


@router.get("", summary="Show the walkers of a handle", responses=problems("unknown_handle"))
def show_walkers(engine: EngineOf, handle: HandlePath) -> WalkersReply:
    """The reply to the look that gave the handle, with its pictures."""
    return engine.show_walkers(handle)


@router.delete("", summary="Erase the walkers of a handle", responses=problems("unknown_handle"))
def erase_walkers(engine: EngineOf, handle: HandlePath) -> ErasedHandle:
    """Erases what is kept under the handle, before it expires. Enrolled templates stay."""
    return engine.erase_walkers(handle)
