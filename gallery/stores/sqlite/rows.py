"""Conversion of the SQLite store's rows to the gallery's types."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

from gaitkeeper.gallery.stores.encoding import embedding_from
from gaitkeeper.gallery.stores.encryption import Seals
from gaitkeeper.gallery.stores.protocol import Change, Embedding
from gaitkeeper.gallery.types import Collection, Shadow, Subject, Template
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.walk_quality import Quality


def collection_of(row: sqlite3.Row) -> Collection:
    """A collection with its counts and its shadow."""
    fingerprint = None if row["fingerprint"] is None else Fingerprint.parse(row["fingerprint"])
    shadow = None
    if row["shadow"] is not None:
        shadow = Shadow(
            fingerprint=row["shadow"],
            templates=row["shadowed"],
            missing=row["templates"] - row["shadowed"],
            was_live=bool(row["was_live"]),
        )
    return Collection(
        name=row["name"],
        fingerprint=fingerprint,
        trained=None if fingerprint is None else fingerprint.trained,
        keeps_heatmaps=bool(row["keeps_heatmaps"]),
        subjects=row["subjects"],
        templates=row["templates"],
        created=datetime.fromisoformat(row["created"]),
        ttl_seconds=row["ttl"],
        sightings_seconds=row["sightings"],
        shadow=shadow,
    )


def subject_of(row: sqlite3.Row, collection: str) -> Subject:
    """A subject of the named collection."""
    return Subject(
        subject=row["id"],
        collection=collection,
        display_name=row["display_name"],
        metadata=json.loads(row["metadata"]),
        legal_basis=row["legal_basis"],
        templates=row["templates"],
        created=datetime.fromisoformat(row["created"]),
    )


def template_of(row: sqlite3.Row, collection: str, *, duplicate: bool = False) -> Template:
    """A template of the named collection."""
    fingerprint = Fingerprint.parse(row["fingerprint"])
    return Template(
        id=row["id"],
        collection=collection,
        subject=row["subject"],
        fingerprint=fingerprint,
        trained=fingerprint.trained,
        shape=(row["parts"], row["dims"]),
        clip_sha256=row["clip_sha256"],
        track=row["track"],
        camera=row["camera"],
        heading=row["heading"],
        start=row["start"],
        end=row["end"],
        quality=Quality(**json.loads(row["quality"])),
        has_heatmaps=bool(row["has_heatmaps"]),
        created=datetime.fromisoformat(row["created"]),
        expires=_moment(row["expires"]),
        duplicate=duplicate,
    )


def embedding_of(row: sqlite3.Row, template: str, sealing: Seals) -> Embedding:
    """The embedding, float32 (P, C). Raises BadStore if it is damaged."""
    data = sealing.open(row["sealed_key"], f"embedding {template}", row["data"])
    return embedding_from(data, row["dtype"], (row["parts"], row["dims"]), template)


def change_of(row: sqlite3.Row, sealing: Seals) -> Change:
    """A change: the template, or its removal if the change has no template any more."""
    if row["subject"] is None:
        return Change(row["template"])
    return Change(
        row["template"],
        row["subject"],
        Fingerprint.parse(row["fingerprint"]),
        embedding_of(row, row["template"], sealing),
        json.loads(row["metadata"]),
        _moment(row["expires"]),
        row["camera"],
        row["heading"],
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
