"""Operations on the sightings of collections, and on the pictures of subjects, that need no clip."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Unpack

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.names import check_camera, known_subject
from gaitkeeper.gallery.observations.sightings import Sightings
from gaitkeeper.gallery.rates import check_rates
from gaitkeeper.gallery.stores.protocol import Store
from gaitkeeper.gallery.types.sightings import EarlierSearch, Sighting, Wanted
from gaitkeeper.service.errors import InvalidRequest
from gaitkeeper.service.schemas import Collection, Removal, SightingFilter, SightingsReply, Subject

PAGE = 1000
_CURSOR = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)_([0-9a-f]{32})")


class SightingRecords:
    """Sightings in the galleries of one store. Thread-safe."""

    store: Store

    def gallery(self, collection: str, *, create: bool = False, network: str | None = None) -> Gallery:
        """The gallery of a collection that the caller may use. Raises NotFound, BadCollection, Forbidden."""
        raise NotImplementedError

    def update_collection(self, collection: str = "default", **changes: float | None) -> Collection:
        """Change settings of a collection: ``ttl_seconds`` and ``sightings_seconds``, as of
        :class:`gaitkeeper.gallery.types.Collection`. Those that are left out keep their value. With
        ``sightings_seconds=None`` all sightings and pictures of subjects are deleted.

        Raises:
            NotFound, BadCollection, StoreUnavailable: see the gallery.
        """
        name = self.gallery(collection).name
        if unknown := sorted(changes.keys() - {"ttl_seconds", "sightings_seconds"}):
            raise TypeError(f"A collection has no setting {unknown[0]!r}.")
        if "ttl_seconds" in changes:
            self.store.set_ttl(name, changes["ttl_seconds"])
        if "sightings_seconds" in changes:
            self.store.keep_sightings(name, changes["sightings_seconds"])
        return self.store.collection(name)

    def sightings(
        self, *, limit: int | None = None, after: str | None = None, **wanted: Unpack[SightingFilter]
    ) -> SightingsReply:
        """Sightings, newest first, all or one page.

        Args:
            limit: maximum number; None for all.
            after: ``next`` of the page before.
            wanted: which of them.

        Raises:
            InvalidRequest: ``after`` is no ``next`` of a page, or a time has no time zone.
            NotFound, BadCollection, BadSubject, BadCamera, StoreUnavailable: see the gallery.
        """
        gallery = self._gallery_of(wanted)
        meant, before = _wanted(wanted), _cursor(after)
        found: list[Sighting] = []
        more = True
        while more and (limit is None or len(found) <= limit):
            # One more than asked for shows whether there is another page.
            asked = PAGE if limit is None else limit + 1 - len(found)
            page = self.store.sightings(gallery.name, meant, before, asked)
            found += page
            more = len(page) == asked
            before = (page[-1].time, page[-1].id) if page else before
        shown = found[:limit]
        return SightingsReply(
            collection=gallery.name,
            keep_seconds=gallery.collection.sightings_seconds,
            sightings=shown,
            next=_place(shown[-1]) if shown and len(shown) < len(found) else None,
        )

    def sighting(self, sighting: str, *, collection: str = "default") -> Sighting:
        """One sighting. Raises NotFound."""
        return self.store.sighting(self.gallery(collection).name, sighting)

    def sighting_thumbnail(self, sighting: str, *, collection: str = "default") -> bytes:
        """The picture of a sighting, JPEG. Raises NotFound if there is none."""
        return self.store.thumbnail(self.gallery(collection).name, sighting)

    def forget_sighting(self, sighting: str, *, collection: str = "default") -> Removal:
        """Delete one sighting. Raises NotFound."""
        name = self.gallery(collection).name
        self.store.sighting(name, sighting)
        return self.store.forget_sightings(name, sightings=[sighting])

    def forget_sightings(self, **wanted: Unpack[SightingFilter]) -> Removal:
        """Delete all sightings that are wanted. Raises as :meth:`sightings`."""
        gallery = self._gallery_of(wanted)
        return self.store.forget_sightings(gallery.name, _wanted(wanted))

    def earlier(
        self,
        subject: str,
        *,
        before: datetime | None = None,
        fpir: float = 0.01,
        limit: int = 100,
        collection: str = "default",
    ) -> EarlierSearch:
        """Search the kept unknown walkers for a subject.

        Args:
            subject: id of the subject.
            before: search only sightings before this time; by default before the subject was enrolled.
            fpir: false-positive identification rate of the threshold.
            limit: maximum number of sightings that are returned.
            collection: name of the collection.

        Raises:
            NotFound: no subject has this id.
            InvalidRequest: the time has no time zone.
            BadFpir: the value is not a rate, or not a calibrated one.
            BadCollection, BadSubject, StoreUnavailable: see the gallery.
        """
        gallery = self.gallery(collection)
        _check_zone("before", before)
        check_rates(gallery, fpir=fpir)
        found = Sightings(gallery).earlier(subject, before, fpir)
        return found.model_copy(update={"found": found.found[:limit]})

    def subject_picture(self, subject: str, *, collection: str = "default") -> bytes:
        """The picture of a subject, JPEG. Raises NotFound if there is none."""
        return self.store.picture(self.gallery(collection).name, known_subject(subject))

    def with_last_seen(self, collection: str, subjects: Sequence[Subject]) -> list[Subject]:
        """The subjects of a collection with their newest sighting, and whether there is a picture of each."""
        known = self.store.known(collection, [one.subject for one in subjects])
        return [
            one.model_copy(update={"last_seen": more.last_seen, "picture": more.picture})
            for one, more in zip(subjects, known, strict=True)
        ]

    def _gallery_of(self, wanted: SightingFilter) -> Gallery:
        return self.gallery(wanted.get("collection") or "default")


def _wanted(given: SightingFilter) -> Wanted:
    rest: Mapping[str, Any] = {name: value for name, value in given.items() if name != "collection"}
    check_camera(rest.get("camera"))
    for name in ("since", "until"):
        _check_zone(name, rest.get(name))
    subject = rest.get("subject")
    return Wanted(**{**rest, "subject": None if subject is None else known_subject(subject)})


def _check_zone(name: str, time: datetime | None) -> None:
    if time is not None and time.tzinfo is None:
        sentence = "a time zone is missing, as in 2026-01-31T08:00:00Z"
        raise InvalidRequest(f"{name}: {sentence}.", errors=[{"field": name, "message": sentence}])


def _place(last: Sighting) -> str:
    """The cursor after a sighting. It stays valid if the sighting is deleted."""
    return f"{last.time.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}_{last.id}"


def _cursor(after: str | None) -> tuple[datetime, str] | None:
    if after is None:
        return None
    try:
        if (found := _CURSOR.fullmatch(after)) is None:
            raise ValueError
        return datetime.fromisoformat(found[1]), found[2]
    except ValueError:
        sentence = "it is not the `next` of a page"
        raise InvalidRequest(f"after: {sentence}.", errors=[{"field": "after", "message": sentence}]) from None
