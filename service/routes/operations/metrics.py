"""Metrics for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response

from gaitkeeper.service.metrics import CONTENT_TYPE
from gaitkeeper.service.routes.common.dependencies import MetricsOf

router = APIRouter()


# Not in the OpenAPI document, which cannot describe this text format.
@router.get("/metrics", include_in_schema=False)
async def metrics(counted: MetricsOf) -> Response:
    """All metrics."""
    return Response(counted.text(), headers={"Content-Type": CONTENT_TYPE})
