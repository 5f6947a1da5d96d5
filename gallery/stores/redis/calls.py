"""Runs scripts on a collection in Redis, and converts their status to errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.gallery.errors import Conflict, FingerprintMismatch, NotFound
from gaitkeeper.gallery.stores.redis.link import Link
from gaitkeeper.gallery.stores.redis.trust import State, Trust
from gaitkeeper.gallery.types import Action
from gaitkeeper.pipelines.fingerprint import Fingerprint


class Calls:
    """Runs scripts that return a list whose first item is a status.

    Args:
        link: connection to Redis.
        trust: keys and log of the collections.
    """

    def __init__(self, link: Link, trust: Trust) -> None:
        self.link, self.trust = link, trust

    def of_collection(self, collection: str, script: str, /, *, durable: bool = False, **arguments: Any) -> list[Any]:
        """Run a script with arguments by name; see :meth:`gaitkeeper.gallery.stores.redis.link.Link.call`.

        Raises NotFound if there is no collection.
        """
        reply = self.link.call(base_of(collection), script, durable=durable, **arguments)
        if reply[0] == b"none":
            raise _no_collection(collection)
        return reply

    def of_subject(
        self, collection: str, subject: str, script: str, /, *, durable: bool = False, **arguments: Any
    ) -> list[Any]:
        """As :meth:`of_collection`, with the argument ``subject``. Also raises NotFound if it does not exist."""
        reply = self.of_collection(collection, script, durable=durable, subject=subject, **arguments)
        if reply[0] == b"subject":
            raise NotFound(f"The collection {collection!r} has no subject {subject!r}.", subject=subject)
        return reply

    def of_template(
        self, collection: str, template: str, script: str, /, *, durable: bool = False, **arguments: Any
    ) -> list[Any]:
        """As :meth:`of_collection`, with the argument ``template``. Also raises NotFound if it does not exist."""
        reply = self.of_collection(collection, script, durable=durable, template=template, **arguments)
        if reply[0] == b"template":
            raise no_template(collection, template)
        return reply

    def of_shadow(self, collection: str, script: str, /, *, durable: bool = False, **arguments: Any) -> list[Any]:
        """As :meth:`of_collection`, for its shadow. Raises Conflict if it has none."""
        reply = self.of_collection(collection, script, durable=durable, **arguments)
        if reply[0] == b"shadow":
            raise Conflict(f"The collection {collection!r} has no shadow.")
        return reply

    def state(self, collection: str, subject: str) -> State:
        """The data needed before writing about a subject. Raises NotFound."""
        state = self.trust.state(base_of(collection), subject)
        if state is None:
            raise _no_collection(collection)
        return state

    def entry(self, action: Action, collection: str, subject: str) -> str:
        """Make a new log entry about a subject. Raises NotFound if there is no collection."""
        return self.trust.entry(action, collection, subject, self.state(collection, subject).audit_key)


def base_of(collection: str) -> str:
    """Common prefix of all keys of a collection."""
    return f"gaitkeeper:{{{collection}}}"


def no_template(collection: str, template: str) -> NotFound:
    """The error for a template that does not exist."""
    return NotFound(f"The collection {collection!r} has no template {template!r}.", template=template)


def check_fits(
    status: bytes, details: list[bytes], collection: str, given: Fingerprint, embedding: npt.NDArray[np.floating]
) -> None:
    """Raise FingerprintMismatch if a script's status says so."""
    if status == b"fingerprint":
        raise FingerprintMismatch.between(collection, details[0].decode(), given)
    if status == b"shape":
        raise FingerprintMismatch.shapes(collection, (int(details[0]), int(details[1])), embedding.shape)


def _no_collection(collection: str) -> NotFound:
    return NotFound(f"There is no collection {collection!r}.", collection=collection)
