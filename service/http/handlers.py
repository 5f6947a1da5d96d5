"""Converts errors to HTTP replies. Every error reply is a problem document, without traceback or path."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.errors import TooLarge
from gaitkeeper.service.errors import (
    BadRequest,
    InvalidRequest,
    MethodNotAllowed,
    Overloaded,
    RouteNotFound,
    UploadTimeout,
)
from gaitkeeper.service.http.limits import NoPlace
from gaitkeeper.service.http.root_path import path_of
from gaitkeeper.service.http.unknown_fields import names_of, unknown_field
from gaitkeeper.service.problems import MEDIA_TYPE, PROBLEMS, body

log = logging.getLogger("gaitkeeper")
PARTS = ("body", "query", "path", "header", "cookie")
"""The parts of a request, by which the framework begins the place of an error."""
RETRY_SECONDS = 2
"""Seconds until a retry, if something outside the service prevented the reply."""


def reply(app: Any, error: GaitkeeperError) -> Response:
    """Make the HTTP reply of an error, and count it. An extra ``retry_after`` becomes a header; every 503 has one."""
    app.state.metrics.problem(error.code)
    document = body(error)
    after = document.get("retry_after", RETRY_SECONDS if document["status"] == 503 else None)
    headers = None if after is None else {"Retry-After": str(after)}
    return Response(json.dumps(document), document["status"], headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Register the error handlers, which reply with problem documents, on ``app``."""

    @app.exception_handler(GaitkeeperError)
    async def _ours(request: Request, error: GaitkeeperError) -> Response:
        if PROBLEMS[error.code].private:
            # Log no URL: it may name a person.
            log.error("%s: %s", error.code, error.detail)
        return reply(request.app, error)

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> Response:
        extra = [_path_of(e["loc"]) for e in error.errors() if e["type"] == "extra_forbidden"]
        names = names_of(app, request)
        if unknown := unknown_field(extra, names.body if names else ()):
            return reply(request.app, unknown)
        # Do not send the input back: it may be a clip.
        errors = [{"field": _path_of(e["loc"]), "message": e["msg"]} for e in error.errors()]
        sentence = "; ".join(f"{e['field']}: {e['message']}" for e in errors)
        return reply(request.app, InvalidRequest(f"{sentence}.", errors=errors))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        answer = reply(request.app, _from_status(request, error))
        answer.headers.update(error.headers or {})
        if error.status_code == 405 and (methods := _methods(app, path_of(request.scope))):
            answer.headers["Allow"] = ", ".join(methods)
        return answer

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> Response:
        # The framework raises it again after this reply, and the server logs it with its traceback.
        return reply(request.app, GaitkeeperError("An internal error occurred."))


def _path_of(location: Sequence[str | int]) -> str:
    """The whole path of a field, as in ``metadata.site``, without the part of the request that it is in.

    The place of a syntax error is a number of characters, for which the part stands.
    """
    inside = location[1:] if location[0] in PARTS else location
    if all(isinstance(one, int) for one in inside):
        return str(location[0])
    return ".".join(map(str, inside))


def _methods(app: FastAPI, path: str) -> list[str]:
    """All methods of a path. The framework lists only those of one route."""
    items = app.openapi()["paths"].items()
    return sorted(
        {method.upper() for pattern, item in items if compile_path(pattern)[0].match(path) for method in item}
    )


def _from_status(request: Request, error: HTTPException) -> GaitkeeperError:
    """Convert the framework's own errors to problem documents."""
    if isinstance(error.__cause__, OSError):
        # The upload could not be stored. The framework reports this as a bad body.
        log.error("the upload could not be kept", exc_info=error.__cause__)
        return GaitkeeperError("The upload could not be stored.")
    if error.status_code == 404:
        return RouteNotFound(f"{request.url.path} does not exist; see /openapi.json.")
    if error.status_code == 405:
        return MethodNotAllowed(f"{request.method} is not taken at {request.url.path}.")
    if error.status_code == 408:
        return UploadTimeout(error.detail)
    if error.status_code == 413:
        return TooLarge(error.detail)
    if isinstance(error, NoPlace):
        return Overloaded(error.detail, retry_after=error.retry_after)
    return BadRequest(f"The request could not be read: {error.detail}.")
