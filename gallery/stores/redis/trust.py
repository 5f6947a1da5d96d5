"""Key rotation, audit log, and the check for leftovers of erased data, for a Redis store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gaitkeeper.gallery.stores import audit
from gaitkeeper.gallery.stores.encryption import Seals, Vault, seals
from gaitkeeper.gallery.stores.redis import disk
from gaitkeeper.gallery.stores.redis.link import Link
from gaitkeeper.gallery.stores.redis.rows import Hash, hash_of, key_of
from gaitkeeper.gallery.types import Action, AuditEntry, AuditReport

_KEYS = (
    *("t", "q", "s", "names", "log", "gone", "clips", "expiry", "todo", "events", "audit", "auditkey"),
    *("sights", "sighting", "sightkeys", "faces", "walks", "pictures"),
)


@dataclass(frozen=True)
class State:
    """Data about a collection and a subject that is needed before a write.

    Attributes:
        own: hash of the collection.
        sealed_key: sealed key of the subject; None if the subject is new, or without encryption.
        audit_key: stored key of the log's digests.
    """

    own: Hash
    sealed_key: bytes | None
    audit_key: bytes

    @property
    def secret(self) -> bytes | None:
        """The collection's sealed secret; None without encryption."""
        return bytes.fromhex(self.own["secret"]) if "secret" in self.own else None


class Trust:
    """Keys and log of the collections in Redis.

    Args:
        link: connection to Redis.
        vault: master keys; None for no encryption.
    """

    def __init__(self, link: Link, vault: Vault | None) -> None:
        self._link, self.vault = link, vault

    def state(self, base: str, subject: str) -> State | None:
        """The data about the collection under ``base``; None if it does not exist."""
        reply = self._link.call(base, "trust/state", subject=subject)
        if reply[0] == b"none":
            return None
        key = reply[3]
        if not key:
            new = audit.new_key(self.vault)
            (key,) = self._link.call(base, "trust/new_audit_key", durable=True, audit_key=new)
        return State(hash_of(reply[1]), key_of(reply[2]), key)

    def seals(self, collection: str, secret: str | bytes) -> Seals:
        """The encryption of the collection, from its secret in hexadecimal, which is empty without encryption."""
        text = secret.decode() if isinstance(secret, bytes) else secret
        return seals(self.vault, bytes.fromhex(text) if text else None, collection)

    def entry(self, action: Action, collection: str, subject: str | None = None, key: bytes = b"") -> str:
        """Make a new log entry. The script that performs the logged action adds the number of templates."""
        name = None if subject is None else audit.digest(self.vault, key, subject)
        return json.dumps(audit.entry(action, collection, name, 0))

    def rotate(self, base: str, collection: str) -> bool:
        """Give a collection a new key, sealed by the first master key. Returns False if it has one or is not
        encrypted.
        """
        while True:
            state = self.state(base, "")
            if state is None or state.secret is None or self.vault is None or self.vault.is_current(state.secret):
                return False
            renewed = self.vault.renewed(state.secret)
            old, new = self.vault.sealing(state.secret), self.vault.sealing(renewed)
            subjects = []
            for row in self._link.call(base, "subject/list", after="", limit=-1)[1:]:
                sealed = key_of(row[1]) or b""
                subjects.append((row[0].decode(), sealed.hex(), new.wrap(old.unwrap(sealed)).hex()))
            sightings = [
                (sighting, sealed, new.wrap(old.unwrap(bytes.fromhex(sealed))).hex())
                for sighting, sealed in hash_of(self._link.call(base, "seen/keys")[1]).items()
            ]
            (status,) = self._link.call(
                base,
                "trust/rotate",
                durable=True,
                old_secret=state.own["secret"],
                new_secret=renewed.hex(),
                audit_key=self.vault.lock(self.vault.unlock(state.audit_key)),
                entry=self.entry(Action.ROTATE_KEY, collection),
                subjects=json.dumps(subjects),
                sightings=json.dumps(sightings),
            )
            if status == b"ok":
                return True

    def audit(self, base: str, collection: str) -> AuditReport:
        """See :meth:`gaitkeeper.gallery.stores.protocol.Upkeep.audit`."""
        with self._link.direct():
            node = self._link.node(base)
            pending = not disk.rewrite(node)
            rows: Any = node.xrange(f"{base}:audit")
            key: Any = node.get(f"{base}:auditkey") or b""
            keys = {found.decode() for found in node.scan_iter(f"{base}*", count=1000)}
        entries = tuple(
            AuditEntry(**json.loads(row[b"entry"]) | {"templates": int(row[b"templates"])}) for _, row in rows
        )
        erased, left = audit.gone(entries), []
        expected = {f"{base}:audit", f"{base}:auditkey"}
        reply = self._link.call(base, "trust/balance")
        if reply[0] == b"ok":
            counts, names = reply[1:]
            found = zip(counts[::2], counts[1::2], strict=True)
            left = [f"{number} {what.decode()}(s) without an owner" for what, number in found if number]
            there = sum(audit.digest(self.vault, key, name.decode()) in erased for name in names) if erased else 0
            left += [f"{there} subject(s) that the log says are erased"] if there else []
            expected |= {base} | {f"{base}:{name}" for name in _KEYS}
            expected |= {f"{base}:{kind}:{name.decode()}" for name in names for kind in ("of", "sightsof")}
            own = self.state(base, "")
            for generation in (own.own["live"], own.own.get("shadow")) if own else ():
                expected |= {f"{base}:{kind}:{generation}" for kind in ("g", "e", "leaves")}
        left += [f"{len(keys - expected)} key(s) without an owner"] if keys - expected else []
        return AuditReport(
            collection=collection, entries=entries, erased=len(erased), left=tuple(left), pending=pending
        )
