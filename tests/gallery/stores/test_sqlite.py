"""What is particular to the SQLite store: the file, its settings, and what else may lie in its place."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from following import replay

from gaitkeeper.gallery.errors import BadStore, StoreUnavailable, UnknownStore
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject
from gaitkeeper.gallery.stores.sqlite import file as sqlite_file
from gaitkeeper.gallery.stores.sqlite import schema
from gaitkeeper.gallery.stores.sqlite.store import SQLiteStore

ALICE = NewSubject("alice")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gallery.db"


def url(path):
    return f"sqlite:///{path}"


@pytest.mark.parametrize(
    "bad", ["gallery.db", "postgres://host/db", "sqlite://gallery.db", "sqlite:///", "sqlite:///:memory:"]
)
def test_urls_that_name_no_store(bad):
    with pytest.raises(UnknownStore):
        open_store(bad)


def test_three_slashes_are_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///here.db").close()
    assert (tmp_path / "here.db").exists()


def test_a_missing_folder_is_not_made(tmp_path):
    with pytest.raises(StoreUnavailable):
        open_store(url(tmp_path / "nowhere" / "gallery.db"))
    assert not (tmp_path / "nowhere").exists()


def test_the_file_is_private_and_commits_reach_the_disk(path, monkeypatch):
    made = []
    connect = sqlite_file._connect
    monkeypatch.setattr(sqlite_file, "_connect", lambda p: made.append(connect(p)) or made[-1])
    store = SQLiteStore(url(path))
    store.ensure_collection("default")
    for file in path.parent.glob("gallery.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    settings = {
        name: made[0].execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "user_version")
    }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "user_version": len(schema.MIGRATIONS),
    }
    store.close()


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be looked at" * 30, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_file_that_is_no_database(path, content):
    path.write_bytes(content)
    with pytest.raises(BadStore):
        open_store(url(path))
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE customers (name TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(BadStore, match="another program"):
        open_store(url(path))
    assert path.read_bytes() == before


def test_a_newer_gallery_is_left_alone(path):
    open_store(url(path)).close()
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    newer.close()
    before = path.read_bytes()
    with pytest.raises(BadStore, match="newer version"):
        open_store(url(path))
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_gallery(path):
    path.touch()
    store = open_store(url(path))
    assert store.ensure_collection("default").templates == 0
    store.close()


def test_a_damaged_gallery_is_an_error_and_not_a_wrong_answer(path, new_template):
    store = open_store(url(path))
    store.ensure_collection("default")
    for seed in range(20):
        store.enroll("default", ALICE, new_template(seed))
    store.close()
    whole = path.read_bytes()
    page = 4096
    path.write_bytes(whole[:page] + bytes(len(whole) - page))
    with pytest.raises(BadStore):
        open_store(url(path)).subjects("default")
    path.write_bytes(whole[: 2 * page])
    with pytest.raises(BadStore):
        store = open_store(url(path))
        store.changes("default")


def test_an_embedding_of_the_wrong_size_is_an_error(path, new_template):
    store = open_store(url(path))
    store.ensure_collection("default")
    template = store.enroll("default", ALICE, new_template(1))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE embeddings SET data = x'00'")
    other.close()
    with pytest.raises(BadStore, match=template.id):
        store.embedding("default", template.id)
    store.close()


def test_an_older_gallery_is_migrated(path, new_template, monkeypatch):
    store = open_store(url(path))
    store.ensure_collection("default")
    template = store.enroll("default", ALICE, new_template(1, clip=1))
    store.close()
    step = ("ALTER TABLE subjects ADD COLUMN height TEXT", "UPDATE subjects SET height = 'tall'")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    store = open_store(url(path))
    assert store.templates("default", "alice") == [template]
    store.close()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT height FROM subjects").fetchall() == [("tall",)]
        assert other.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
    other.close()


def test_a_gallery_of_the_first_schema_is_read_on(path, new_template, fingerprint):
    path.write_bytes((Path(__file__).parent / "schema1.sqlite").read_bytes())  # written by version 0.1.0
    store = open_store(url(path))
    assert [(c.name, c.templates, c.fingerprint) for c in store.collections()] == [
        ("default", 3, fingerprint),
        ("empty", 0, None),
        ("hall", 1, fingerprint),
    ]
    assert store.collection("hall").keeps_heatmaps
    alice = store.subject("default", "alice")
    assert (alice.display_name, alice.metadata, alice.templates, alice.legal_basis) == (
        "Alice",
        {"team": "red"},
        2,
        None,
    )
    known = replay(store)
    for seed, template in zip((1, 3), store.templates("default", "alice"), strict=True):
        assert np.array_equal(known[template.id].embedding, new_template(seed).embedding)
        assert store.sequence("default", template.id) == new_template(seed).sequence
    assert [t.shape for t in store.templates("hall", "alice")] == [(2, 3)]
    assert store.enroll("default", ALICE, new_template(1, clip=1)).duplicate
    assert not store.enroll("default", NewSubject("carol"), new_template(9, clip=9)).duplicate
    assert len(replay(store)) == 4
    store.close()
    file = sqlite3.connect(path)
    assert file.execute("PRAGMA foreign_key_check").fetchall() == []
    assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()


def test_means_of_cameras_that_were_stored_go_and_nothing_else(path, new_template):
    store = open_store(url(path))
    store.ensure_collection("default", ttl_seconds=3600)
    template = store.enroll("default", ALICE, new_template(1, camera="door", heading="left"))
    store.close()
    with sqlite3.connect(path) as older:  # as it was at schema 3, which stored them
        older.execute("DROP TABLE sightings")
        older.execute("ALTER TABLE collections DROP COLUMN sightings")
        older.execute("ALTER TABLE subjects DROP COLUMN picture")
        older.execute(next(step for step in schema.MIGRATIONS[2] if "CREATE TABLE statistics" in step))
        older.execute("PRAGMA user_version = 3")
        older.execute("INSERT INTO statistics SELECT key, 'a', CAST('the mean of a camera' AS BLOB) FROM collections")
    older.close()
    store = open_store(url(path))
    assert store.templates("default", "alice") == [template] and store.collection("default").ttl_seconds == 3600
    assert replay(store)[template.id].camera == "door"
    assert not store.audit("default").pending
    store.close()
    with sqlite3.connect(path) as newer:
        assert newer.execute("SELECT name FROM sqlite_master WHERE name = 'statistics'").fetchall() == []
    newer.close()
    assert all(b"the mean of a camera" not in file.read_bytes() for file in path.parent.iterdir())


def test_a_migration_that_fails_changes_nothing(path, new_template, monkeypatch):
    store = open_store(url(path))
    store.ensure_collection("default")
    template = store.enroll("default", ALICE, new_template(1))
    store.close()
    step = ("ALTER TABLE subjects ADD COLUMN height TEXT", "UPDATE nothing SET at = 'all'")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
        with pytest.raises(StoreUnavailable):
            open_store(url(path))
    store = open_store(url(path))
    assert store.templates("default", "alice") == [template]
    store.close()


def test_a_lock_held_too_long_is_an_error_and_passes(path, new_template, monkeypatch):
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    store = open_store(url(path))
    store.ensure_collection("default")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.enroll("default", ALICE, new_template(1))
    with pytest.raises(StoreUnavailable):
        store.ping()
    assert store.subjects("default") == []  # readers are not held up
    other.execute("ROLLBACK")
    other.close()
    store.ping()
    store.enroll("default", ALICE, new_template(1))
    assert store.subject("default", "alice").templates == 1
    store.close()


def test_a_full_disk_is_an_error_and_leaves_nothing_half_written(path, new_template, monkeypatch):
    connections = []
    connect = sqlite_file._connect
    monkeypatch.setattr(sqlite_file, "_connect", lambda p: connections.append(connect(p)) or connections[-1])
    store = open_store(url(path))
    store.ensure_collection("default")
    store.enroll("default", ALICE, new_template(1, clip=1))
    (pages,) = connections[0].execute("PRAGMA page_count").fetchone()
    connections[0].execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to be full
    with pytest.raises(StoreUnavailable, match="full"):
        store.enroll("default", NewSubject("bob"), new_template(2, clip=2, sequence=bytes(50_000)))
    assert [s.subject for s in store.subjects("default")] == ["alice"]
    assert len(store.changes("default").changes) == 1
    connections[0].execute("PRAGMA max_page_count = 1000000")
    store.enroll("default", NewSubject("bob"), new_template(2, clip=2, sequence=bytes(50_000)))
    store.close()


def test_erased_bytes_are_in_no_file(path, new_template):
    store = open_store(url(path))
    store.ensure_collection("default")
    secret, kept = new_template(1), new_template(2)
    store.enroll("default", NewSubject("secret-subject", "Secret Name"), secret)
    store.enroll("default", NewSubject("kept-subject"), kept)

    def on_disk(needle):
        return any(needle in file.read_bytes() for file in path.parent.iterdir())

    traces = [b"secret-subject", b"Secret Name", secret.embedding.tobytes(), secret.sequence[1000:1064]]
    assert all(map(on_disk, traces))
    assert not store.erase("default", "secret-subject").pending
    assert not any(map(on_disk, traces))
    assert on_disk(b"kept-subject")
    assert on_disk(kept.embedding.tobytes())
    store.close()
    assert not any(map(on_disk, traces))


def test_an_erasure_that_a_reader_holds_up_says_so(path, new_template, monkeypatch):
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    store = open_store(url(path))
    store.ensure_collection("default")
    store.enroll("default", ALICE, new_template(1))
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM subjects").fetchone()
    assert store.erase("default", "alice").pending
    assert store.subjects("default") == []
    reader.execute("COMMIT")
    reader.close()
    store.close()


def test_embeddings_come_back_writable_and_owned(path, new_template):
    store = open_store(url(path))
    store.ensure_collection("default")
    template = store.enroll("default", ALICE, new_template(1))
    embedding = store.embedding("default", template.id)
    embedding += 1
    assert embedding.dtype == np.float32
    assert not np.array_equal(store.embedding("default", template.id), embedding)
    store.close()


def test_making_a_gallery_waits_for_another_process_that_does_the_same(path):
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # on a file that is not in WAL mode yet: SQLite's own waiting fails at once
    release = threading.Timer(0.2, other.execute, ["ROLLBACK"])
    release.start()
    store = open_store(url(path))
    release.join()
    other.close()
    assert store.ensure_collection("default").templates == 0
    store.close()
