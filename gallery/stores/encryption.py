"""Encryption at rest: a master key encrypts a key for each collection, which encrypts a key for each subject.

All encryption is AES-256-GCM from the package ``cryptography`` with random nonces. "Sealed" means encrypted this way. A
subject's key seals its embeddings and sequences, and is deleted with the subject. A new master key comes with new
collection keys. The current keys therefore cannot decrypt an older copy of the store, including the keys of subjects
erased since.
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

from gaitkeeper.gallery.errors import BadStore, BadStoreKey

KEY_BYTES = 32
NONCE_BYTES = 12


class Seals(Protocol):
    """Interface for the bytes of one collection: encrypts them, or leaves them unchanged."""

    salt: bytes
    """Key for the leaves of the digest."""

    def subject_key(self, sealed: bytes | None) -> bytes | None:
        """The sealed key of a subject: the existing one or a new one; None without encryption."""

    def seal(self, key: bytes | None, what: str, data: bytes) -> bytes:
        """Encrypt bytes with a subject's sealed key. ``what`` describes the data; decryption needs the same text."""

    def open(self, key: bytes | None, what: str, data: bytes) -> bytes:
        """Decrypt the result of :meth:`seal`. Raises BadStore if the data is damaged or ``what`` differs."""


class Plain:
    """Implementation for a collection without encryption."""

    salt = b""

    def subject_key(self, sealed: bytes | None) -> bytes | None:
        return None

    def seal(self, key: bytes | None, what: str, data: bytes) -> bytes:
        return data

    def open(self, key: bytes | None, what: str, data: bytes) -> bytes:
        return data


class Sealing:
    """Implementation for a collection with this key and salt. It caches the decrypted keys of subjects."""

    def __init__(self, key: bytes, salt: bytes) -> None:
        self.salt = salt
        self._aead = AESGCM(key)
        self._subjects: dict[bytes, AESGCM] = {}

    def subject_key(self, sealed: bytes | None) -> bytes | None:
        """See :class:`Seals`, here and below."""
        return sealed or self.wrap(os.urandom(KEY_BYTES))

    def wrap(self, key: bytes) -> bytes:
        """Encrypt a subject's key."""
        return _seal(self._aead, b"subject", key)

    def unwrap(self, sealed: bytes) -> bytes:
        """The decrypted key of a subject."""
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
    """The master keys. The first one encrypts; any of them can decrypt.

    Args:
        keys: keys of 32 bytes each.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise BadStoreKey(f"A store's key has {KEY_BYTES} bytes.")
        self._masters = [AESGCM(key) for key in keys]

    @classmethod
    def parse(cls, text: str) -> Vault:
        """Parse keys from text: 64 hexadecimal digits or base64 each, separated by commas or blanks.

        Raises:
            BadStoreKey: the text is invalid.
        """
        return cls([_key(word) for word in re.split(r"[,\s]+", text.strip())])

    @classmethod
    def read(cls, path: Path) -> Vault:
        """Read the keys from a file with such a text. Raises BadStoreKey."""
        try:
            return cls.parse(path.read_text("ascii"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadStoreKey(f"The store's key cannot be read from {path}: {error}.") from error

    def new_secret(self) -> bytes:
        """Create the sealed secret of a new collection: its key and salt."""
        return self._wrap(os.urandom(KEY_BYTES), os.urandom(KEY_BYTES))

    def renewed(self, secret: bytes) -> bytes:
        """Create a sealed secret with a new key, the old salt, and the first master key."""
        return self._wrap(os.urandom(KEY_BYTES), self.sealing(secret).salt)

    def is_current(self, secret: bytes) -> bool:
        """Whether the first master key sealed this secret."""
        try:
            _open(self._masters[0], b"collection", secret)
        except BadStore:
            return False
        return True

    def lock(self, data: bytes) -> bytes:
        """Encrypt the store's own data with the first master key."""
        return _seal(self._masters[0], b"store", data)

    def unlock(self, data: bytes) -> bytes:
        """Decrypt the result of :meth:`lock`. Raises BadStoreKey if no key fits."""
        return self._open_by_any(b"store", data)

    def sealing(self, secret: bytes) -> Sealing:
        """The encryption of the collection with this sealed secret. Raises BadStoreKey if no key fits."""
        both = self._open_by_any(b"collection", secret)
        return Sealing(both[:KEY_BYTES], both[KEY_BYTES:])

    def _open_by_any(self, what: bytes, data: bytes) -> bytes:
        for master in self._masters:
            try:
                return _open(master, what, data)
            except BadStore:
                continue
        raise BadStoreKey("The store is encrypted with another key.")

    def _wrap(self, key: bytes, salt: bytes) -> bytes:
        return _seal(self._masters[0], b"collection", key + salt)


def seals(vault: Vault | None, secret: bytes | None, collection: str) -> Seals:
    """The encryption of a collection from its sealed secret, which is None without encryption.

    Raises:
        BadStoreKey: the required key is missing or wrong, or there is a key and the collection is not encrypted.
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
    """Encrypt bytes with a key of 32 bytes. ``what`` describes the data; decryption needs the same text."""
    return _seal(AESGCM(key), what, data)


def open_sealed(key: bytes, what: bytes, data: bytes) -> bytes:
    """Decrypt the result of :func:`seal`. Raises BadStore if the data is damaged or ``what`` differs."""
    return _open(AESGCM(key), what, data)


def _seal(aead: AESGCM, what: bytes, data: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + aead.encrypt(nonce, data, what)


def _open(aead: AESGCM, what: bytes, data: bytes) -> bytes:
    try:
        return aead.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], what)
    except (InvalidTag, ValueError):
        raise BadStore("Encrypted data in the store is damaged, or was copied from another record.") from None
