"""Store for several hosts: Redis 7 or newer, as one server, one behind Sentinel, or a cluster."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from gaitkeeper.gallery.errors import BadStore, ClipOfOtherSubject, Conflict, NotFound, Overtaken, StoreUnavailable
from gaitkeeper.gallery.stores.encoding import bytes_of, expiry, micros, stamp
from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.protocol import Changes, Digest, Embedding, NewSubject, NewTemplate, leaf_of, xor_of
from gaitkeeper.gallery.stores.redis import disk, pairs
from gaitkeeper.gallery.stores.redis import shadow as shadows
from gaitkeeper.gallery.stores.redis.calls import Calls, base_of, check_fits
from gaitkeeper.gallery.stores.redis.link import Address, Link
from gaitkeeper.gallery.stores.redis.rows import (
    change_of,
    collection_of,
    embedding_of,
    hash_of,
    key_of,
    subject_fields,
    subject_of,
    template_of,
    template_record,
)
from gaitkeeper.gallery.stores.redis.seen import Sightings
from gaitkeeper.gallery.stores.redis.trust import Trust
from gaitkeeper.gallery.stores.seen import EVERY
from gaitkeeper.gallery.stores.sighting_records import oldest
from gaitkeeper.gallery.types import Action, AuditReport, Collection, Erasure, Promises, Removal, Subject, Template
from gaitkeeper.gallery.types.pairs import Merge
from gaitkeeper.gallery.types.sightings import Known, NewSighting, SeenWalk, Sighting, Wanted
from gaitkeeper.pipelines.fingerprint import Fingerprint

NAMES = "gaitkeeper:collections"
MEMORY = 100_000
"""Number of removed templates that are remembered for followers that were disconnected."""
PURGED_AT_ONCE = 1000  # per script, so that other clients do not wait for long


class RedisStore:
    """Implements :class:`gaitkeeper.gallery.stores.protocol.Store` in Redis, with the append-only file enabled.

    From Redis 7.2 on an enrolment is acknowledged once WAITAOF has confirmed that it is on disk; on 7.0 the server must
    run with ``appendfsync always``. All keys of a collection share one hash tag, and every write is one script, so
    every write is atomic.

    Args:
        url: ``redis://HOST:PORT/DB``, ``rediss://`` for TLS, ``redis+sentinel://HOST:PORT,…/MASTER/DB``,
            ``redis+cluster://HOST:PORT,…``; user and password before an ``@``. ``durability=any`` accepts a server that
            can lose acknowledged enrolments. ``replicas=N`` also waits for the disks of N replicas. Other parameters go
            to redis-py.
        vault: encryption keys; None for no encryption.

    Raises:
        UnknownStore: it is not a Redis URL.
        StoreUnavailable: Redis cannot be reached.
        StoreNotDurable: its settings can lose acknowledged writes, and the URL does not accept that.
        BadStoreKey: as :func:`gaitkeeper.gallery.stores.open.open_store`.
    """

    def __init__(self, url: str, vault: Vault | None = None) -> None:
        self._link = Link(Address.parse(url))
        self._trust = Trust(self._link, vault)
        self._calls = Calls(self._link, self._trust)
        self._sightings = Sightings(self._calls)
        try:
            disk.promise(self._link)
            for name in self._names():
                if (state := self._trust.state(base_of(name), "")) and state.secret:
                    self._trust.seals(name, state.own["secret"])
                with suppress(NotFound, StoreUnavailable):  # otherwise the next opening tries again
                    self._calls.of_collection(name, "collection/drop_statistics")
        except BaseException:
            self._link.close()
            raise

    def promises(self) -> Promises:
        """See :class:`gaitkeeper.gallery.stores.protocol.Store`, here and below."""
        return disk.promise(self._link).model_copy(update={"encrypted": self._trust.vault is not None})

    def ensure_collection(
        self, name: str, *, keeps_heatmaps: bool = False, ttl_seconds: float | None = None
    ) -> Collection:
        # Write the name first: a name without a collection is skipped, a collection without a name would be lost.
        self._link.call(NAMES, "names/add", durable=True, name=name)
        vault = self._trust.vault
        self._link.call(
            base_of(name),
            "collection/create",
            durable=True,
            keeps_heatmaps=int(keeps_heatmaps),
            created=stamp(datetime.now(UTC)),
            generation=uuid.uuid4().hex,
            ttl=_ttl(ttl_seconds),
            secret="" if vault is None else vault.new_secret().hex(),
            entry=self._trust.entry(Action.CREATE, name),
        )
        return self.collection(name)

    def collection(self, name: str) -> Collection:
        return collection_of(name, self._calls.of_collection(name, "collection/read"))

    def collections(self) -> list[Collection]:
        found = []
        for name in self._names():
            try:
                found.append(self.collection(name))
            except NotFound:
                continue
        return found

    def set_ttl(self, collection: str, ttl_seconds: float | None) -> Collection:
        self._calls.of_collection(collection, "collection/set_ttl", durable=True, ttl=_ttl(ttl_seconds))
        return self.collection(collection)

    def delete_collection(self, collection: str) -> Removal:
        entry = self._trust.entry(Action.DELETE, collection)
        _, *gone = self._calls.of_collection(collection, "collection/delete", durable=True, entry=entry)
        self._link.call(NAMES, "names/remove", durable=True, name=collection)
        return self._removal(collection, *gone)

    def enroll(self, collection: str, subject: NewSubject, template: NewTemplate, seen: str | None = None) -> Template:
        created = template.created or datetime.now(UTC)
        new = template.id or uuid.uuid4().hex
        dtype, data, float32 = bytes_of(template.embedding)
        parts, dims = template.embedding.shape
        generation, start, revision, by = _parts(seen or "")
        status: bytes = b"key"
        while status == b"key":  # repeat if the keys have changed before the script runs
            state = self._calls.state(collection, subject.id)
            sealing = self._trust.seals(collection, state.own.get("secret", ""))
            key = sealing.subject_key(state.sealed_key)
            expires = expiry(template, float(state.own["ttl"]) if "ttl" in state.own else None, created)
            record = template_record(template, subject.id, created, expires)
            status, *details = self._calls.of_collection(
                collection,
                "template/enroll",
                durable=True,
                subject=subject.id,
                fields=subject_fields(subject, key),
                subject_created=stamp(subject.created or datetime.now(UTC)),
                template=new,
                record=record,
                clip="" if template.clip_sha256 is None else f"{template.clip_sha256}:{template.track}",
                expires="" if expires is None else micros(expires),
                fingerprint=str(template.fingerprint),
                parts=parts,
                dims=dims,
                embedding=dtype.encode() + sealing.seal(key, f"embedding {new}", data),
                leaf=leaf_of(sealing.salt, new, float32),
                sequence=sealing.seal(key, f"sequence {new}", template.sequence),
                secret=state.own.get("secret", ""),
                entry=self._trust.entry(Action.ENROLL, collection, subject.id, state.audit_key),
                guarded=int(seen is not None),
                generation=generation,
                seen=max(start, revision),
                by=by,
            )
        if status == b"clip":
            raise ClipOfOtherSubject(
                f"Track {template.track} of this clip is already enrolled as {details[0].decode()!r}.",
                subject=details[0].decode(),
                template=details[1].decode(),
            )
        if status == b"overtaken":
            raise Overtaken(f"The collection {collection!r} has changed in the meantime.")
        if status == b"id":
            raise Conflict(f"The template {new!r} belongs to another subject.", template=new)
        check_fits(status, details, collection, template.fingerprint, template.embedding)
        live = {"fingerprint": str(template.fingerprint), "parts": str(parts), "dims": str(dims)}
        if status == b"new":
            return template_of((new.encode(), record.encode()), live, collection)
        # The existing id is our own: the connection broke, and this is the second attempt.
        again = template.id is None and details[0] == new.encode()
        return template_of(details, live, collection, duplicate=not again)

    def update_subject(self, collection: str, subject: NewSubject) -> Subject:
        fields, entry = subject_fields(subject, None), self._calls.entry(Action.UPDATE, collection, subject.id)
        self._calls.of_subject(collection, subject.id, "subject/update", durable=True, fields=fields, entry=entry)
        return self.subject(collection, subject.id)

    def subjects(self, collection: str, after: str = "", limit: int | None = None) -> list[Subject]:
        most = -1 if limit is None else limit
        _, *rows = self._calls.of_collection(collection, "subject/list", after=after, limit=most)
        return [subject_of(row, collection) for row in rows]

    def subject(self, collection: str, subject: str) -> Subject:
        return subject_of(self._calls.of_subject(collection, subject, "subject/read")[1], collection)

    def templates(self, collection: str, subject: str) -> list[Template]:
        _, live, *rows = self._calls.of_subject(collection, subject, "subject/templates")
        return [template_of(row, hash_of(live), collection) for row in rows]

    def embedding(self, collection: str, template: str) -> Embedding:
        _, live, _, secret, owner, *value = self._calls.of_template(
            collection, template, "template/read", data="embedding"
        )
        sealing = self._trust.seals(collection, secret)
        return embedding_of(_there(value, template), hash_of(live), template, sealing, key_of(owner))

    def sequence(self, collection: str, template: str) -> bytes:
        _, _, _, secret, owner, *value = self._calls.of_template(collection, template, "template/read", data="sequence")
        sealing = self._trust.seals(collection, secret)
        return sealing.open(key_of(owner), f"sequence {template}", _there(value, template))

    def erase(self, collection: str, subject: str) -> Erasure:
        entry = self._calls.entry(Action.ERASE, collection, subject)
        _, templates, sightings = self._calls.of_subject(
            collection, subject, "subject/erase", durable=True, memory=MEMORY, entry=entry
        )
        pending = not self._rewrite(collection)
        return Erasure(
            collection=collection, subject=subject, templates=templates, sightings=sightings, pending=pending
        )

    def delete_template(self, collection: str, template: str) -> Removal:
        _, live, row, *_ = self._calls.of_template(collection, template, "template/read", data="")
        owner = template_of(row, hash_of(live), collection).subject
        entry = self._calls.entry(Action.DELETE_TEMPLATE, collection, owner)
        self._calls.of_template(collection, template, "template/delete", durable=True, memory=MEMORY, entry=entry)
        return self._removal(collection, 1, 0)

    def purge(self, collection: str, now: datetime) -> Removal:
        templates = subjects = 0
        while True:
            _, some, left = self._calls.of_collection(
                collection,
                "template/purge",
                durable=True,
                now=micros(now),
                memory=MEMORY,
                limit=PURGED_AT_ONCE,
                entry=self._trust.entry(Action.PURGE, collection),
            )
            templates, subjects = templates + some, subjects + left
            if some < PURGED_AT_ONCE:
                break
        seconds, sightings = self.collection(collection).sightings_seconds, 0
        if seconds is not None:
            sightings = self._sightings.purge(collection, oldest(seconds, now))
        if not templates and not sightings:
            return Removal(collection=collection, templates=0, subjects=0, pending=False)
        return self._removal(collection, templates, subjects, sightings)

    def merge(self, collection: str, subject: str, other: str) -> Merge:
        moved = pairs.merge(self._calls, collection, subject, other)
        pending = not self._rewrite(collection)
        return Merge(collection=collection, subject=subject, other=other, templates=moved, pending=pending)

    def tell_apart(self, collection: str, subject: str, other: str) -> None:
        pairs.tell_apart(self._calls, collection, subject, other)

    def apart(self, collection: str, subject: str) -> list[str]:
        return pairs.apart(self._calls, collection, subject)

    def changes(self, collection: str, after: str = "", limit: int = 1000) -> Changes:
        generation, start, revision, by = _parts(after)
        _, fresh, *cursor, live, secret, rows = self._calls.of_collection(
            collection, "collection/changes", generation=generation, start=start, after=revision, limit=limit, by=by
        )
        of = hash_of(live)
        sealing = self._trust.seals(collection, secret)
        changes = tuple(change_of(row, of, sealing) for row in rows)
        generation, start, revision, by = cursor[0].decode(), *cursor[1:3], cursor[3].decode()
        return Changes(changes, f"{generation}.{start}.{revision}.{by}", reset=bool(fresh) and after != "")

    def digest(self, collection: str) -> Digest:
        _, leaves, secret = self._calls.of_collection(collection, "collection/digest")
        return Digest(len(leaves) // 32, xor_of(leaves), self._trust.seals(collection, secret).salt)

    def begin_shadow(self, collection: str, fingerprint: Fingerprint) -> Collection:
        shadows.begin(self._calls, collection, fingerprint)
        return self.collection(collection)

    def shadow_missing(self, collection: str, limit: int = 1000) -> list[str]:
        return shadows.missing(self._calls, collection, limit)

    def put_shadow(
        self, collection: str, template: str, fingerprint: Fingerprint, embedding: npt.NDArray[np.floating]
    ) -> None:
        shadows.put(self._calls, collection, template, fingerprint, embedding)

    def flip(self, collection: str, *, back: bool = False) -> Collection:
        shadows.flip(self._calls, collection, back=back)
        return self.collection(collection)

    def drop_shadow(self, collection: str) -> Removal:
        return self._removal(collection, shadows.drop(self._calls, collection), 0)

    def keep_sightings(self, collection: str, seconds: float | None) -> Removal:
        return self._removal(collection, 0, 0, self._sightings.keep(collection, seconds))

    def see(self, collection: str, sighting: NewSighting, most: int) -> Sighting | None:
        return self._sightings.see(collection, sighting, most)

    def sightings(
        self, collection: str, wanted: Wanted = EVERY, before: tuple[datetime, str] | None = None, limit: int = 100
    ) -> list[Sighting]:
        return self._sightings.listed(collection, wanted, before, limit)

    def sighting(self, collection: str, sighting: str) -> Sighting:
        return self._sightings.one(collection, sighting)

    def thumbnail(self, collection: str, sighting: str) -> bytes:
        return self._sightings.thumbnail(collection, sighting)

    def seen_walks(self, collection: str, until: datetime | None = None) -> list[tuple[Sighting, SeenWalk]]:
        return self._sightings.walks(collection, until)

    def forget_sightings(
        self, collection: str, wanted: Wanted = EVERY, sightings: Sequence[str] | None = None
    ) -> Removal:
        gone = self._sightings.forget(collection, wanted, sightings)
        self.note(collection, Action.FORGET_SIGHTINGS)
        return self._removal(collection, 0, 0, gone)

    def known(self, collection: str, subjects: Sequence[str]) -> list[Known]:
        return self._sightings.known(collection, subjects)

    def keep_picture(self, collection: str, subject: str, jpeg: bytes) -> bool:
        return self._sightings.keep_picture(collection, subject, jpeg)

    def picture(self, collection: str, subject: str) -> bytes:
        return self._sightings.picture(collection, subject)

    def rotate_key(self) -> int:
        return sum([self._trust.rotate(base_of(name), name) for name in self._names()])

    def note(self, collection: str, action: Action) -> None:
        entry = self._trust.entry(action, collection)
        self._calls.of_collection(collection, "collection/note", durable=True, entry=entry)

    def audit(self, collection: str) -> AuditReport:
        return self._trust.audit(base_of(collection), collection)

    def ping(self) -> None:
        word = uuid.uuid4().hex.encode()
        if self._link.call("gaitkeeper:ping", "ping", durable=True, word=word) != [word]:
            raise BadStore("Redis returned other data than was written.")

    def close(self) -> None:
        self._link.close()

    def _removal(self, collection: str, templates: int, subjects: int, sightings: int = 0) -> Removal:
        pending = not self._rewrite(collection)
        return Removal(
            collection=collection, templates=templates, subjects=subjects, sightings=sightings, pending=pending
        )

    def _names(self) -> list[str]:
        return sorted(name.decode() for name in self._link.call(NAMES, "names/list"))

    def _rewrite(self, collection: str) -> bool:
        with self._link.direct():
            return disk.rewrite(self._link.node(base_of(collection)))


def _parts(cursor: str) -> tuple[str, int, int, str]:
    """Parse a cursor: generation, starting revision, last revision seen, and digest of the write that made the later
    one.
    """
    generation, start, revision, by = cursor.split(".") if cursor else ("", "0", "0", "")
    return generation, int(start), int(revision), by


def _ttl(seconds: float | None) -> str:
    return "" if seconds is None else repr(seconds)


def _there(values: list[bytes | None], template: str) -> bytes:
    if not values or values[0] is None:
        raise BadStore(f"The template {template!r} is incomplete in the store.")
    return values[0]
