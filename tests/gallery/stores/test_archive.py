"""A collection as one file: to and from each kind of store, encrypted or not, and damaged in every way."""

from __future__ import annotations

import random
import stat
from datetime import UTC, datetime

import numpy as np
import pytest
from following import replay

from gaitkeeper.gallery.errors import BadArchive, BadStoreKey, FingerprintMismatch, NotFound
from gaitkeeper.gallery.stores.archive import export_collection, import_collection
from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject
from gaitkeeper.gallery.types import Action

KEY, OTHER = Vault([bytes(range(32))]), Vault([bytes(range(32, 64))])


@pytest.fixture
def filled(store, new_template):
    """A store with three templates of two people in ``default``."""
    store.set_ttl("default", 1e6)
    store.enroll("default", NewSubject("zoë", "Zoë", {"team": "red"}, "consent"), new_template(1, clip=1))
    store.enroll("default", NewSubject("zoë"), new_template(2, expires=datetime(2040, 1, 1, tzinfo=UTC)))
    half = np.random.default_rng(3).normal(size=(4, 8)).astype(np.float16)
    store.enroll("default", NewSubject("bob"), new_template(3, clip=1, track=2, embedding=half))
    return store


def content(store, collection="default"):
    """Everything there is to know of a collection."""
    subjects = store.subjects(collection)
    templates = [t for s in subjects for t in store.templates(collection, s.subject)]
    return (
        [s.model_copy(update={"collection": ""}) for s in subjects],
        [t.model_copy(update={"collection": ""}) for t in templates],
        [store.embedding(collection, t.id).tobytes() for t in templates],
        [store.sequence(collection, t.id) for t in templates],
    )


@pytest.fixture
def elsewhere(store_url, redis_server, tmp_path):
    """A store of the other kind, encrypted."""
    url = redis_server.url if store_url.startswith("sqlite") else f"sqlite:///{tmp_path / 'other.db'}"
    store = open_store(url, OTHER)
    yield store
    store.close()


@pytest.mark.parametrize("vault", [None, KEY])
def test_a_collection_goes_to_a_store_of_the_other_kind_and_back(filled, elsewhere, tmp_path, vault, new_template):
    path = tmp_path / "default.gallery"
    written = export_collection(filled, "default", path, vault)
    assert (written.templates, written.subjects, written.collection) == (3, 2, "default")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    plain = new_template(1)
    assert (plain.embedding.tobytes() in path.read_bytes()) == (vault is None)
    assert (plain.sequence in path.read_bytes()) == (vault is None)
    read = import_collection(elsewhere, path, "moved", vault)
    assert (read.templates, read.subjects, read.collection) == (3, 2, "moved")
    assert content(elsewhere, "moved") == content(filled)
    assert elsewhere.collection("moved").ttl_seconds == 1e6
    assert len(replay(elsewhere, "moved")) == 3
    export_collection(elsewhere, "moved", path, OTHER)
    import_collection(filled, path, "back", OTHER)
    assert content(filled, "back") == content(filled)
    actions = [e.action for e in filled.audit("default").entries], [e.action for e in elsewhere.audit("moved").entries]
    assert actions[0][-1] is Action.EXPORT
    assert actions[1] == [Action.CREATE, Action.IMPORT, *[Action.ENROLL] * 3, Action.EXPORT]


def test_a_backup_brings_back_what_was_erased_since(filled, tmp_path):
    before = content(filled)
    export_collection(filled, "default", tmp_path / "backup", KEY)
    filled.erase("default", "zoë")
    import_collection(filled, tmp_path / "backup", vault=KEY)
    assert content(filled) == before
    import_collection(filled, tmp_path / "backup", vault=KEY)  # again: nothing changes
    assert content(filled) == before
    filled.delete_collection("default")
    import_collection(filled, tmp_path / "backup", vault=KEY)
    assert content(filled) == before


def test_an_empty_collection_travels_too(store, tmp_path):
    assert export_collection(store, "default", tmp_path / "empty").templates == 0
    assert import_collection(store, tmp_path / "empty", "copy").templates == 0
    assert store.collection("copy").fingerprint is None
    with pytest.raises(NotFound):
        export_collection(store, "none", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_an_archive_needs_its_key(filled, tmp_path):
    export_collection(filled, "default", tmp_path / "archive", KEY)
    for vault in (None, OTHER):
        with pytest.raises(BadStoreKey):
            import_collection(filled, tmp_path / "archive", "copy", vault)
    with pytest.raises(NotFound):
        filled.collection("copy")


def test_an_archive_of_another_fingerprint_is_refused(filled, tmp_path, new_template, fingerprint):
    export_collection(filled, "default", tmp_path / "archive")
    filled.ensure_collection("other")
    filled.enroll("other", NewSubject("eve"), new_template(9, fingerprint=type(fingerprint)("gaitset", "a", "1", "b")))
    with pytest.raises(FingerprintMismatch):
        import_collection(filled, tmp_path / "archive", "other")
    assert [s.subject for s in filled.subjects("other")] == ["eve"]


@pytest.mark.parametrize("vault", [None, KEY])
def test_damage_is_found_before_anything_is_imported(filled, tmp_path, vault):
    path = tmp_path / "archive"
    export_collection(filled, "default", path, vault)
    whole, rng = path.read_bytes(), random.Random(0)
    damaged = [whole[:n] for n in (0, 3, 8, 10, 60, len(whole) // 2, len(whole) - 1)] + [whole + b"x"]
    for _ in range(60):
        at = rng.randrange(len(whole))
        damaged.append(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
    for broken in damaged:
        path.write_bytes(broken)
        with pytest.raises((BadArchive, BadStoreKey)):
            import_collection(filled, path, "copy", vault)
    with pytest.raises(NotFound):
        filled.collection("copy")


def test_one_name_in_two_forms_is_one_subject_after_an_import(store, elsewhere, tmp_path, new_template):
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    store.ensure_collection("default")
    store.enroll("default", NewSubject(decomposed), new_template(1, clip=1))  # as another program may have written it
    store.enroll("default", NewSubject(composed), new_template(2, clip=2))
    store.enroll("default", NewSubject("a\u200bb"), new_template(3, clip=3))  # and as older versions allowed it
    path = tmp_path / "default.gallery"
    export_collection(store, "default", path)
    assert import_collection(elsewhere, path, "moved").subjects == 2
    assert {s.subject: s.templates for s in elsewhere.subjects("moved")} == {composed: 2, "a\u200bb": 1}
