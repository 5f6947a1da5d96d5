"""What every store must do to be trusted: encryption at rest, new keys, the log, and the proof of erasure."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import replace

import numpy as np
import pytest
from following import Follower, replay

from gaitkeeper.gallery.errors import BadStoreKey, NotFound
from gaitkeeper.gallery.stores.audit import acting
from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject
from gaitkeeper.gallery.types import Action

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
ALICE, BOB = NewSubject("alice"), NewSubject("bob")


@pytest.fixture
def sealed(store_url):
    """An open store with an encrypted collection ``default``."""
    store = open_store(store_url, Vault([OLD]))
    store.ensure_collection("default")
    yield store
    store.close()


@pytest.fixture
def on_disk(store_url, tmp_path, request):
    """Whether bytes are in any of the store's files."""
    folder = tmp_path if store_url.startswith("sqlite") else request.getfixturevalue("redis_server").folder

    def look(needle):
        return any(needle in file.read_bytes() for file in folder.rglob("*") if file.is_file())

    return look


def test_what_is_stored_is_sealed_and_reads_back(sealed, store_url, on_disk, new_template, fingerprint):
    assert sealed.promises().encrypted
    seed = 31_415  # of no other test: what those have written unsealed may still be in Redis' files
    new = new_template(seed, clip=1)
    template = sealed.enroll("default", ALICE, new)
    assert sealed.enroll("default", ALICE, new).duplicate
    second = sealed.enroll("default", ALICE, new_template(seed + 1))
    assert np.array_equal(sealed.embedding("default", template.id), new.embedding)
    assert sealed.sequence("default", template.id) == new.sequence
    assert set(replay(sealed)) == {template.id, second.id}
    other = replace(fingerprint, network="gaitset")
    sealed.begin_shadow("default", other)
    for known in (template, second):
        sealed.put_shadow("default", known.id, other, new_template(seed + 2).embedding)
    sealed.flip("default")
    assert np.array_equal(sealed.embedding("default", template.id), new_template(seed + 2).embedding)
    assert set(replay(sealed)) == {template.id, second.id}
    assert on_disk(template.id.encode())
    for secret in (new, new_template(seed + 1), new_template(seed + 2)):
        assert not on_disk(secret.embedding.tobytes())
        assert not on_disk(secret.embedding.tobytes()[:32])
        assert not on_disk(secret.sequence[1000:1032])


def test_a_missing_or_other_key_is_told_at_once(sealed, store_url, new_template):
    sealed.enroll("default", ALICE, new_template(1))
    for vault in (None, Vault([NEW])):
        with pytest.raises(BadStoreKey):
            open_store(store_url, vault)


def test_a_collection_with_people_is_not_encrypted_by_the_way(store, store_url, new_template):
    store.ensure_collection("empty")
    template = store.enroll("default", ALICE, new_template(1))
    keyed = open_store(store_url, Vault([OLD]))
    for ask in (lambda: keyed.enroll("default", BOB, new_template(2)), lambda: keyed.embedding("default", template.id)):
        with pytest.raises(BadStoreKey, match="not encrypted"):
            ask()
    keyed.ensure_collection("empty")  # nobody is in it: from now on it is encrypted
    keyed.enroll("empty", ALICE, new_template(1))
    keyed.close()
    with pytest.raises(BadStoreKey, match="no key is given"):
        store.enroll("empty", ALICE, new_template(2))


def test_keys_are_rotated_and_the_old_one_is_of_no_use(sealed, store_url, new_template):
    sealed.ensure_collection("hall")
    templates = [sealed.enroll("default", subject, new_template(i)) for i, subject in enumerate((ALICE, ALICE, BOB))]
    before = sealed.digest("default")
    rotating = open_store(store_url, Vault([NEW, OLD]))
    assert rotating.rotate_key() == 2
    assert rotating.rotate_key() == 0
    rotating.close()
    with pytest.raises(BadStoreKey):
        open_store(store_url, Vault([OLD]))
    with pytest.raises(BadStoreKey):
        sealed.embedding("default", templates[0].id)
    renewed = open_store(store_url, Vault([NEW]))
    for i, template in enumerate(templates):
        assert np.array_equal(renewed.embedding("default", template.id), new_template(i).embedding)
        assert renewed.sequence("default", template.id) == new_template(i).sequence
    assert renewed.digest("default") == before
    renewed.enroll("default", ALICE, new_template(9))
    assert len(replay(renewed)) == 4
    renewed.erase("default", "bob")
    assert renewed.audit("default").left == ()
    renewed.close()


