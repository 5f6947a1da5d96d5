"""The caller of the current request, and the access policy: which path needs which scope."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from gaitkeeper.service.auth.keys import Key, Scope

CALLER: ContextVar[Key | None] = ContextVar("caller", default=None)
"""Key of the current request; None if the service has no keys, and on the command line."""


_JOB_OWNER: ContextVar[str | None] = ContextVar("job_owner", default=None)

NOBODY = "anybody here"
"""The gallery's log uses this name for callers without a key, if the service needs none."""


@dataclass(frozen=True)
class Rule:
    """Which key a path needs.

    Attributes:
        path: pattern of the whole path. Its group ``collection``, if any, is the name of the collection.
        scopes: the key must have one of these scopes; without any, every key is accepted.
        public: True if no key is needed.
        everywhere: True if the key must not be limited to certain collections.
    """

    path: re.Pattern[str]
    scopes: tuple[Scope, ...] = ()
    public: bool = False
    everywhere: bool = False


RULES = (
    Rule(re.compile(r"/(livez|readyz|openapi\.json|docs/?)?|/static/.*"), public=True),
    Rule(re.compile(r"/(enroll|learn)/?"), (Scope.ENROL,)),
    Rule(re.compile(r"/(identify|verify|stream)/?"), (Scope.IDENTIFY,)),
    # Walkers are looked at to be enrolled or identified.
    Rule(re.compile(r"/walkers(/.*)?"), (Scope.ENROL, Scope.IDENTIFY)),
    Rule(re.compile(r"/collections/(?P<collection>[^/]+)(/.*)?"), (Scope.ADMIN,)),
    # Listed are only the key's own collections, and it can create no other.
    Rule(re.compile(r"/collections/?"), (Scope.ADMIN,)),
    Rule(re.compile(r"/jobs(/.*)?")),
    Rule(re.compile(r"/(models|key)(/.*)?")),
    # All other paths, including future ones, need a key that administers the whole service.
    Rule(re.compile(r".*", re.DOTALL), (Scope.ADMIN,), everywhere=True),
)


def rule_of(path: str) -> Rule:
    """The access rule of a path."""
    return next(rule for rule in RULES if rule.path.fullmatch(path))


def permit(key: Key, path: str) -> None:
    """Check that the key may use a path. Only the path itself is read: a collection that is named elsewhere, for
    example in a form, is checked by :func:`require_collection` when it is opened.

    Raises:
        Forbidden: the key may not use this path.
    """
    rule = rule_of(path)
    if rule.everywhere:
        key.require_everywhere()
    place = rule.path.fullmatch(path)
    key.require(*rule.scopes, collection=place.groupdict().get("collection") if place else None)


def caller_id() -> str:
    """Id of the key for which this thread works; empty without a key."""
    owner = _JOB_OWNER.get()
    if owner is not None:
        return owner
    key = CALLER.get()
    return key.id if key else ""


@contextmanager
def working_for(key_id: str) -> Iterator[None]:
    """Context manager: this thread works for the key that sent a job."""
    token = _JOB_OWNER.set(key_id)
    try:
        yield
    finally:
        _JOB_OWNER.reset(token)


def is_permitted(collection: str) -> bool:
    """Whether the current caller may use a collection."""
    key = CALLER.get()
    return key is None or key.collections is None or collection in key.collections


def require_collection(collection: str) -> None:
    """Check that the current caller may use a collection.

    Raises:
        Forbidden: the caller may not use it.
    """
    if (key := CALLER.get()) is not None:
        key.require(collection=collection)
