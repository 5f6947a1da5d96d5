"""Whose a job is, and which jobs the current caller may see."""

from __future__ import annotations

import json

from gaitkeeper.service.auth.access import CALLER
from gaitkeeper.service.auth.keys import Scope


def owner() -> str:
    """Id of the caller's key; empty without keys."""
    key = CALLER.get()
    return key.id if key else ""


def visible(*, change: bool = False) -> tuple[str, str, bool]:
    """Which jobs the caller may see: those of an owner, those of a JSON list of collections, and whether all.

    Args:
        change: ask for those that the caller may change.
    """
    key = CALLER.get()
    wide = {Scope.ADMIN} if change else {Scope.ADMIN, Scope.VIEWER}
    own = key.collections if key is not None and wide & set(key.scopes) else []
    return owner(), json.dumps(own or []), own is None
