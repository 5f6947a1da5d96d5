"""Commands on the store as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from serving import Run

from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject, NewTemplate
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.walk_quality import Quality

OLD, NEW = bytes(range(32)).hex(), bytes(range(32, 64)).hex()


@pytest.fixture
def gaitkeeper(command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return command


@pytest.fixture
def store(gaitkeeper: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An encrypted store with one person in ``default``."""
    monkeypatch.setenv("GAITKEEPER_STORE_KEY", OLD)
    url = f"sqlite:///{tmp_path / 'gallery.db'}"
    from gaitkeeper.gallery.stores.encryption import Vault

    opened = open_store(url, Vault.parse(OLD))
    opened.ensure_collection("default")
    template = NewTemplate(
        fingerprint=Fingerprint("gei", "none", "1", "blazepose-full/1"),
        embedding=np.ones((2, 3), np.float32),
        sequence=b"sequence",
        has_heatmaps=False,
        quality=Quality(40, {}, 0.8, 0.9, 0.0, 1.5, 30.0, False),
        track=1,
        start=0.0,
        end=1.3,
    )
    opened.enroll("default", NewSubject("alice"), template)
    opened.close()
    return url


def test_a_collection_goes_to_a_file_and_back(gaitkeeper: Run, store: str, tmp_path: Path) -> None:
    code, out, err = gaitkeeper("gallery", "export", "alice.gallery", "--store", store, "--json")
    assert (code, json.loads(out)) == (0, {"file": "alice.gallery", "templates": 1, "subjects": 1})
    assert "not encrypted" not in err
    code, out, _ = gaitkeeper("gallery", "import", "alice.gallery", "-c", "copy", "--store", store)
    assert code == 0 and "1 template(s) of 1 subject(s) read into copy" in out
    code, _, err = gaitkeeper("gallery", "export", "plain.gallery", "--plain", "--store", store)
    assert code == 0 and "not encrypted" in err
    code, _, _ = gaitkeeper("cameras", "keep", "3600", "--store", store)  # passers-by are in no backup
    assert code == 0
    code, out, _ = gaitkeeper("gallery", "backup", "backups", "--store", store, "--json")
    assert code == 0
    assert json.loads(out) == {"backups/copy.gallery": 1, "backups/default.gallery": 1}
    assert (tmp_path / "backups" / "copy.gallery").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_read_or_written_is_a_sentence(gaitkeeper: Run, store: str, tmp_path: Path) -> None:
    (tmp_path / "no.gallery").write_bytes(b"something else")
    code, _, err = gaitkeeper("gallery", "import", "no.gallery", "--store", store)
    assert code == 2 and "bad_archive" in err
    code, _, err = gaitkeeper("gallery", "export", "nowhere/alice.gallery", "--store", store)
    assert code == 2 and "cannot_write" in err
    code, _, err = gaitkeeper("gallery", "export", "x", "-c", "none", "--store", store)
    assert code == 2 and "not_found" in err


def test_the_key_is_changed(gaitkeeper: Run, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAITKEEPER_STORE_KEY", f"{NEW},{OLD}")
    code, out, _ = gaitkeeper("gallery", "rotate-key", "--store", store, "--json")
    assert (code, json.loads(out)) == (0, {"collections": 1})
    monkeypatch.setenv("GAITKEEPER_STORE_KEY", OLD)
    code, _, err = gaitkeeper("gallery", "audit", "--store", store)
    assert code == 1 and "bad_store_key" in err
    monkeypatch.setenv("GAITKEEPER_STORE_KEY", NEW)
    assert gaitkeeper("gallery", "audit", "--store", store)[0] == 0
    monkeypatch.delenv("GAITKEEPER_STORE_KEY")
    code, _, err = gaitkeeper("gallery", "rotate-key", "--store", "sqlite:///other.db")
    assert code == 1 and "GAITKEEPER_STORE_KEY" in err


def test_an_audit_tells_who_did_what_and_names_nobody(gaitkeeper: Run, store: str) -> None:
    gaitkeeper("subjects", "erase", "alice", "--store", store)
    code, out, _ = gaitkeeper("gallery", "audit", "--store", store)
    assert code == 0
    assert "1 erased subject(s): nothing of them is left" in out
    assert "alice" not in out
    code, out, _ = gaitkeeper("gallery", "audit", "--store", store, "--json")
    report = json.loads(out)
    assert [entry["action"] for entry in report["entries"]] == ["create", "enroll", "erase"]
    assert (report["erased"], report["left"], report["pending"]) == (1, [], False)
