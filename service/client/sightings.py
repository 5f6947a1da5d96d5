"""The client's methods for sightings, and for pictures of subjects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Unpack

from gaitkeeper.service import problems
from gaitkeeper.service.client.connection import Connection, path_part
from gaitkeeper.service.schemas import (
    Collection,
    EarlierSearch,
    Removal,
    Sighting,
    SightingFilter,
    SightingsReply,
)

PAGE = 1000


class SightingsClient(Connection):
    """Sightings of the collections of one service."""

    def update_collection(self, collection: str = "default", **changes: float | None) -> Collection:
        """Change settings of a collection: ``ttl_seconds`` and ``sightings_seconds``. Those that are left out keep
        their value. With ``sightings_seconds=None`` all sightings and pictures of subjects are deleted.
        """
        return self._send("PATCH", f"/collections/{path_part(collection)}", Collection, json=changes)

    def sightings(
        self, *, limit: int | None = None, after: str | None = None, **wanted: Unpack[SightingFilter]
    ) -> SightingsReply:
        """Sightings, newest first, at most ``limit``, from the page after ``after``; by default all."""
        query = _query(wanted)
        whole: SightingsReply | None = None
        while True:
            most = PAGE if limit is None else min(PAGE, limit - (len(whole.sightings) if whole else 0))
            given = {**query, "limit": str(most), **({} if after is None else {"after": after})}
            page = self._send("GET", "/sightings", SightingsReply, params=given)
            if whole is not None:
                page.sightings[:0] = whole.sightings
            whole, after = page, page.next
            if after is None or (limit is not None and len(whole.sightings) >= limit):
                return whole

    def sighting(self, sighting: str, *, collection: str = "default") -> Sighting:
        """One sighting."""
        return self._send("GET", f"/sightings/{path_part(sighting)}", Sighting, params={"collection": collection})

    def sighting_thumbnail(self, sighting: str, *, collection: str = "default") -> bytes:
        """The picture of a sighting, JPEG."""
        return self._fetch(f"/sightings/{path_part(sighting)}/thumbnail", {"collection": collection})

    def forget_sighting(self, sighting: str, *, collection: str = "default") -> Removal:
        """Delete one sighting."""
        return self._send("DELETE", f"/sightings/{path_part(sighting)}", Removal, params={"collection": collection})

    def forget_sightings(self, **wanted: Unpack[SightingFilter]) -> Removal:
        """Delete all sightings that are wanted."""
        return self._send("DELETE", "/sightings", Removal, params=_query(wanted))

    def earlier(
        self,
        subject: str,
        *,
        before: datetime | None = None,
        fpir: float = 0.01,
        limit: int = 100,
        collection: str = "default",
    ) -> EarlierSearch:
        """Search the kept unknown walkers for a subject; by default those from before it was enrolled."""
        path = f"/collections/{path_part(collection)}/subjects/{path_part(subject)}/earlier"
        query = {"fpir": repr(fpir), "limit": str(limit)} | ({} if before is None else {"before": before.isoformat()})
        return self._send("GET", path, EarlierSearch, params=query)

    def subject_picture(self, subject: str, *, collection: str = "default") -> bytes:
        """The picture of a subject, JPEG."""
        return self._fetch(f"/collections/{path_part(collection)}/subjects/{path_part(subject)}/picture", {})

    def _fetch(self, path: str, query: Mapping[str, str]) -> bytes:
        with self._connected():
            reply = self._http.get(path, params=query)
        if not reply.is_success:
            raise problems.from_body(self._document(reply))
        return reply.content


def _query(wanted: SightingFilter) -> dict[str, str]:
    given = {name: value for name, value in wanted.items() if value is not None}
    return {name: value.isoformat() if isinstance(value, datetime) else str(value) for name, value in given.items()}
