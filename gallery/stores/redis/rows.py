"""Conversion of the Redis store's records to the gallery's types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from gaitkeeper.gallery.stores.encoding import embedding_from, stamp
from gaitkeeper.gallery.stores.encryption import Seals
from gaitkeeper.gallery.stores.protocol import Change, Embedding, NewSubject, NewTemplate
from gaitkeeper.gallery.types import Collection, Shadow, Subject, Template
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.walk_quality import Quality

Hash = dict[str, str]


def hash_of(flat: Sequence[bytes]) -> Hash:
    """Convert the result of HGETALL in a script: names and values alternate."""
    return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}


def collection_of(name: str, reply: Sequence[Any]) -> Collection:
    """Convert the reply of the script ``collection/read``."""
    own, live, other = map(hash_of, reply[1:4])
    shadowed, subjects, templates = reply[4:7]
    fingerprint = Fingerprint.parse(live["fingerprint"]) if "fingerprint" in live else None
    shadow = None
    if other:
        shadow = Shadow(
            fingerprint=Fingerprint.parse(other["fingerprint"]),
            templates=shadowed,
            missing=templates - shadowed,
            was_live=other["was_live"] == "1",
        )
    return Collection(
        name=name,
        fingerprint=fingerprint,
        trained=None if fingerprint is None else fingerprint.trained,
        keeps_heatmaps=own["keeps_heatmaps"] == "1",
        subjects=subjects,
        templates=templates,
        created=datetime.fromisoformat(own["created"]),
        ttl_seconds=float(own["ttl"]) if "ttl" in own else None,
        sightings_seconds=seconds_of(own),
        shadow=shadow,
    )


def seconds_of(own: Hash) -> float | None:
    """For how long a collection keeps sightings, from its hash; None if it keeps none."""
    return float(own["sightings"]) if "sightings" in own else None


def subject_fields(subject: NewSubject, sealed_key: bytes | None) -> str:
    """The fields of an enrolment or update, in the form of the script's ``upsert``."""
    fields = {"display_name": subject.display_name, "legal_basis": subject.legal_basis}
    if sealed_key is not None:
        fields["key"] = sealed_key.hex()
    if subject.metadata is not None:
        fields["metadata"] = json.dumps(dict(subject.metadata), sort_keys=True)
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def subject_of(row: Sequence[Any], collection: str) -> Subject:
    """Convert a subject's id, record and number of templates."""
    record = json.loads(row[1])
    return Subject(
        subject=row[0].decode(),
        collection=collection,
        display_name=record.get("display_name"),
        metadata=json.loads(record["metadata"]),
        legal_basis=record.get("legal_basis"),
        templates=row[2],
        created=datetime.fromisoformat(record["created"]),
    )


def template_record(new: NewTemplate, subject: str, created: datetime, expires: datetime | None) -> str:
    """The record of a template, without its embedding and sequence."""
    fields = {
        "subject": subject,
        "clip_sha256": new.clip_sha256,
        "track": new.track,
        "camera": new.camera,
        "heading": new.heading,
        "start": new.start,
        "end": new.end,
        "quality": asdict(new.quality),
        "has_heatmaps": new.has_heatmaps,
        "created": stamp(created),
        "expires": None if expires is None else stamp(expires),
    }
    return json.dumps(fields)


def template_of(row: Sequence[bytes], live: Hash, collection: str, *, duplicate: bool = False) -> Template:
    """Convert a template's id and record, and the hash of the live generation."""
    fields = json.loads(row[1])
    fingerprint = Fingerprint.parse(live["fingerprint"])
    return Template(
        id=row[0].decode(),
        collection=collection,
        subject=fields["subject"],
        fingerprint=fingerprint,
        trained=fingerprint.trained,
        shape=(int(live["parts"]), int(live["dims"])),
        clip_sha256=fields["clip_sha256"],
        track=fields["track"],
        camera=fields.get("camera"),
        heading=fields.get("heading"),
        start=fields["start"],
        end=fields["end"],
        quality=Quality(**fields["quality"]),
        has_heatmaps=fields["has_heatmaps"],
        created=datetime.fromisoformat(fields["created"]),
        expires=_moment(fields["expires"]),
        duplicate=duplicate,
    )


def key_of(record: bytes) -> bytes | None:
    """The sealed key in a subject's record."""
    key = json.loads(record).get("key") if record else None
    return None if key is None else bytes.fromhex(key)


def embedding_of(value: bytes, live: Hash, template: str, sealing: Seals, sealed_key: bytes | None) -> Embedding:
    """Decode an embedding that is prefixed with the two letters of its type."""
    data = sealing.open(sealed_key, f"embedding {template}", value[2:])
    return embedding_from(data, value[:2].decode("ascii", "replace"), (int(live["parts"]), int(live["dims"])), template)


def change_of(row: Sequence[bytes], live: Hash, sealing: Seals) -> Change:
    """Convert a change: the template's id and, if it exists, its records and embedding."""
    template = row[0].decode()
    if len(row) == 1:
        return Change(template)
    record, subject = json.loads(row[1]), json.loads(row[2])
    return Change(
        template,
        record["subject"],
        Fingerprint.parse(live["fingerprint"]),
        embedding_of(row[3], live, template, sealing, key_of(row[2])),
        json.loads(subject["metadata"]),
        _moment(record["expires"]),
        record.get("camera"),
        record.get("heading"),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
