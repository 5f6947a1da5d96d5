"""The web page. All its files are part of this package."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from gaitkeeper.service.errors import RouteNotFound

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
READ = ["GET", "HEAD"]
POLICY = {
    # Load nothing from other hosts. `blob:` is for the chosen clip, `data:` for pictures in replies.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Revalidate each time, so that a page never mixes files of two versions.
    "Cache-Control": "no-cache",
}


def page_router() -> APIRouter:
    """Routes of the page: ``/``, and each file of the package by its name under ``/static``. The files are read once,
    here.
    """
    router = APIRouter(include_in_schema=False)
    found = {name: (file.read_bytes(), KINDS[Path(name).suffix]) for name, file in _files()}
    tags = {name: f'"{hashlib.sha256(data).hexdigest()[:32]}"' for name, (data, _) in found.items()}

    def served(name: str, known: str | None) -> Response:
        if name not in found:
            raise RouteNotFound(f"/static/{name} does not exist.")
        headers = {**POLICY, "ETag": tags[name]}
        if known == tags[name]:
            return Response(status_code=304, headers=headers)
        data, kind = found[name]
        return Response(data, headers=headers, media_type=kind)

    @router.api_route("/", methods=READ)
    async def page(if_none_match: Annotated[str | None, Header()] = None) -> Response:
        return served("index.html", if_none_match)

    @router.api_route("/docs", methods=READ)
    async def docs(request: Request) -> Response:
        # A browser keeps the part after "#", which names the view.
        return Response(status_code=307, headers={"Location": f"{request.scope.get('root_path', '')}/#/api"})

    @router.api_route("/static/{name:path}", methods=READ)
    async def static(name: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        return served(name, if_none_match)

    return router


def _files() -> list[tuple[str, Traversable]]:
    """The page's files with their names, prefixed with the folder's name."""
    pairs: list[tuple[str, Traversable]] = []
    for entry in files("gaitkeeper.service").joinpath("page").iterdir():
        inside = [(f"{entry.name}/{file.name}", file) for file in entry.iterdir()] if entry.is_dir() else []
        pairs += inside or [(entry.name, entry)]
    return pairs
