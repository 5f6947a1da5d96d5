"""The caller of the current request, and the access policy: which path needs which scope."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from gaitkeeper.service.auth.keys import Key, Scope
from gaitkeeper.service.errors import Forbidden

CALLER: ContextVar[Key | None] = ContextVar("caller", default=None)
"""Key of the current request; None if the service has no keys, and on the command line."""


_JOB_OWNER: ContextVar[str | None] = ContextVar("job_owner", default=None)

NOBODY = "anybody here"
"""The gallery's log uses this name for callers without a key, if the service needs none."""


@dataclass(frozen=True)
class Rule:
    """Which key a path needs. A key with the scope ``admin`` is always accepted.

    Attributes:
        path: pattern of the whole path. Its group ``collection``, if any, is the name of the collection.
        reads: scopes of which the key must have one to read.
        changes: scopes of which it must have one for everything else.
        public: True if no key is needed.
        everywhere: True if the key must not be limited to certain collections.
    """

    path: re.Pattern[str]
    reads: frozenset[Scope] = frozenset()
    changes: frozenset[Scope] = frozenset()
    public: bool = False
    everywhere: bool = False


READ = frozenset({"GET", "HEAD", "WEBSOCKET"})
"""Methods that change nothing. Sockets only tell, except for live streams, which need ``identify`` for everything."""
CLIPS = frozenset({Scope.ENROL, Scope.IDENTIFY})
VIEWERS = frozenset({Scope.VIEWER})


RULES = (
    # To sign in, the key is in the body; to sign out, the session ends that the cookie names.
    Rule(re.compile(r"/(livez|readyz|openapi\.json|docs/?|session/?)?|/static/.*"), public=True),
    Rule(re.compile(r"/(enroll|learn)/?"), frozenset({Scope.ENROL}), frozenset({Scope.ENROL})),
    Rule(re.compile(r"/(identify|verify|stream)/?"), frozenset({Scope.IDENTIFY}), frozenset({Scope.IDENTIFY})),
    # Walkers are looked at to be enrolled or identified. A handle is its key's alone, so viewers see none.
    Rule(re.compile(r"/walkers(/.*)?"), CLIPS, CLIPS),
    Rule(re.compile(r"/collections/(?P<collection>[^/]+)(/.*)?"), VIEWERS),
    Rule(re.compile(r"/sightings(/.*)?"), VIEWERS),
    # Listed are only the key's own collections, and it can create no other.
    Rule(re.compile(r"/collections/?"), VIEWERS),
    # Shown are only the cameras and watch lists of the key's own collections.
    Rule(re.compile(r"/(cameras|watchlists)(/.*)?"), VIEWERS),
    Rule(re.compile(r"/jobs(/.*)?"), CLIPS | VIEWERS, CLIPS),
    Rule(re.compile(r"/(models|key)(/.*)?"), CLIPS | VIEWERS),
    Rule(re.compile(r"/metrics/?"), frozenset({Scope.METRICS, Scope.VIEWER}), everywhere=True),
    Rule(re.compile(r"/system/?"), VIEWERS, everywhere=True),
    # All other paths, including future ones, need a key that administers the whole service.
    Rule(re.compile(r".*", re.DOTALL), everywhere=True),
)


def rule_of(path: str) -> Rule:
    """The access rule of a path."""
    return next(rule for rule in RULES if rule.path.fullmatch(path))


def permit(key: Key, path: str, method: str) -> None:
    """Check that the key may use a path by a method, ``WEBSOCKET`` for a socket.

    Only the path itself is read: a collection that is named elsewhere, for example in a form, is checked by
    :func:`require_collection` when it is opened.

    Raises:
        Forbidden: the key may not use this path.
    """
    rule = rule_of(path)
    place = rule.path.fullmatch(path)
    scopes = rule.reads if method in READ else rule.changes
    key.require(scopes, place.groupdict().get("collection") if place else None)
    if rule.everywhere:
        key.require_everywhere()


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
    try:
        require_collection(collection)
    except Forbidden:
        return False
    return True


def require_collection(collection: str) -> None:
    """Check that the current caller may use a collection.

    Raises:
        Forbidden: the caller may not use it.
    """
    if (key := CALLER.get()) is not None:
        key.require(collection=collection)
