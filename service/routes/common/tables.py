"""Replies as CSV."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from gaitkeeper.service.schemas import IdentifyReply
from gaitkeeper.service.schemas.spreadsheet import MEDIA_TYPE, people_csv

TEXT: dict[str, Any] = {"schema": {"type": "string"}}
"""The table in the OpenAPI document."""


def wants_csv(accept: str) -> bool:
    """Whether an Accept header asks for CSV and not for JSON."""
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return MEDIA_TYPE in kinds and "application/json" not in kinds


def csv_response(reply: IdentifyReply, name: str | None = None) -> Response:
    """The walkers as a table; with a name, as a file for a browser to keep."""
    headers = {} if name is None else {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(people_csv(reply), media_type=MEDIA_TYPE, headers=headers)
