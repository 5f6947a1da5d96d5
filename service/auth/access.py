"""Who is asking, known to whatever works for them; and the policy: which address takes which scope."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass

from service.auth.keys import Key, Scope

CALLER: ContextVar[Key | None] = ContextVar("caller", default=None)
"""The key of the request that is being worked for; none where no keys are asked for, and on the command line."""


NOBODY = "anybody here"
"""As whom the gallery's log names whoever came without a key, where none is asked for."""


@dataclass(frozen=True)
class Rule:
    """What an address takes.

    Attributes:
        path: pattern of the whole path; its group ``collection``, if any, is the collection acted on.
        scope: needed of the key; none where any key will do.
        public: True where no key is needed at all.
        everywhere: True where the key must not be bound to collections.
    """

    path: re.Pattern[str]
    scope: Scope | None = None
    public: bool = False
    everywhere: bool = False


RULES = (
    Rule(re.compile(r"/(livez|readyz|openapi\.json)?|/static/.*"), public=True),
    Rule(re.compile(r"/(enroll|learn)/?"), Scope.ENROL),
    Rule(re.compile(r"/(identify|verify|stream)/?"), Scope.IDENTIFY),
    Rule(re.compile(r"/collections/(?P<collection>[^/]+)(/.*)?"), Scope.ADMIN),
    Rule(re.compile(r"/jobs(/.*)?")),
    Rule(re.compile(r"/models(/.*)?")),
    # Everything else, present and future, is for whoever administers the whole service.
    Rule(re.compile(r".*", re.DOTALL), Scope.ADMIN, everywhere=True),
)


def rule_of(path: str) -> Rule:
    """The rule of an address."""
    return next(rule for rule in RULES if rule.path.fullmatch(path))


def permit(key: Key, path: str) -> None:
    """Pass where the key may go to an address, by what the address says. A collection that is named elsewhere, as in a
    form, is checked by :func:`require_collection` when it is opened.

    Raises:
        Forbidden: it may not.
    """
    rule = rule_of(path)
    if rule.everywhere:
        key.require_everywhere()
    place = rule.path.fullmatch(path)
    key.require(rule.scope, place.groupdict().get("collection") if place else None)


def require_collection(collection: str) -> None:
    """Pass where whoever is asking may act on a collection at all.

    Raises:
        Forbidden: they may not.
    """
    if (key := CALLER.get()) is not None:
        key.require(collection=collection)
