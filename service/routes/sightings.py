"""Routes for sightings, and for pictures of subjects."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from gaitkeeper.gallery.types import Verdict
from gaitkeeper.gallery.types.sightings import EarlierSearch, Sighting
from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.routes.common.dependencies import CollectionPath, EngineOf, SubjectPath
from gaitkeeper.service.routes.common.tables import JSON_LINES, TEXT, table_asked_for
from gaitkeeper.service.schemas import Removal, SightingsReply, spreadsheet

router = APIRouter(tags=["sightings"])

STORE_PROBLEMS = ("not_found", "bad_collection", "store_unavailable", "bad_store")
SightingPath = Annotated[str, Path(description="Id of the sighting.", examples=["9c0d4f0e1c7b4a4c8b59f2f1f2a9f0c3"])]
CollectionQuery = Annotated[str, Query(description="Name of the collection.", examples=["default"])]
JPEG: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)


def _iso(given: Any) -> Any:
    """The framework alone would also take a number, and a time without a zone."""
    if not isinstance(given, str) or not _TIME.fullmatch(given):
        raise ValueError("a time in ISO 8601 with seconds and zone expected, as in 2026-01-31T08:00:00Z")
    return given


Moment = Annotated[AwareDatetime, BeforeValidator(_iso)]


class Filter(BaseModel):
    """Which sightings are meant."""

    collection: str = Field("default", description="Name of the collection.")
    subject: str | None = Field(None, description="Only sightings of this subject.")
    camera: str | None = Field(None, description="Only sightings by this camera.")
    verdict: Verdict | None = Field(None, description="Only sightings with this verdict.")
    since: Moment | None = Field(None, description="Only sightings at this time or later: ISO 8601 with a zone.")
    until: Moment | None = Field(None, description="Only sightings before this time.")


class SightingsPage(Filter):
    """A page of the list of sightings."""

    limit: int | None = Field(
        None, ge=1, le=1000, description="Maximum number of entries: by default 100, and in a table all of them."
    )
    after: str | None = Field(None, max_length=512, description="Start of the page: `next` of the page before.")


class Before(BaseModel):
    """How unknown walkers are searched for a subject."""

    before: Moment | None = Field(
        None, description="Only sightings before this time; by default before the subject was enrolled."
    )
    fpir: float = Field(
        0.01, gt=0, lt=1, description="False-positive identification rate of the threshold; a calibrated one."
    )
    limit: int = Field(100, ge=1, le=1000, description="Maximum number of sightings.")


@router.get(
    "/sightings",
    response_model=SightingsReply,
    summary="List sightings",
    responses={
        200: {"content": {spreadsheet.MEDIA_TYPE: TEXT, JSON_LINES: TEXT}},
        **problems(*STORE_PROBLEMS, "bad_subject", "bad_camera"),
    },
)
def list_sightings(engine: EngineOf, request: Request, page: Annotated[SightingsPage, Query()]) -> Any:
    """Who was seen when, newest first, in pages. With `Accept: text/csv` or `application/x-ndjson` the reply is a table
    of all of them.
    """
    kind = table_asked_for(request.headers.get("accept", ""))
    asked = page.model_dump()
    if kind is None:
        return engine.sightings(**{**asked, "limit": page.limit or 100})
    found = engine.sightings(**asked).sightings
    if kind == JSON_LINES:
        return Response("".join(f"{one.model_dump_json()}\n" for one in found), media_type=JSON_LINES)
    return Response(spreadsheet.sightings_csv(found), media_type=kind)


@router.delete(
    "/sightings",
    summary="Delete sightings",
    responses=problems(*STORE_PROBLEMS, "bad_subject", "bad_camera"),
)
def forget_sightings(engine: EngineOf, wanted: Annotated[Filter, Query()]) -> Removal:
    """Deletes all sightings that the filters accept; without filters all of the collection."""
    return engine.forget_sightings(**wanted.model_dump())


@router.get("/sightings/{sighting}", summary="Show a sighting", responses=problems(*STORE_PROBLEMS))
def show_sighting(engine: EngineOf, sighting: SightingPath, collection: CollectionQuery = "default") -> Sighting:
    """One sighting of the collection."""
    return engine.sighting(sighting, collection=collection)


@router.delete("/sightings/{sighting}", summary="Delete a sighting", responses=problems(*STORE_PROBLEMS))
def forget_sighting(engine: EngineOf, sighting: SightingPath, collection: CollectionQuery = "default") -> Removal:
    """Deletes the sighting with its picture and its walk."""
    return engine.forget_sighting(sighting, collection=collection)


@router.get(
    "/sightings/{sighting}/thumbnail",
    summary="Look at a sighting",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": JPEG}}, **problems(*STORE_PROBLEMS)},
)
def show_thumbnail(engine: EngineOf, sighting: SightingPath, collection: CollectionQuery = "default") -> Response:
    """A small picture of the walker, JPEG."""
    return _jpeg(engine.sighting_thumbnail(sighting, collection=collection))


@router.get(
    "/collections/{collection}/subjects/{subject}/earlier",
    summary="Search unknown walkers for a subject",
    responses=problems(*STORE_PROBLEMS, "bad_subject", "bad_fpir"),
)
def search_earlier(
    engine: EngineOf, collection: CollectionPath, subject: SubjectPath, asked: Annotated[Before, Query()]
) -> EarlierSearch:
    """Was the subject here before it was enrolled? Compares the kept sightings of unknown walkers with its templates,
    as an identification would.
    """
    return engine.earlier(subject, collection=collection, **asked.model_dump())


@router.get(
    "/collections/{collection}/subjects/{subject}/picture",
    summary="Look at a subject",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": JPEG}}, **problems(*STORE_PROBLEMS, "bad_subject")},
)
def show_picture(engine: EngineOf, collection: CollectionPath, subject: SubjectPath) -> Response:
    """A small picture of the subject from its latest enrolment, JPEG, if the collection keeps sightings."""
    return _jpeg(engine.subject_picture(subject, collection=collection))


def _jpeg(picture: bytes) -> Response:
    return Response(picture, media_type="image/jpeg")
