"""Encryption at rest: a master key seals a key for each collection, and that one a key for each subject.

All of it is AES-256-GCM of the package ``cryptography`` with random nonces. A subject's key seals its embeddings
and sequences, and goes with the subject. A new master key comes with new collection keys, so that a copy of the store
made before, the keys of subjects erased since included, is of no use to whoever holds only what is used now.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gallery.errors import BadStore, BadStoreKey

KEY_BYTES = 32
NONCE_BYTES = 12


class Seals(Protocol):
    """What a store does with the bytes of one collection: seal them, or nothing."""

    salt: bytes
    """Key of the digest's leaves."""

    def subject_key(self, sealed: bytes | None) -> bytes | None:
        """The sealed key of a subject: the one that it has, or a new one; None where nothing is encrypted."""

    def seal(self, key: bytes | None, what: str, data: bytes) -> bytes:
        """Seal bytes with a subject's sealed key; ``what`` they are must be said again to open them."""

    def open(self, key: bytes | None, what: str, data: bytes) -> bytes:
        """Open what :meth:`seal` made. Raises BadStore where that is damaged or something else."""


class Plain:
    """Of a collection that is not encrypted."""

    salt = b""

    def subject_key(self, sealed: bytes | None) -> bytes | None:
        return None

    def seal(self, key: bytes | None, what: str, data: bytes) -> bytes:
        return data

    def open(self, key: bytes | None, what: str, data: bytes) -> bytes:
        return data


class Sealing:
    """Of a collection with this key and salt; unsealed keys of subjects are kept while it lives."""

    def __init__(self, key: bytes, salt: bytes) -> None:
        self.salt = salt
        self._aead = AESGCM(key)
        self._subjects: dict[bytes, AESGCM] = {}

    def subject_key(self, sealed: bytes | None) -> bytes | None:
        """See :class:`Seals`, here and below."""
        return sealed or self.wrap(os.urandom(KEY_BYTES))

    def wrap(self, key: bytes) -> bytes:
        """Seal a subject's key."""
        return _seal(self._aead, b"subject", key)

    def unwrap(self, sealed: bytes) -> bytes:
        """A subject's key."""
        return _open(self._aead, b"subject", sealed)

    def seal(self, key: bytes | None, what: str, data: bytes) -> bytes:
        return _seal(self._subject(key), what.encode(), data)

    def open(self, key: bytes | None, what: str, data: bytes) -> bytes:
        return _open(self._subject(key), what.encode(), data)

    def _subject(self, sealed: bytes | None) -> AESGCM:
        if sealed is None:
            raise BadStore("A subject of an encrypted collection has no key.")
        if sealed not in self._subjects:
            self._subjects[sealed] = AESGCM(self.unwrap(sealed))
        return self._subjects[sealed]


class Vault:
    """The master keys: the first seals, and each of them opens what it has sealed.

    Args:
        keys: of 32 bytes each.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise BadStoreKey(f"A store's key has {KEY_BYTES} bytes.")
        self._masters = [AESGCM(key) for key in keys]

    @classmethod
    def parse(cls, text: str) -> Vault:
        """From keys as text, 64 hexadecimal digits or base64 each, with commas or blanks between them.

        Raises:
            BadStoreKey: not such a text.
        """
        return cls([_key(word) for word in re.split(r"[,\s]+", text.strip())])

    @classmethod
    def read(cls, path: Path) -> Vault:
        """From a file with such a text. Raises BadStoreKey."""
        try:
            return cls.parse(path.read_text("ascii"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadStoreKey(f"The store's key cannot be read from {path}: {error}.") from error

    def new_secret(self) -> bytes:
        """The sealed secret of a new collection: its key and salt."""
        return self._wrap(os.urandom(KEY_BYTES), os.urandom(KEY_BYTES))

    def renewed(self, secret: bytes) -> bytes:
        """A sealed secret with a new key, by the first master key, and the old one's salt."""
        return self._wrap(os.urandom(KEY_BYTES), self.sealing(secret).salt)

    def is_current(self, secret: bytes) -> bool:
        """Whether the first master key sealed it."""
        try:
            _open(self._masters[0], b"collection", secret)
        except BadStore:
            return False
        return True

    def lock(self, data: bytes) -> bytes:
        """Seal something of the store's own with the first master key."""
        return _seal(self._masters[0], b"store", data)

    def unlock(self, data: bytes) -> bytes:
        """Open what :meth:`lock` made. Raises BadStoreKey where none of the keys does."""
        return self._open_by_any(b"store", data)

    def sealing(self, secret: bytes) -> Sealing:
        """Of the collection with that sealed secret. Raises BadStoreKey where none of the keys opens it."""
        both = self._open_by_any(b"collection", secret)
        return Sealing(both[:KEY_BYTES], both[KEY_BYTES:])

    def _open_by_any(self, what: bytes, data: bytes) -> bytes:
        for master in self._masters:
            try:
                return _open(master, what, data)
            except BadStore:
                continue
        raise BadStoreKey("The store is encrypted with another key than the one given.")

    def _wrap(self, key: bytes, salt: bytes) -> bytes:
        return _seal(self._masters[0], b"collection", key + salt)


def seals(vault: Vault | None, secret: bytes | None, collection: str) -> Seals:
    """How a collection's bytes are sealed, by its sealed secret, None where it is not encrypted.

    Raises:
        BadStoreKey: a key is needed and there is none, or another; or there is one and the collection is not encrypted.
    """
    if secret is None:
        if vault is not None:
            raise BadStoreKey(
                f"A key is given, but the collection {collection!r} is not encrypted. Export it without the key, and"
                " import it with the key under another name or into another store."
            )
        return Plain()
    if vault is None:
        raise BadStoreKey(f"The collection {collection!r} is encrypted, and no key is given.")
    return vault.sealing(secret)


def _key(word: str) -> bytes:
    if re.fullmatch(r"[0-9A-Fa-f]{64}", word):
        return bytes.fromhex(word)
    try:
        return base64.b64decode(word, validate=True)
    except ValueError:
        raise BadStoreKey("A store's key is 64 hexadecimal digits, or 32 bytes in base64.") from None


def seal(key: bytes, what: bytes, data: bytes) -> bytes:
    """Seal bytes with a key of 32 bytes; ``what`` they are must be said again to open them."""
    return _seal(AESGCM(key), what, data)


def open_sealed(key: bytes, what: bytes, data: bytes) -> bytes:
    """Open what :func:`seal` made. Raises BadStore where that is damaged or something else."""
    return _open(AESGCM(key), what, data)


def _seal(aead: AESGCM, what: bytes, data: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + aead.encrypt(nonce, data, what)


def _open(aead: AESGCM, what: bytes, data: bytes) -> bytes:
    try:
        return aead.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], what)
    except (InvalidTag, ValueError):
        raise BadStore("Something encrypted in the store is damaged, or in another's place.") from None
