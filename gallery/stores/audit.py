"""Audit log: an append-only record of who did what to a gallery. It names subjects only by keyed digests and contains
no biometrics.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from gaitkeeper.gallery.stores.encoding import stamp
from gaitkeeper.gallery.stores.encryption import KEY_BYTES, Vault
from gaitkeeper.gallery.types import Action, AuditEntry

_actor: ContextVar[str] = ContextVar("actor", default="local")


@contextmanager
def acting(actor: str) -> Iterator[None]:
    """Context manager: log everything that this thread does to any gallery as done by ``actor``."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def new_key(vault: Vault | None) -> bytes:
    """Create a key for the digests of subject ids, in stored form: encrypted if there is a master key."""
    key = os.urandom(KEY_BYTES)
    return key if vault is None else vault.lock(key)


def digest(vault: Vault | None, key: bytes, subject: str) -> str:
    """The name of a subject in the log, made with the stored key."""
    return hmac.new(key if vault is None else vault.unlock(key), subject.encode(), hashlib.sha256).hexdigest()


def entry(action: Action, collection: str, subject: str | None, templates: int) -> dict[str, str | int | None]:
    """The fields of a new entry, with the current time and actor."""
    return {
        "at": stamp(datetime.now(UTC)),
        "actor": _actor.get(),
        "action": action.value,
        "collection": collection,
        "subject": subject,
        "templates": templates,
    }


def gone(entries: Sequence[AuditEntry]) -> set[str]:
    """Digests of the subjects whose last log entry is their erasure, or their merging into another subject."""
    last = {entry.subject: entry.action for entry in entries if entry.subject is not None}
    return {subject for subject, action in last.items() if action in (Action.ERASE, Action.MERGED_AWAY)}
