"""The store's key comes from the settings, and is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitkeeper.gallery.errors import BadStoreKey
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import load_settings

KEY = bytes(range(32)).hex()


def test_the_key_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().vault is None
    monkeypatch.setenv("GAITKEEPER_STORE_KEY", KEY)
    settings = load_settings()
    assert settings.vault is not None
    assert KEY not in repr(settings) and KEY not in settings.model_dump_json()
    monkeypatch.delenv("GAITKEEPER_STORE_KEY")
    path = tmp_path / "key"
    path.write_text(KEY)
    monkeypatch.setenv("GAITKEEPER_STORE_KEY_FILE", str(path))
    assert load_settings().vault is not None


def test_an_engine_without_the_key_says_so(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'gallery.db'}"
    with Engine(load_settings(store=store, store_key=KEY)) as engine:
        assert engine.store.promises().encrypted
    with pytest.raises(BadStoreKey, match="no key is given"):
        Engine(load_settings(store=store))
    with pytest.raises(BadStoreKey, match="64 hexadecimal digits"):
        Engine(load_settings(store=store, store_key="secret"))
