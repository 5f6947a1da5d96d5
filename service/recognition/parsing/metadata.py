"""Parsers for mappings in form fields and command-line options: metadata, and who each walker is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from gaitkeeper.service.errors import InvalidRequest
from gaitkeeper.service.options import Option

TRACK = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)


def mapping_of(option: Option, texts: Sequence[str], *, joined: bool = False) -> Mapping[Any, str]:
    """Parse the value of an option with ``pairs``.

    Args:
        option: the option.
        texts: its entries.
        joined: whether a text may hold several subjects by track, as in ``1=alice,3=bob``.

    Raises:
        InvalidRequest: a text cannot be parsed.
    """
    if Mapping[int, str] not in get_args(option.type):
        return pairs_of(texts)
    return subjects_of([one for text in texts for one in (_parted(text) if joined else [text])])


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


def subjects_of(texts: Sequence[str]) -> dict[int, str]:
    """Parse subjects by track from JSON objects or entries of the form ``track=subject``.

    Raises:
        InvalidRequest: a text has neither form, a track is no number from 1, or a track occurs twice.
    """
    pairs: list[tuple[str, Any]] = []
    for text in texts:
        pairs += _object(text) if text.lstrip().startswith("{") else [_pair(text)]
    found: dict[int, str] = {}
    for track, subject in pairs:
        if not TRACK.fullmatch(track) or not isinstance(subject, str):
            raise _not_subjects(f"{track[:20]!r} is no track, or its subject is no text")
        if int(track) in found:
            raise _not_subjects(f"Track {track} occurs twice")
        found[int(track)] = subject
    return found


def _parted(text: str) -> list[str]:
    """Entries that are joined by commas. A comma inside a subject is kept, unless a track follows it."""
    return [text] if text.lstrip().startswith("{") else re.split(r",(?=[0-9]+=)", text)


def _object(text: str) -> list[tuple[str, Any]]:
    try:
        # A list of pairs, because a dictionary would hide that a track occurs twice.
        return list(json.loads(text, object_pairs_hook=lambda pairs: pairs))
    except (ValueError, RecursionError) as error:
        raise _not_subjects("This is no JSON object") from error


def _pair(text: str) -> tuple[str, str]:
    track, equals, subject = text.partition("=")
    if not equals:
        raise _not_subjects(f"{text[:40]!r} has no equals sign")
    return track, subject


def _not_subjects(why: str) -> InvalidRequest:
    sentence = f'{why}: write who each walker is as a JSON object, {{"1": "alice", "3": "bob"}}, or as 1=alice.'
    return InvalidRequest(f"subjects: {sentence}", errors=[{"field": "subjects", "message": sentence}])
