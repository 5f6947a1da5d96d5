"""Archives: a collection as one file, for backups and for copying it to another store of any kind.

Layout: eight magic bytes, a header, one frame per template with its subject and its sequence, and an end frame. Frames
are encrypted with a key of the archive, which is encrypted with a master key of the store. Without encryption, frames
carry a digest. In both cases damage, a missing end and reordered frames are detected before anything is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from pydantic import Field, ValidationError

from gaitkeeper.gallery.errors import BadArchive, BadStore, BadStoreKey, Conflict, NotFound
from gaitkeeper.gallery.names import (
    check_camera,
    check_collection,
    check_display_name,
    check_legal_basis,
    check_metadata,
    known_subject,
)
from gaitkeeper.gallery.stores.encoding import bytes_of, embedding_from
from gaitkeeper.gallery.stores.encryption import KEY_BYTES, Vault, open_sealed, seal
from gaitkeeper.gallery.stores.protocol import NewSubject, NewTemplate, Store
from gaitkeeper.gallery.types import Action, FingerprintText, Record, Subject, Template
from gaitkeeper.models.errors import GaitkeeperError

MAGIC = b"GAITGAL1"
MAX_FRAME = 256 << 20
_LENGTH = struct.Struct("<I")
_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Archive(Record):
    """Header of an archive, and the amounts of its content."""

    collection: str
    fingerprint: FingerprintText | None
    keeps_heatmaps: bool
    ttl_seconds: float | None
    key: str | None = Field(default=None, description="The archive's sealed key, hexadecimal; null for none.")
    templates: int = 0
    subjects: int = 0


def export_collection(store: Store, collection: str, path: Path, vault: Vault | None = None) -> Archive:
    """Write a collection's live templates to a file that only its owner can read. The file is written atomically.

    Concurrent enrolments may or may not be included. Subjects without templates and the log are left out.

    Args:
        store: store of the collection.
        collection: its name.
        path: path of the file. An existing file is replaced.
        vault: encrypts the archive; None for no encryption.

    Raises:
        NotFound, StoreUnavailable: see the store.
        BadCollection: it is an internal collection, for example that of strangers or passers-by.
        Conflict: another set of embeddings has gone live meanwhile.
        OSError: the file cannot be written.
    """
    there = store.collection(check_collection(collection))
    key = None if vault is None else os.urandom(KEY_BYTES)
    header = Archive(
        collection=collection,
        fingerprint=there.fingerprint,
        keeps_heatmaps=there.keeps_heatmaps,
        ttl_seconds=there.ttl_seconds,
        key=None if vault is None or key is None else vault.lock(key).hex(),
    )
    store.note(collection, Action.EXPORT)
    part = path.with_name(f".{path.name}.part")
    subjects: set[str] = set()
    templates = 0
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            frames = _Frames(file, header.model_dump_json().encode(), key)
            frames.begin()
            for subject, template in _people(store, collection):
                try:
                    content = _content(store, subject, template)
                except NotFound:  # erased meanwhile
                    continue
                frames.write(content)
                templates += 1
                subjects.add(subject.subject)
            frames.write(_pack({"end": templates}))
            file.flush()
            os.fsync(file.fileno())
        if store.collection(collection).fingerprint != there.fingerprint and templates:
            raise Conflict(
                f"The collection {collection!r} has migrated to another network in the meantime; export it again."
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return header.model_copy(update={"templates": templates, "subjects": len(subjects)})


def import_collection(store: Store, path: Path, collection: str | None = None, vault: Vault | None = None) -> Archive:
    """Check an archive, then enrol everything in it, with its ids and times.

    Existing templates are unchanged, so an interrupted import is continued by importing again. Subjects get the names
    and metadata of the archive.

    Args:
        store: store to import into.
        path: path of the archive.
        collection: name of the collection; None for the archived name. It is created if it does not exist.
        vault: contains the key that encrypted the archive.

    Raises:
        BadArchive: the file is damaged, truncated, or not an archive.
        BadStoreKey: the key is missing or wrong.
        FingerprintMismatch, ClipOfOtherSubject, Conflict: the archive conflicts with the collection's content.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        header, frames = _opened(file, vault)
        for content in frames.read():
            _parsed(content, header)
        name = check_collection(collection or header.collection)
        store.ensure_collection(name, keeps_heatmaps=header.keeps_heatmaps, ttl_seconds=header.ttl_seconds)
        store.note(name, Action.IMPORT)
        header, frames = _opened(file, vault)
        subjects, templates = set(), 0
        for content in frames.read():
            subject, template = _parsed(content, header)
            store.enroll(name, subject, template)
            subjects.add(subject.id)
            templates += 1
    return header.model_copy(update={"collection": name, "templates": templates, "subjects": len(subjects)})


