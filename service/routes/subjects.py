"""Routes for subjects."""

from __future__ import annotations

from fastapi import APIRouter

from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.routes.common.dependencies import CollectionPath, EngineOf, PageOf, SubjectPath, TemplatePath
from gaitkeeper.service.schemas import (
    Erasure,
    Removal,
    Strips,
    SubjectChange,
    SubjectReply,
    SubjectsReply,
    TemplatesReply,
)

router = APIRouter(prefix="/collections/{collection}/subjects", tags=["subjects"])

GALLERY_PROBLEMS = ("not_found", "bad_collection", "bad_subject", "store_unavailable", "bad_store")


@router.get("", summary="List the subjects", responses=problems(*GALLERY_PROBLEMS))
def list_subjects(engine: EngineOf, collection: CollectionPath, page: PageOf) -> SubjectsReply:
    """Lists the subjects of the collection by id, in pages."""
    return engine.subjects(collection=collection, limit=page.limit, after=page.after)


@router.get("/{subject}", summary="Show a subject", responses=problems(*GALLERY_PROBLEMS))
def show_subject(engine: EngineOf, collection: CollectionPath, subject: SubjectPath) -> SubjectReply:
    """The subject and its templates in order of enrolment, and the templates that may show another person."""
    return engine.subject(subject, collection=collection)


@router.delete("/{subject}", summary="Erase a subject", responses=problems(*GALLERY_PROBLEMS))
def erase_subject(engine: EngineOf, collection: CollectionPath, subject: SubjectPath) -> Erasure:
    """Erases the subject and all its data: templates, embeddings and sequences."""
    return engine.erase(subject, collection=collection)


@router.patch("/{subject}", summary="Change a subject", responses=problems(*GALLERY_PROBLEMS, "bad_request"))
def update_subject(
    engine: EngineOf, collection: CollectionPath, subject: SubjectPath, change: SubjectChange
) -> SubjectReply:
    """Changes the display name, metadata or legal basis, but not the id. Filters use the new metadata at once."""
    return engine.update_subject(subject, **change.model_dump(), collection=collection)


@router.get(
    "/{subject}/templates",
    summary="List a subject's templates",
    responses=problems(*GALLERY_PROBLEMS),
)
def list_templates(
    engine: EngineOf,
    collection: CollectionPath,
    subject: SubjectPath,
    page: PageOf,
) -> TemplatesReply:
    """Lists the templates in order of enrolment, in pages."""
    return engine.templates(subject, collection=collection, limit=page.limit, after=page.after)


@router.get(
    "/{subject}/templates/{template}/pictures", summary="Look at a template", responses=problems(*GALLERY_PROBLEMS)
)
def template_pictures(
    engine: EngineOf, collection: CollectionPath, subject: SubjectPath, template: TemplatePath
) -> Strips:
    """Silhouettes and skeletons of the walk that the template was made from."""
    return engine.template_pictures(subject, template, collection=collection)


@router.delete("/{subject}/templates/{template}", summary="Delete a template", responses=problems(*GALLERY_PROBLEMS))
def delete_template(
    engine: EngineOf, collection: CollectionPath, subject: SubjectPath, template: TemplatePath
) -> Removal:
    """Deletes the template with its embedding and sequence. The subject stays, even without templates."""
    return engine.delete_template(subject, template, collection=collection)
