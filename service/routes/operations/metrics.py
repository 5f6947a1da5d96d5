"""Figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.metrics import CONTENT_TYPE
from service.routes.dependencies import MetricsOf

router = APIRouter()


# Text of a form of its own, which the OpenAPI document would say nothing about.
@router.get("/metrics", include_in_schema=False)
async def metrics(counted: MetricsOf) -> Response:
    """All figures."""
    return Response(counted.text(), headers={"Content-Type": CONTENT_TYPE})
