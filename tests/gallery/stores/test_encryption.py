"""Keys: what they look like, what they open, and what they do not."""

from __future__ import annotations

import base64

import pytest

from gaitkeeper.gallery.errors import BadStore, BadStoreKey
from gaitkeeper.gallery.stores.encryption import Plain, Vault, seals

A, B = bytes(range(32)), bytes(range(32, 64))


def test_keys_are_hexadecimal_or_base64():
    secret = Vault([A]).new_secret()
    for text in (A.hex(), A.hex().upper(), base64.b64encode(A).decode(), f" {A.hex()}\n", f"{B.hex()}, {A.hex()}"):
        assert Vault.parse(text).sealing(secret)


@pytest.mark.parametrize(
    "text", ["", "secret", A.hex()[:-2], A.hex() + "00", base64.b64encode(A[:16]).decode(), "é" * 32]
)
def test_texts_that_are_no_key(text):
    with pytest.raises(BadStoreKey):
        Vault.parse(text)


def test_keys_are_read_from_a_file(tmp_path):
    path = tmp_path / "key"
    path.write_text(A.hex() + "\n")
    assert Vault.read(path).sealing(Vault([A]).new_secret())
    path.write_bytes(b"\xff")
    for bad in (path, tmp_path / "none", tmp_path):
        with pytest.raises(BadStoreKey, match=str(bad)):
            Vault.read(bad)


def test_another_key_opens_nothing():
    secret = Vault([A]).new_secret()
    with pytest.raises(BadStoreKey, match="another key"):
        Vault([B]).sealing(secret)
    with pytest.raises(BadStoreKey, match="another key"):
        Vault([B]).unlock(Vault([A]).lock(b"data"))
    assert Vault([B, A]).unlock(Vault([A]).lock(b"data")) == b"data"


def test_what_is_sealed_opens_whole_in_its_place_and_by_its_key_alone():
    sealing = Vault([A]).sealing(Vault([A]).new_secret())
    key, other = sealing.subject_key(None), sealing.subject_key(None)
    assert sealing.subject_key(key) == key != other
    sealed = sealing.seal(key, "embedding t1", b"data")
    assert sealed != sealing.seal(key, "embedding t1", b"data")  # a nonce of its own each time
    assert b"data" not in sealed
    assert sealing.open(key, "embedding t1", sealed) == b"data"
    for bad in (
        lambda: sealing.open(other, "embedding t1", sealed),
        lambda: sealing.open(None, "embedding t1", sealed),
        lambda: sealing.open(key, "embedding t2", sealed),
        lambda: sealing.open(key, "embedding t1", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        lambda: sealing.open(key, "embedding t1", b""),
    ):
        with pytest.raises(BadStore):
            bad()


def test_a_new_key_keeps_the_salt_and_needs_the_old_one_no_more():
    old = Vault([A]).new_secret()
    both = Vault([B, A])
    assert not both.is_current(old)
    renewed = both.renewed(old)
    assert both.is_current(renewed)
    assert Vault([B]).sealing(renewed).salt == Vault([A]).sealing(old).salt
    key = Vault([A]).sealing(old).subject_key(None)
    with pytest.raises(BadStore):  # a subject's key of before is nothing to who has only what is used now
        Vault([B]).sealing(renewed).unwrap(key)


def test_a_key_and_a_collection_must_fit():
    assert isinstance(seals(None, None, "c"), Plain)
    with pytest.raises(BadStoreKey, match="no key is given"):
        seals(None, Vault([A]).new_secret(), "c")
    with pytest.raises(BadStoreKey, match="not encrypted"):
        seals(Vault([A]), None, "c")
