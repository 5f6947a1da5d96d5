"""What the subject that remains of a merge keeps of the other one."""

from __future__ import annotations

from gaitkeeper.gallery.errors import BadSubject, Conflict
from gaitkeeper.gallery.names import MAX_METADATA
from gaitkeeper.gallery.stores.protocol import NewSubject
from gaitkeeper.gallery.types import Subject


def check_two(subject: str, other: str) -> None:
    """Raise Conflict if the two ids are the same."""
    if subject == other:
        raise Conflict(f"{subject!r} and {other!r} are the same subject; two are needed.", subject=subject)


def merged(subject: Subject, other: Subject) -> NewSubject:
    """The data of the subject that remains. Its own values win; the other's are kept where it has none.

    Metadata is compared entry by entry. The time of creation is the remaining subject's.

    Raises:
        Conflict: the two are the same subject.
        BadSubject: together they have too many entries of metadata.
    """
    check_two(subject.subject, other.subject)
    metadata = {**other.metadata, **subject.metadata}
    if len(metadata) > MAX_METADATA:
        raise BadSubject(
            f"Together, {subject.subject!r} and {other.subject!r} have {len(metadata)} entries of metadata; a subject"
            f" has at most {MAX_METADATA}. Remove some of them first."
        )
    return NewSubject(
        subject.subject,
        None if subject.display_name else other.display_name,
        metadata,
        None if subject.legal_basis else other.legal_basis,
    )
