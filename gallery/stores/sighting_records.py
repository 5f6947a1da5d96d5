"""Stored form of sightings, the same in both stores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from gaitkeeper.gallery.stores.encoding import embedding_from, micros, moment
from gaitkeeper.gallery.stores.encryption import Seals
from gaitkeeper.gallery.types.sightings import NewSighting, SeenWalk, Sighting
from gaitkeeper.pipelines.fingerprint import Fingerprint

_FIELDS = ("camera", "source", "verdict", "reason", "distance", "confidence", "stranger", "clip_sha256")
_OF_CLIP = ("track", "start", "end")


def fields_of(new: NewSighting) -> dict[str, Any]:
    """The fields of a sighting's record: all but its id, its time, its subject, its picture and its embedding."""
    walk = new.walk
    return {
        **{name: getattr(new, name) for name in (*_FIELDS, *_OF_CLIP)},
        "thumbnail": bool(new.thumbnail),
        "walk": None
        if walk is None
        else {
            "fingerprint": str(walk.fingerprint),
            "shape": walk.embedding.shape,
            "heading": walk.heading,
        },
    }


def sighting_of(
    collection: str, sighting: str, at: int, subject: str | None, fields: Mapping[str, Any], seconds: float
) -> Sighting:
    """A sighting from its record.

    Args:
        collection: name of its collection.
        sighting: its id.
        at: its time in microseconds since 1970.
        subject: id of its subject.
        fields: the record, as :func:`fields_of` gives it.
        seconds: for how long the collection keeps sightings.
    """
    time = moment(at)
    return Sighting(
        id=sighting,
        collection=collection,
        time=time,
        expires=time + timedelta(seconds=seconds),
        subject=subject,
        thumbnail=fields["thumbnail"],
        searchable=fields["walk"] is not None,
        **{name: fields[name] for name in (*_FIELDS, *_OF_CLIP)},
    )


def sealed_parts(new: NewSighting, sighting: str, sealing: Seals, key: bytes | None) -> tuple[bytes, bytes]:
    """The picture and the embedding of a sighting, sealed with its key; empty if it has none."""
    walk = b"" if new.walk is None else np.ascontiguousarray(new.walk.embedding, "<f4").tobytes()
    return (
        sealing.seal(key, f"thumbnail {sighting}", new.thumbnail) if new.thumbnail else b"",
        sealing.seal(key, f"walk {sighting}", walk) if walk else b"",
    )


def walk_of(sighting: str, fields: Mapping[str, Any], data: bytes, sealing: Seals, key: bytes | None) -> SeenWalk:
    """The walk of a sighting from its record and its sealed embedding. Raises BadStore if it is damaged."""
    about = fields["walk"]
    embedding = embedding_from(sealing.open(key, f"walk {sighting}", data), "f4", tuple(about["shape"]), sighting)
    return SeenWalk(Fingerprint.parse(about["fingerprint"]), embedding, about["heading"])


def oldest(seconds: float, now: datetime | None = None) -> int:
    """The time up to which sightings are too old, in microseconds since 1970."""
    return micros(now or datetime.now(UTC)) - round(seconds * 1e6)
