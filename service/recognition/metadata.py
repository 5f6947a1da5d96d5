"""Parser for metadata in form fields and command-line options."""

from __future__ import annotations

from collections.abc import Sequence

from gaitkeeper.service.errors import InvalidRequest


def pairs_of(texts: Sequence[str]) -> dict[str, str]:
    """Parse metadata from entries of the form ``key=value``.

    Raises:
        InvalidRequest: an entry has no equals sign, or a key occurs twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key in found:
            raise InvalidRequest(f"{text!r} does not have the form key=value, or its key occurs twice.")
        found[key] = value
    return found
