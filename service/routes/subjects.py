"""The people of a collection."""

from __future__ import annotations

from fastapi import APIRouter

from service import examples
from service.dependencies import CollectionPath, EngineOf, SubjectPath
from service.openapi import example, problems
from service.schemas import Erasure, SubjectReply, SubjectsReply

router = APIRouter(prefix="/collections/{collection}/subjects", tags=["subjects"])

GALLERY_PROBLEMS = ("not_found", "store_unavailable")


@router.get("", summary="List the subjects", responses={200: example(examples.SUBJECTS), **problems(*GALLERY_PROBLEMS)})
def list_subjects(engine: EngineOf, collection: CollectionPath) -> SubjectsReply:
    """The subjects of the collection, by id."""
    return engine.subjects(collection=collection)


@router.get(
    "/{subject}", summary="Show a subject", responses={200: example(examples.SUBJECT), **problems(*GALLERY_PROBLEMS)}
)
def show_subject(engine: EngineOf, collection: CollectionPath, subject: SubjectPath) -> SubjectReply:
    """The subject and its templates, in the order of their enrolment."""
    return engine.subject(subject, collection=collection)


@router.delete(
    "/{subject}", summary="Erase a subject", responses={200: example(examples.ERASED), **problems(*GALLERY_PROBLEMS)}
)
def erase_subject(engine: EngineOf, collection: CollectionPath, subject: SubjectPath) -> Erasure:
    """The subject goes with everything kept of it: templates, embeddings and sequences."""
    return engine.erase(subject, collection=collection)
