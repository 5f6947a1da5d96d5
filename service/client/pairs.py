"""The client's methods for two subjects who may be one person."""

from __future__ import annotations

from gaitkeeper.gallery.types.pairs import Merge, nearness
from gaitkeeper.service.client.connection import Connection, path_part
from gaitkeeper.service.schemas import Apart, DistancesReply, DoublesReply, Silhouettes


class Pairs(Connection):
    """Adds the methods for two subjects."""

    def merge(
        self, subject: str, other: str, *, collection: str = "default", idempotency_key: str | None = None
    ) -> Merge:
        """Merge another subject into a subject. This cannot be undone.

        Requests with the same ``idempotency_key`` are processed once.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._send("POST", _subject(collection, subject, "merge"), Merge, json={"other": other}, headers=headers)

    def doubles(self, *, collection: str = "default") -> DoublesReply:
        """Pairs of subjects who are likely the same person, from all pages, most likely first."""
        whole = self._pages(f"/collections/{path_part(collection)}/doubles", DoublesReply, "doubles", limit=100)
        whole.doubles.sort(key=nearness)
        return whole

    def tell_apart(self, subject: str, other: str, *, collection: str = "default") -> Apart:
        """Store that two subjects are different people."""
        return self._send("POST", _subject(collection, subject, "apart"), Apart, json={"other": other})

    def distances(self, subject: str, other: str | None = None, *, collection: str = "default") -> DistancesReply:
        """The distances between the walks of one or two subjects."""
        query = {} if other is None else {"other": other}
        return self._send("GET", _subject(collection, subject, "distances"), DistancesReply, params=query)

    def silhouettes(self, subject: str, template: str, *, collection: str = "default") -> Silhouettes:
        """A part of a template's walk as moving silhouettes."""
        return self._send("GET", _subject(collection, subject, "templates", template, "silhouettes"), Silhouettes)


def _subject(collection: str, *parts: str) -> str:
    return f"/collections/{path_part(collection)}/subjects/{'/'.join(map(path_part, parts))}"
