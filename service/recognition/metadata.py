"""Metadata as a caller writes it in a form or in options."""

from __future__ import annotations

from collections.abc import Sequence

from service.errors import InvalidRequest


def pairs_of(texts: Sequence[str]) -> dict[str, str]:
    """Metadata as it stands in a form or in options: ``key=value`` each.

    Raises:
        InvalidRequest: one has no equals sign, or a key comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key in found:
            raise InvalidRequest(f"{text!r} is not of the form key=value, or its key comes twice.")
        found[key] = value
    return found
