"""Probes."""

from __future__ import annotations

import logging

from fastapi import APIRouter

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.errors import CallerGone, NotReady, Overloaded
from gaitkeeper.service.http.callers import CallerOf
from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.problems import PROBLEMS
from gaitkeeper.service.routes.common.dependencies import EngineOf, Probes
from gaitkeeper.service.schemas import Health, Readiness

router = APIRouter(tags=["health"])
log = logging.getLogger("gaitkeeper")


@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="Is the process alive?", responses=problems())
async def livez() -> Health:
    """Always `ok`: the process is running."""
    return Health()


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Can it answer for clips?",
    responses=problems("not_ready", "overloaded"),
)
async def readyz(engine: EngineOf, probes: Probes, caller: CallerOf) -> Readiness:
    """Runs the person models and the gait network on small inputs, and writes to and reads from the store."""
    try:
        return Readiness(checks=await probes.run(engine.check, caller.require, caller=caller))
    except (Overloaded, CallerGone):
        raise
    except GaitkeeperError as error:
        log.error("not ready: %s: %s", error.code, error.detail)
        raise NotReady(f"{PROBLEMS[error.code].title} ({error.code})") from error
