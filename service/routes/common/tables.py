"""Replies as CSV."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from gaitkeeper.service.schemas import IdentifyReply
from gaitkeeper.service.schemas.spreadsheet import MEDIA_TYPE, people_csv

JSON_LINES = "application/x-ndjson"
"""JSON lines: one object a line."""
TEXT: dict[str, Any] = {"schema": {"type": "string"}}
"""The table in the OpenAPI document."""


def wants_csv(accept: str) -> bool:
    """Whether an Accept header asks for CSV and not for JSON."""
    return table_asked_for(accept) == MEDIA_TYPE


def table_asked_for(accept: str) -> str | None:
    """The media type of the table that an Accept header asks for, CSV or JSON lines; None if it accepts JSON, or asks
    for no table.
    """
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if "application/json" in kinds:
        return None
    return next((kind for kind in kinds if kind in (MEDIA_TYPE, JSON_LINES)), None)


def csv_response(reply: IdentifyReply, name: str | None = None) -> Response:
    """The walkers as a table; with a name, as a file for a browser to keep."""
    headers = {} if name is None else {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(people_csv(reply), media_type=MEDIA_TYPE, headers=headers)
