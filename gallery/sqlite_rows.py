"""Rows of the SQLite store as the gallery's types."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

import numpy as np

from gallery.errors import BadStore
from gallery.store import Change, Embedding
from gallery.types import Collection, Subject, Template
from pipelines.fingerprint import Fingerprint
from pipelines.sequence import Quality


def collection_of(row: sqlite3.Row) -> Collection:
    """A collection with its counts."""
    fingerprint = None if row["fingerprint"] is None else Fingerprint.parse(row["fingerprint"])
    return Collection(
        name=row["name"],
        fingerprint=fingerprint,
        trained=None if fingerprint is None else fingerprint.trained,
        keeps_heatmaps=bool(row["keeps_heatmaps"]),
        subjects=row["subjects"],
        templates=row["templates"],
        created=datetime.fromisoformat(row["created"]),
    )


def subject_of(row: sqlite3.Row, collection: str) -> Subject:
    """A subject of the named collection."""
    return Subject(
        id=row["id"],
        collection=collection,
        display_name=row["display_name"],
        metadata=json.loads(row["metadata"]),
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
        start=row["start"],
        end=row["end"],
        quality=Quality(**json.loads(row["quality"])),
        has_heatmaps=bool(row["has_heatmaps"]),
        created=datetime.fromisoformat(row["created"]),
        duplicate=duplicate,
    )


def embedding_of(row: sqlite3.Row, template: str) -> Embedding:
    """The embedding, float32 (P, C). Raises BadStore where its bytes are not as many as its shape says."""
    if len(row["embedding"]) != 4 * row["parts"] * row["dims"]:
        raise BadStore(f"The embedding of template {template!r} is damaged.")
    return np.frombuffer(row["embedding"], "<f4").reshape(row["parts"], row["dims"]).astype(np.float32)


def change_of(row: sqlite3.Row) -> Change:
    """A template that came, or, where no template is left beside it, one that is gone."""
    if row["subject"] is None:
        return Change(row["revision"], row["template"])
    fingerprint = Fingerprint.parse(row["fingerprint"])
    return Change(row["revision"], row["template"], row["subject"], fingerprint, embedding_of(row, row["template"]))
