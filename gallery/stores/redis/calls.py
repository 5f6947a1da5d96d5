"""Scripts run on a collection of a Redis, with what they refuse as errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gallery.errors import Conflict, FingerprintMismatch, NotFound
from gallery.stores.redis.link import Link
from gallery.stores.redis.trust import State, Trust
from gallery.types import Action
from pipelines.fingerprint import Fingerprint


class Calls:
    """Runs scripts that answer with a list, the first of which is a status.

    Args:
        link: to the Redis.
        trust: its keys and its log.
    """

    def __init__(self, link: Link, trust: Trust) -> None:
        self.link, self.trust = link, trust

    def of_collection(self, collection: str, script: str, *args: Any, durable: bool = False) -> list[Any]:
        """What a script answers, once it is on disk if ``durable``. Raises NotFound where there is no collection."""
        reply = self.link.call(base_of(collection), script, *args, durable=durable)
        if reply[0] == b"none":
            raise _no_collection(collection)
        return reply

    def of_subject(self, collection: str, subject: str, script: str, *args: Any, durable: bool = False) -> list[Any]:
        """As :meth:`of_collection`, of one subject. Raises NotFound where it is not there, too."""
        reply = self.of_collection(collection, script, subject, *args, durable=durable)
        if reply[0] == b"subject":
            raise NotFound(f"The collection {collection!r} has no subject {subject!r}.", subject=subject)
        return reply

    def of_template(self, collection: str, template: str, script: str, *args: Any, durable: bool = False) -> list[Any]:
        """As :meth:`of_collection`, of one template. Raises NotFound where it is not there, too."""
        reply = self.of_collection(collection, script, template, *args, durable=durable)
        if reply[0] == b"template":
            raise no_template(collection, template)
        return reply

    def of_shadow(self, collection: str, script: str, *args: Any, durable: bool = False) -> list[Any]:
        """As :meth:`of_collection`, of its shadow. Raises Conflict where it has none."""
        reply = self.of_collection(collection, script, *args, durable=durable)
        if reply[0] == b"shadow":
            raise Conflict(f"The collection {collection!r} has no shadow.")
        return reply

    def state(self, collection: str, subject: str) -> State:
        """What has to be known before something is written of a subject. Raises NotFound."""
        state = self.trust.state(base_of(collection), subject)
        if state is None:
            raise _no_collection(collection)
        return state

    def entry(self, action: Action, collection: str, subject: str) -> str:
        """A new entry of the log on a subject. Raises NotFound where there is no collection."""
        return self.trust.entry(action, collection, subject, self.state(collection, subject).audit_key)


def base_of(collection: str) -> str:
    """With what all keys of a collection begin."""
    return f"gaitkeeper:{{{collection}}}"


def no_template(collection: str, template: str) -> NotFound:
    """The error to raise for a template that is not there."""
    return NotFound(f"The collection {collection!r} has no template {template!r}.", template=template)


def check_fits(
    status: bytes, details: list[bytes], collection: str, given: Fingerprint, embedding: npt.NDArray[np.floating]
) -> None:
    """Raise FingerprintMismatch where a script's status says that an embedding does not belong there."""
    if status == b"fingerprint":
        raise FingerprintMismatch.between(collection, details[0].decode(), given)
    if status == b"shape":
        raise FingerprintMismatch.shapes(collection, (int(details[0]), int(details[1])), embedding.shape)


def _no_collection(collection: str) -> NotFound:
    return NotFound(f"There is no collection {collection!r}.", collection=collection)
