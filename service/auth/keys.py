"""API keys, with their scopes and collections."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, Field

from gaitkeeper.gallery.names import check_collection
from gaitkeeper.service.errors import Forbidden, KeyNotFound, Unauthorised
from gaitkeeper.service.state import State

FORM = re.compile(r"gk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """Scope of a key. ``admin`` includes the other scopes. It is needed to change or erase what is enrolled.

    ``viewer`` reads everything that ``admin`` can read, and changes nothing. ``metrics`` reads the metrics alone.
    """

    ENROL = "enrol"
    IDENTIFY = "identify"
    VIEWER = "viewer"
    METRICS = "metrics"
    ADMIN = "admin"


class Key(BaseModel):
    """Description of a key. The secret itself is not stored."""

    id: str = Field(description="Sixteen hexadecimal digits, also a part of the key.")
    name: str = Field(description="Name that its creator gave it.")
    scopes: list[Scope]
    collections: list[str] | None = Field(description="Where it is good; none means everywhere.")
    created: datetime
    revoked: datetime | None = None

    @property
    def actor(self) -> str:
        """Name that the gallery's log gives to users of this key."""
        return f"{self.name} ({self.id})" if self.name else self.id

    def require(self, scopes: Collection[Scope] | None = None, collection: str | None = None) -> None:
        """Check that the key has one of some scopes, or ``admin``, for a collection.

        Args:
            scopes: the scopes; None if they were checked before.
            collection: name of the collection; None if it is not known yet.

        Raises:
            Forbidden: the key lacks the scopes or the collection. The message does not reveal whether the collection
                exists.
        """
        if scopes is not None and not {Scope.ADMIN, *scopes} & set(self.scopes):
            wanted = " or ".join(scope for scope in Scope if scope in {Scope.ADMIN, *scopes})
            raise Forbidden(f"This key does not have the scope {wanted}.")
        if collection is not None and self.collections is not None and collection not in self.collections:
            raise Forbidden("This key is not for that collection.")

    def require_everywhere(self) -> None:
        """Check that the key is not limited to some collections.

        Raises:
            Forbidden: the key is.
        """
        if self.collections is not None:
            raise Forbidden("This needs a key that is not limited to collections.")


class Keys:
    """The keys of one service.

    A key has 256 random bits, and only its SHA-256 digest is stored. Random keys cannot be guessed from a dictionary as
    passwords can. A slow hash would therefore slow down every request without stopping any attack.

    Args:
        state: storage of the keys.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def create(
        self, scopes: Sequence[Scope], collections: Sequence[str] | None = None, name: str = ""
    ) -> tuple[Key, str]:
        """Create a key. Returns the key and its text, which cannot be shown again.

        Raises:
            BadCollection: no collection can have this name.
        """
        for collection in collections or ():
            check_collection(collection)
        secret = secrets.token_urlsafe(32)
        key = Key(
            id=secrets.token_hex(8),
            name=name,
            scopes=sorted(set(scopes)),
            collections=sorted(set(collections)) if collections else None,
            created=datetime.now(UTC),
        )
        with self._state.transaction() as db:
            db.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, NULL)",
                (
                    key.id,
                    _digest(secret),
                    key.name,
                    json.dumps(key.scopes),
                    json.dumps(key.collections),
                    key.created.timestamp(),
                ),
            )
        return key, f"gk_{key.id}_{secret}"

    def list(self) -> list[Key]:
        """All keys, including revoked ones, in order of creation."""
        return [_key(row) for row in self._state.rows("SELECT * FROM keys ORDER BY created, id")]

    def revoke(self, key_id: str) -> Key:
        """Revoke a key with immediate effect. Revoking it again has no effect.

        Raises:
            KeyNotFound: no key has this id.
        """
        with self._state.transaction() as db:
            db.execute("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (time.time(), key_id))
            row = db.execute("SELECT * FROM keys WHERE id = ?", (key_id,)).fetchone()
        if row is None:
            raise KeyNotFound(f"The key {key_id!r} does not exist.")
        return _key(row)

    def exist(self) -> bool:
        """Whether a key was ever created. A service whose keys are all revoked rejects all callers."""
        return bool(self._state.rows("SELECT 1 FROM keys LIMIT 1"))

    def actor_of(self, key_id: str) -> str:
        """Name that the gallery's log gives to users of a key, by the key's id. Revoked keys included."""
        return key.actor if (key := self.get(key_id)) else key_id

    def get(self, key_id: str) -> Key | None:
        """The key with this id, also if it is revoked; None if there is none."""
        rows = self._state.rows("SELECT * FROM keys WHERE id = ?", key_id)
        return _key(rows[0]) if rows else None

    def stands(self, key_id: str) -> bool:
        """Whether a key with this id exists and is not revoked."""
        return bool(self._state.rows("SELECT 1 FROM keys WHERE id = ? AND revoked IS NULL", key_id))

    def check(self, text: str) -> Key:
        """Find the key with this text.

        Raises:
            Unauthorised: no such key exists, or it is revoked.
        """
        parts = FORM.fullmatch(text)
        rows = self._state.rows("SELECT * FROM keys WHERE id = ?", parts[1]) if parts else []
        # Always compare, even if no key was found, and in constant time: the duration must not reveal anything.
        kept = rows[0]["digest"] if rows else bytes(32)
        same = hmac.compare_digest(kept, _digest(parts[2] if parts else ""))
        if not same or not rows or rows[0]["revoked"] is not None:
            raise Unauthorised("This key is unknown or revoked.")
        return _key(rows[0])


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _key(row: object) -> Key:
    given = dict(row)  # type: ignore[call-overload]
    return Key(
        id=given["id"],
        name=given["name"],
        scopes=json.loads(given["scopes"]),
        collections=json.loads(given["collections"]),
        created=datetime.fromtimestamp(given["created"], UTC),
        revoked=None if given["revoked"] is None else datetime.fromtimestamp(given["revoked"], UTC),
    )
