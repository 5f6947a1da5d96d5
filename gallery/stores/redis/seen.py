"""Sightings and pictures of subjects in the Redis store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.stores.encoding import micros, moment
from gaitkeeper.gallery.stores.redis.calls import Calls
from gaitkeeper.gallery.stores.redis.rows import hash_of, key_of, seconds_of
from gaitkeeper.gallery.stores.seen import EVERY
from gaitkeeper.gallery.stores.sighting_records import fields_of, oldest, sealed_parts, sighting_of, walk_of
from gaitkeeper.gallery.types import Action, LastSeen
from gaitkeeper.gallery.types.sightings import Known, NewSighting, SeenWalk, Sighting, Wanted

AT_ONCE = 500
"""Sightings that a script reads or deletes, so that other clients do not wait for long."""


class Row(NamedTuple):
    """A sighting, the hash of its collection, its record, its sealed key, and its sealed embedding."""

    sighting: Sighting
    own: dict[str, str]
    fields: dict[str, Any]
    key: bytes | None
    walk: bytes


class Sightings:
    """The sightings in Redis; see :class:`gaitkeeper.gallery.stores.seen.Seen`.

    Args:
        calls: runs the scripts.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls, self._trust = calls, calls.trust

    def keep(self, collection: str, seconds: float | None) -> int:
        """As ``keep_sightings``. Returns the number of deleted ones."""
        (gone,) = self._calls.of_collection(
            collection,
            "seen/keep",
            durable=True,
            seconds="" if seconds is None else repr(seconds),
            entry=self._trust.entry(Action.KEEP_SIGHTINGS, collection),
        )[1:]
        return int(gone) if seconds is None else self.purge(collection, oldest(seconds))

    def see(self, collection: str, new: NewSighting, most: int) -> Sighting | None:
        """As there, here and below."""
        fields = fields_of(new)
        while True:  # repeat if the keys have changed before the script runs
            own = self._calls.state(collection, "").own
            seconds = seconds_of(own)
            if seconds is None:
                return None
            sealing = self._trust.seals(collection, own.get("secret", ""))
            key = sealing.subject_key(None)
            thumbnail, walk = sealed_parts(new, new.id, sealing, key)
            status, *at = self._calls.of_collection(
                collection,
                "seen/see",
                sighting=new.id,
                at=micros(new.time),
                subject=new.subject or "",
                record=json.dumps({**fields, "subject": new.subject}),
                sealed_key="" if key is None else key.hex(),
                thumbnail=thumbnail,
                walk=walk,
                most=most,
                secret=own.get("secret", ""),
            )
            if status != b"key":
                break
        if status == b"off":
            return None
        return sighting_of(collection, new.id, _time(at[0]), new.subject, fields, seconds)

    def listed(
        self, collection: str, wanted: Wanted, before: tuple[datetime, str] | None, limit: int
    ) -> list[Sighting]:
        """As ``sightings``."""
        found: list[Sighting] = []
        rows = self._rows(collection, wanted, before)
        while len(found) < limit and (row := next(rows, None)) is not None:
            found.append(row.sighting)
        return found

    def one(self, collection: str, sighting: str) -> Sighting:
        """As ``sighting``."""
        return self._read(collection, sighting)[0].sighting

    def thumbnail(self, collection: str, sighting: str) -> bytes:
        row, data = self._read(collection, sighting)
        if not data:
            raise NotFound(f"The sighting {sighting!r} has no picture.", sighting=sighting)
        sealing = self._trust.seals(collection, row.own.get("secret", ""))
        return sealing.open(row.key, f"thumbnail {sighting}", data)

    def walks(self, collection: str, until: datetime | None) -> list[tuple[Sighting, SeenWalk]]:
        """As ``seen_walks``."""
        wanted = Wanted(until=until)
        return [
            (
                row.sighting,
                walk_of(
                    row.sighting.id,
                    row.fields,
                    row.walk,
                    self._trust.seals(collection, row.own.get("secret", "")),
                    row.key,
                ),
            )
            for row in self._rows(collection, wanted, None, walks=True)
            if row.walk
        ]

    def forget(self, collection: str, wanted: Wanted, sightings: Sequence[str] | None) -> int:
        """As ``forget_sightings``. Returns the number of deleted ones."""
        if sightings is None or wanted != EVERY:
            asked = None if sightings is None else set(sightings)
            rows = self._rows(collection, wanted, None)
            ids = [row.sighting.id for row in rows if asked is None or row.sighting.id in asked]
        else:
            ids = list(sightings)
        gone = 0
        for start in range(0, len(ids), AT_ONCE):
            some = json.dumps(ids[start : start + AT_ONCE])
            gone += self._calls.of_collection(collection, "seen/delete", durable=True, sightings=some)[1]
        return gone

    def purge(self, collection: str, before: int) -> int:
        """Delete the sightings up to a time in microseconds since 1970. Returns their number."""
        gone = 0
        while True:
            _, some = self._calls.of_collection(collection, "seen/purge", durable=True, before=before, limit=AT_ONCE)
            gone += int(some)
            if some < AT_ONCE:
                return gone

    def known(self, collection: str, subjects: Sequence[str]) -> list[Known]:
        _, own, *rows = self._calls.of_collection(collection, "seen/known", subjects=json.dumps(list(subjects)))
        seconds = seconds_of(hash_of(own))
        if seconds is None:
            return [Known()] * len(subjects)
        before = oldest(seconds)
        found = []
        for picture, at, record in rows:
            last = None
            if record and _time(at) > before:
                last = LastSeen(time=moment(_time(at)), camera=json.loads(record)["camera"])
            found.append(Known(last, bool(picture)))
        return found

    def keep_picture(self, collection: str, subject: str, jpeg: bytes) -> bool:
        status: bytes = b"key"
        while status == b"key":
            state = self._calls.state(collection, subject)
            if state.secret is not None and state.sealed_key is None:  # there is no such subject
                return False
            sealing = self._trust.seals(collection, state.own.get("secret", ""))
            status = self._calls.of_collection(
                collection,
                "seen/keep_picture",
                subject=subject,
                picture=sealing.seal(state.sealed_key, f"picture {subject}", jpeg),
                sealed_key="" if state.sealed_key is None else state.sealed_key.hex(),
                secret=state.own.get("secret", ""),
            )[0]
        return status == b"ok"

    def picture(self, collection: str, subject: str) -> bytes:
        _, secret, record, data = self._calls.of_subject(collection, subject, "seen/picture")
        if not data:
            raise NotFound(f"There is no picture of the subject {subject!r}.", subject=subject)
        return self._trust.seals(collection, secret).open(key_of(record), f"picture {subject}", data)

    def _rows(
        self, collection: str, wanted: Wanted, before: tuple[datetime, str] | None, *, walks: bool = False
    ) -> Iterator[Row]:
        """The wanted sightings, newest first."""
        seconds = seconds_of(self._calls.state(collection, "").own)
        if seconds is None:
            return
        low = oldest(seconds) + 1
        high, last = (None, "") if before is None else (micros(before[0]), before[1])
        if wanted.since is not None:
            low = max(low, micros(wanted.since))
        if wanted.until is not None and (high is None or micros(wanted.until) <= high):
            high, last = micros(wanted.until) - 1, ""
        while True:
            _, own, sighting, at, *rows = self._calls.of_collection(
                collection,
                "seen/list",
                low=low,
                high="+inf" if high is None else high,
                last=last,
                most=AT_ONCE,
                subject=wanted.subject or "",
                camera=wanted.camera or "",
                verdict=wanted.verdict or "",
                walks="yes" if walks else "",
            )
            yield from (_row(collection, hash_of(own), row) for row in rows)
            if not sighting:
                return
            high, last = _time(at), sighting.decode()

    def _read(self, collection: str, sighting: str) -> tuple[Row, bytes]:
        """A sighting and its sealed picture. Raises NotFound."""
        status, own, *rows = self._calls.of_collection(collection, "seen/read", sighting=sighting)
        seconds = seconds_of(hash_of(own))
        if status == b"ok" and seconds is not None and _time(rows[0][1]) > oldest(seconds):
            return _row(collection, hash_of(own), rows[0]), rows[0][4]
        raise NotFound(f"The collection {collection!r} has no sighting {sighting!r}.", sighting=sighting)


def _row(collection: str, own: dict[str, str], row: Sequence[bytes]) -> Row:
    """Convert a sighting's id, time and record, and, if they are there, its sealed key and its sealed embedding."""
    fields = json.loads(row[2])
    key, walk = (row[3], row[4]) if len(row) > 3 else (b"", b"")
    sighting = sighting_of(
        collection, row[0].decode(), _time(row[1]), fields["subject"], fields, seconds_of(own) or 0.0
    )
    return Row(sighting, own, fields, bytes.fromhex(key.decode()) if key else None, walk)


def _time(score: bytes) -> int:
    return int(float(score))
