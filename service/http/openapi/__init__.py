"""Additions to the framework's OpenAPI document: media type, schema and examples of problem documents."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.auth.access import rule_of
from gaitkeeper.service.http.openapi.examples import EXAMPLES
from gaitkeeper.service.problems import MEDIA_TYPE, PROBLEMS, body, classes
from gaitkeeper.service.schemas import ProblemDetails

SHARED = ("invalid_request", "unknown_field", "unauthorised", "forbidden", "rate_limited", "internal")
"""Error codes that every route can return."""

Responses = dict[int | str, dict[str, Any]]


def problems(*codes: str) -> Responses:
    """The ``responses`` of a route that can return these error codes, together with the codes that all routes share."""
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*codes, *SHARED)):
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


def install(app: FastAPI) -> None:
    """Make ``app`` serve its OpenAPI document, with the schema of problem documents."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            made["components"]["schemas"]["ProblemDetails"] = ProblemDetails.model_json_schema()
            made["components"]["securitySchemes"] = {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Required once a key was created by `gaitkeeper keys create`.",
                }
            }
            for name, schema in made["components"]["schemas"].items():
                if name.startswith("Body_"):  # for forms; the framework does not describe unknown fields
                    schema["additionalProperties"] = False
            for path, item in made["paths"].items():
                for operation in item.values():
                    if not rule_of(path).public:
                        operation["security"] = [{"key": []}]
                    _show_examples(operation["responses"])
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _show_examples(responses: dict[str, Any]) -> None:
    """Add the success example next to its schema. The framework would omit its null values."""
    for status, response in responses.items():
        if status.startswith("2"):
            if (content := response["content"].get("application/json")) is None:
                continue  # a file
            content["example"] = EXAMPLES[content["schema"]["$ref"].rpartition("/")[2]]


def _example(code: str) -> dict[str, Any]:
    kind = classes().get(code, GaitkeeperError)
    return body(kind(PROBLEMS[code].title))
