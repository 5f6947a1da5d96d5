"""What the OpenAPI document adds to the framework's: problem documents as media type, schema and examples."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from models.errors import GaitkeeperError
from service.problems import MEDIA_TYPE, PROBLEMS, body, classes
from service.schemas import ProblemDetails

Responses = dict[int | str, dict[str, Any]]


def problems(*codes: str) -> Responses:
    """The ``responses`` of a route that may answer with these codes, and with those that every route shares."""
    by_status: dict[int, list[str]] = {}
    for code in (*codes, "invalid_request", "internal"):
        by_status.setdefault(PROBLEMS[code].status or 500, []).append(code)
    return {
        status: {
            "description": ", ".join(f"`{code}`" for code in listed),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/ProblemDetails"},
                    "examples": {code: {"value": _example(code)} for code in listed},
                }
            },
        }
        for status, listed in sorted(by_status.items())
    }


def example(value: dict[str, Any]) -> dict[str, Any]:
    """The part of a route's ``responses`` that shows a success."""
    return {"content": {"application/json": {"example": value}}}


def install(app: FastAPI) -> None:
    """Give ``app`` its document, with the schema that the problem documents refer to."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            schemas = made["components"]["schemas"]
            schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _example(code: str) -> dict[str, Any]:
    kind = classes().get(code, GaitkeeperError)
    return body(kind(PROBLEMS[code].title))
