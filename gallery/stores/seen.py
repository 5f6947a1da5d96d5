"""The part of the store protocol for sightings and for pictures of subjects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from gaitkeeper.gallery.types import Removal
from gaitkeeper.gallery.types.sightings import Known, NewSighting, SeenWalk, Sighting, Wanted

EVERY = Wanted()


class Seen(Protocol):
    """Sightings of a collection, and a picture of each subject. A collection has neither unless it enables them.

    A sighting is older than allowed once its time and the collection's ``sightings_seconds`` are past. From then on no
    method returns it, and :meth:`gaitkeeper.gallery.stores.protocol.Records.purge` removes it. So a shorter time
    applies to kept sightings, too. Sightings of a subject, and its picture, go with the subject. Adding one is not
    logged: the log is kept forever, and would say who was seen when. Turning them on or off, and deletions, are logged.
    """

    def keep_sightings(self, collection: str, seconds: float | None) -> Removal:
        """Keep sightings for this number of seconds. None stops this, and deletes all sightings and pictures."""

    def see(self, collection: str, sighting: NewSighting, most: int) -> Sighting | None:
        """Add a sighting, or put it in place of that with its id, whose time is kept. Remove the oldest of more than
        ``most``. Unlike an enrolment it may not be on disk on return.

        Returns:
            The sighting; None if the collection keeps none, or the sighting's subject does not exist.
        """

    def sightings(
        self, collection: str, wanted: Wanted = EVERY, before: tuple[datetime, str] | None = None, limit: int = 100
    ) -> list[Sighting]:
        """The newest sightings, newest first, at most ``limit``.

        Args:
            collection: its name.
            wanted: which of them.
            before: time and id of the last one known; only older ones are returned. Of the same time, ids fall.
            limit: maximum number.
        """

    def sighting(self, collection: str, sighting: str) -> Sighting:
        """One sighting. Raises NotFound."""

    def thumbnail(self, collection: str, sighting: str) -> bytes:
        """The picture of a sighting, JPEG. Raises NotFound if there is none."""

    def seen_walks(self, collection: str, until: datetime | None = None) -> list[tuple[Sighting, SeenWalk]]:
        """The sightings before a time that have a walk, with it, newest first."""

    def forget_sightings(
        self, collection: str, wanted: Wanted = EVERY, sightings: Sequence[str] | None = None
    ) -> Removal:
        """Delete sightings: all that are wanted, or, of these, those with the given ids."""

    def known(self, collection: str, subjects: Sequence[str]) -> list[Known]:
        """What is known about each of these subjects beside its templates; nothing of one that does not exist."""

    def keep_picture(self, collection: str, subject: str, jpeg: bytes) -> bool:
        """Keep a picture of a subject, in place of an earlier one. Returns False if the collection keeps none, or there
        is no such subject.
        """

    def picture(self, collection: str, subject: str) -> bytes:
        """The picture of a subject, JPEG. Raises NotFound if there is none."""