def test_erasing_a_subject_destroys_its_key(sealed, store_url, on_disk, new_template, request, tmp_path):
    template = sealed.enroll("default", ALICE, new_template(1))
    if store_url.startswith("sqlite"):
        with sqlite3.connect(tmp_path / "gallery.db") as file:
            (key,) = file.execute("SELECT sealed_key FROM subjects").fetchone()
        file.close()
    else:
        with request.getfixturevalue("redis_server").client() as client:
            key = json.loads(client.hget("gaitkeeper:{default}:s", "alice"))["key"].encode()
    assert on_disk(key)
    assert not sealed.erase("default", "alice").pending
    deadline = time.monotonic() + 60
    while on_disk(key) and time.monotonic() < deadline:
        time.sleep(0.01)  # Redis unlinks the old append-only file in a thread of its own
    assert not on_disk(key)
    sealed.enroll("default", ALICE, new_template(1, id=template.id))
    assert np.array_equal(replay(sealed)[template.id].embedding, new_template(1).embedding)


def test_the_log_says_who_did_what_and_names_nobody(store, new_template, on_disk):
    with acting("key:front-desk"):
        template = store.enroll("default", NewSubject("alice-in-chains"), new_template(1, clip=1))
        store.enroll("default", NewSubject("alice-in-chains"), new_template(1, clip=1))  # changes nothing
    store.enroll("default", BOB, new_template(2))
    store.update_subject("default", NewSubject("bob", "Bob"))
    store.delete_template("default", template.id)
    with acting("key:privacy"):
        store.erase("default", "alice-in-chains")
    report = store.audit("default")
    alice, bob = report.entries[1].subject, report.entries[2].subject
    assert [(e.actor, e.action, e.subject, e.templates) for e in report.entries] == [
        ("local", Action.CREATE, None, 0),
        ("key:front-desk", Action.ENROLL, alice, 1),
        ("local", Action.ENROLL, bob, 1),
        ("local", Action.UPDATE, bob, 0),
        ("local", Action.DELETE_TEMPLATE, alice, 1),
        ("key:privacy", Action.ERASE, alice, 0),
    ]
    assert alice != bob
    assert all(e.collection == "default" for e in report.entries)
    assert [e.at for e in report.entries] == sorted(e.at for e in report.entries)
    assert (report.erased, report.left, report.pending) == (1, (), False)
    deadline = time.monotonic() + 60
    while on_disk(b"alice-in-chains") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not on_disk(b"alice-in-chains")
    store.enroll("default", NewSubject("alice-in-chains"), new_template(1))
    again = store.audit("default")
    assert (again.erased, again.entries[-1].subject) == (0, alice)
    store.delete_collection("default")
    assert [e.action for e in store.audit("default").entries[-2:]] == [Action.ENROLL, Action.DELETE]
    assert store.audit("never").entries == ()


def test_the_audit_finds_what_was_left(store, store_url, new_template, request, tmp_path):
    template = store.enroll("default", ALICE, new_template(1))
    store.enroll("default", BOB, new_template(2))
    store.erase("default", "alice")
    assert store.audit("default").left == ()
    if store_url.startswith("sqlite"):
        with sqlite3.connect(tmp_path / "gallery.db") as file:
            file.execute("INSERT INTO sequences VALUES (999, x'00')")
            file.execute("INSERT INTO subjects (collection, id, metadata, created) VALUES (1, 'alice', '{}', '')")
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                file.execute("DELETE FROM audit")
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                file.execute("UPDATE audit SET actor = 'nobody'")
        file.close()
        expected = {"1 sequence(s) without an owner", "1 subject(s) that the log says are erased"}
    else:
        with request.getfixturevalue("redis_server").client() as client:
            client.hset("gaitkeeper:{default}:q", template.id, b"left")
            client.zadd("gaitkeeper:{default}:of:alice", {template.id: 1})
        expected = {"1 sequence(s) without an owner", "1 key(s) without an owner"}
    assert set(store.audit("default").left) == expected


def test_what_expires_is_logged_without_a_name(store, new_template):
    store.set_ttl("default", 1)
    template = store.enroll("default", ALICE, new_template(1))
    store.purge("default", template.expires)
    last = store.audit("default").entries[-1]
    assert (last.action, last.subject, last.templates) == (Action.PURGE, None, 1)
    with pytest.raises(NotFound):
        store.subject("default", "alice")


def test_followers_of_a_sealed_collection_that_is_made_anew(sealed, new_template):
    sealed.enroll("default", ALICE, new_template(1))
    follower = Follower(sealed)
    follower.follow()
    sealed.delete_collection("default")
    sealed.ensure_collection("default")
    sealed.enroll("default", BOB, new_template(2))
    assert {c.subject for c in follower.follow().values()} == {"bob"}