class _Frames:
    """The frames of a file. Each is authenticated together with its number and the header."""

    def __init__(self, file: IO[bytes], header: bytes, key: bytes | None) -> None:
        self._file, self._header, self._key = file, header, key
        self._context = hashlib.sha256(header).digest()
        self._number = 0

    def begin(self) -> None:
        self._file.write(MAGIC + _LENGTH.pack(len(self._header)) + self._header)

    def write(self, content: bytes) -> None:
        if self._key is None:
            sealed = hashlib.sha256(self._next() + content).digest() + content
        else:
            sealed = seal(self._key, self._next(), content)
        self._file.write(_LENGTH.pack(len(sealed)) + sealed)

    def read(self) -> Iterator[bytes]:
        """Read the frames up to the end frame, which is required."""
        while True:
            sealed = _take(self._file)
            if self._key is None:
                content = sealed[32:]
                if hashlib.sha256(self._next() + content).digest() != sealed[:32]:
                    raise BadArchive("The archive is damaged.")
            else:
                try:
                    content = open_sealed(self._key, self._next(), sealed)
                except BadStore:
                    raise BadArchive("The archive is damaged.") from None
            fields, _, _ = _unpack(content)
            if "end" in fields:
                if fields["end"] != self._number - 1 or self._file.read(1):
                    raise BadArchive("The archive is cut short.")
                return
            yield content

    def _next(self) -> bytes:
        self._number += 1
        return b"archive %d " % self._number + self._context


def _opened(file: IO[bytes], vault: Vault | None) -> tuple[Archive, _Frames]:
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        raise BadArchive("The file is not an archive of a collection.")
    text = _take(file)
    try:
        header = Archive.model_validate_json(text)
        sealed = None if header.key is None else bytes.fromhex(header.key)
    except ValueError as error:
        raise BadArchive("The archive's header cannot be read.") from error
    if sealed is not None and vault is None:
        raise BadStoreKey("The archive is encrypted, and no key is given.")
    return header, _Frames(file, text, vault.unlock(sealed) if sealed is not None and vault is not None else None)


def _people(store: Store, collection: str) -> Iterator[tuple[Subject, Template]]:
    after = ""
    while page := store.subjects(collection, after, 100):
        for subject in page:
            try:
                for template in store.templates(collection, subject.subject):
                    yield subject, template
            except NotFound:
                continue
        after = page[-1].subject


def _content(store: Store, subject: Subject, template: Template) -> bytes:
    embedding = store.embedding(template.collection, template.id)
    half = embedding.astype(np.float16)
    # Use half precision if that is lossless, for example if it was enrolled in half precision.
    dtype, data, _ = bytes_of(half if np.array_equal(half, embedding) else embedding)
    fields = {
        "subject": subject.model_dump(mode="json"),
        "template": template.model_dump(mode="json"),
        "dtype": dtype,
    }
    return _pack(fields, data, store.sequence(template.collection, template.id))


def _parsed(content: bytes, header: Archive) -> tuple[NewSubject, NewTemplate]:
    fields, data, sequence = _unpack(content)
    try:
        subject = Subject.model_validate(fields["subject"])
        template = Template.model_validate(fields["template"])
        embedding = embedding_from(data, fields["dtype"], template.shape, template.id)
        owner = known_subject(subject.subject)
        if template.subject != subject.subject:
            raise ValueError("subject")
        check_display_name(subject.display_name)
        check_camera(template.camera)
        check_metadata(subject.metadata)
        check_legal_basis(subject.legal_basis)
        times = [subject.created, template.created, *([template.expires] if template.expires else [])]
        if (
            not _ID.fullmatch(template.id)
            or not (template.clip_sha256 is None or _SHA256.fullmatch(template.clip_sha256))
            or template.fingerprint != header.fingerprint
            or any(moment.tzinfo is None for moment in times)
            or not np.isfinite([template.start, template.end]).all()
            or not np.isfinite(embedding).all()
        ):
            raise ValueError("template")
    except (KeyError, TypeError, ValueError, ValidationError, GaitkeeperError) as error:
        raise BadArchive("The archive contains something that is not a template.") from error
    return (
        NewSubject(owner, subject.display_name, subject.metadata, subject.legal_basis, subject.created),
        NewTemplate(
            fingerprint=template.fingerprint,
            embedding=embedding.astype(np.float16) if fields["dtype"] == "f2" else embedding,
            sequence=sequence,
            has_heatmaps=template.has_heatmaps,
            quality=template.quality,
            track=template.track,
            start=template.start,
            end=template.end,
            clip_sha256=template.clip_sha256,
            camera=template.camera,
            heading=template.heading,
            expires=template.expires,
            id=template.id,
            created=template.created,
        ),
    )


def _pack(fields: dict[str, Any], *parts: bytes) -> bytes:
    text = json.dumps(fields).encode()
    return b"".join(_LENGTH.pack(len(part)) + part for part in (text, *parts))


def _unpack(content: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    parts: list[bytes] = []
    at = 0
    while at < len(content) and len(parts) < 3:
        (length,) = _LENGTH.unpack_from(content.ljust(at + _LENGTH.size), at)
        parts.append(content[at + _LENGTH.size : at + _LENGTH.size + length])
        at += _LENGTH.size + length
    try:
        fields = json.loads(parts[0])
    except (IndexError, ValueError):
        fields = None
    if at != len(content) or not isinstance(fields, dict):
        raise BadArchive("The archive is damaged.")
    data, sequence, *_ = [*parts[1:], b"", b""]
    return fields, data, sequence


def _take(file: IO[bytes]) -> bytes:
    start = file.read(_LENGTH.size)
    length = _LENGTH.unpack(start)[0] if len(start) == _LENGTH.size else MAX_FRAME + 1
    if length > MAX_FRAME or len(content := file.read(length)) < length:
        raise BadArchive("The archive is cut short or damaged.")
    return content
