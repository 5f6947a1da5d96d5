"""Which jobs, and what of their results, the current caller may see."""

from __future__ import annotations

import json
from typing import Any

from gaitkeeper.service.auth.access import CALLER, caller_id
from gaitkeeper.service.auth.keys import Scope


def visible(*, change: bool = False) -> tuple[str, str, bool]:
    """Which jobs the caller may see: those of an owner, those of a JSON list of collections, and whether all.

    Args:
        change: ask for those that the caller may change.
    """
    key = CALLER.get()
    wide = {Scope.ADMIN} if change else {Scope.ADMIN, Scope.VIEWER}
    own = key.collections if key is not None and wide & set(key.scopes) else []
    return caller_id(), json.dumps(own or []), own is None


def visible_result(result: dict[str, Any], owner: str) -> dict[str, Any]:
    """A job's result as the caller may see it: a handle is its owner's alone, and of no use to others.

    Args:
        result: the result.
        owner: id of the key that sent the job.
    """
    if owner == caller_id():
        return result
    return {name: None if name in ("handle", "expires") else value for name, value in result.items()}
