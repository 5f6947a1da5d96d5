"""Rules for the names of subjects and collections."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from gaitkeeper.gallery.errors import BadCamera, BadCollection, BadSubject
from gaitkeeper.gallery.types import Collection

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
MAX_METADATA = 64
"""Maximum number of entries of a subject's metadata."""
STRANGERS, PASSERS_BY = COMPANIONS = ("strangers", "passers-by")
"""Kinds of companion collections."""
_DIRECTION = "\u202a-\u202e\u2066-\u2069"
# Unicode default ignorable code points and interlinear annotation marks, which are invisible.
_UNSEEN = re.compile(
    f"[{_DIRECTION}\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_TURNED = re.compile(f"[{_DIRECTION}]")
_CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # control characters, lone surrogates, line and paragraph separators


def check_collection(name: str) -> str:
    """Check a name: 1 to 64 ASCII letters, digits, ``_``, ``-`` and ``.``, not starting with ``-`` or ``.``.

    Raises:
        BadCollection: the name is invalid.
    """
    if not _NAME.fullmatch(name):
        raise BadCollection(
            "A collection's name has 1 to 64 ASCII letters, digits, '_', '-' and '.'."
            " It does not start with '-' or '.'."
        )
    return name


def companion_of(collection: str, kind: str) -> str:
    """The name of a companion collection. No user's collection can have it."""
    return f"{collection}~{kind}"


def enrolled_only(collections: Iterable[Collection]) -> list[Collection]:
    """The collections without companions."""
    return [one for one in collections if "~" not in one.name]


def is_name(text: str) -> bool:
    """Whether a text is valid as the name of a collection or a camera."""
    return _NAME.fullmatch(text) is not None


def check_camera(name: str | None) -> None:
    """Raise BadCamera unless the name is None or valid as a collection's name."""
    if name is not None and not _NAME.fullmatch(name):
        raise BadCamera(
            "A camera's name has 1 to 64 ASCII letters, digits, '_', '-' and '.'. It does not start with '-' or '.'."
        )


def check_subject(subject: str) -> str:
    """As :func:`known_subject`, for the id of a new enrolment.

    Raises:
        BadSubject: as there; also for invisible characters and characters that change the writing direction, because
            two subjects could look the same.
    """
    subject = known_subject(subject)
    if hidden := _UNSEEN.search(subject):
        raise BadSubject(
            f"A subject's id has no invisible characters and none that change the direction of writing; this one has "
            f"U+{ord(hidden[0]):04X}. A display name may have them if a language needs them."
        )
    return subject


def known_subject(subject: str) -> str:
    """The id in Unicode's composed form (NFC), so that one name typed in two ways is one subject.

    Subjects enrolled under ids that are no longer accepted can still be found and erased.

    Raises:
        BadSubject: the id is empty, longer than 128 characters, ``.`` or ``..``, has a blank at an end, or contains a
            control character or slash.
    """
    subject = unicodedata.normalize("NFC", subject)
    if not 1 <= len(subject) <= 128:
        raise BadSubject(f"A subject's id has 1 to 128 characters; this one has {len(subject)}.")
    if subject != subject.strip() or subject in (".", "..") or _has_control(subject) or set(subject) & set("/\\"):
        raise BadSubject(
            "A subject's id has no control characters, slashes, or blanks at its ends, and is not '.' or '..'."
        )
    return subject


def check_display_name(name: str | None) -> None:
    """Raise BadSubject unless the name is None or 1 to 256 characters, without control characters and characters that
    override the writing direction.
    """
    if name is not None and (not 1 <= len(name) <= 256 or _has_control(name) or _TURNED.search(name)):
        raise BadSubject(
            "A display name has 1 to 256 characters, without control characters or overrides of the writing direction."
        )


def check_legal_basis(basis: str | None) -> None:
    """Raise BadSubject unless the text is None, empty, or up to 256 characters without control characters."""
    if basis is not None and (len(basis) > 256 or _has_control(basis)):
        raise BadSubject("A legal basis has up to 256 characters, without control characters.")


def check_metadata(metadata: Mapping[str, str] | None) -> None:
    """Raise BadSubject unless there are at most 64 entries of keys up to 64 and values up to 1024 characters."""
    if metadata is None:
        return
    if len(metadata) > MAX_METADATA or any(not 1 <= len(k) <= 64 or len(v) > 1024 for k, v in metadata.items()):
        raise BadSubject("Metadata has at most 64 entries, keys of 1 to 64 and values of up to 1024 characters.")
    if any(_has_control(k) or "Cs" in map(unicodedata.category, v) for k, v in metadata.items()):
        raise BadSubject("Metadata has no control characters in its keys and no lone surrogates in its values.")


def _has_control(text: str) -> bool:
    return any(unicodedata.category(c) in _CONTROL for c in text)
