"""The registry of stores: what a URL's scheme says about its store."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitkeeper.gallery.errors import UnknownStore
from gaitkeeper.gallery.stores.open import STORES, kind_of, open_store, store_file, with_password, without_password
from gaitkeeper.gallery.stores.redis.link import Address


def test_every_scheme_opens_a_store_that_accepts_its_urls():
    for scheme, kind in STORES.items():
        assert kind_of(f"{scheme}://place") is kind
        if scheme == "sqlite":
            continue
        path = "/gallery/0" if "sentinel" in scheme else ""
        assert Address.parse(f"{scheme}://db:7000{path}").hosts == (("db", 7000),)


def test_only_a_store_that_is_a_file_has_one():
    assert store_file("sqlite:///a/b.db") == Path("a/b.db")
    assert store_file("sqlite:////a/b.db") == Path("/a/b.db")
    assert store_file("sqlite:///~/b.db") == Path.home() / "b.db"
    assert store_file("redis+cluster://a,b:7000") is None
    for url in ("sqlite://", "sqlite:///", "sqlite:///:memory:"):
        with pytest.raises(UnknownStore, match="sqlite:///gallery"):
            store_file(url)


@pytest.mark.parametrize("ask", [kind_of, open_store, store_file])
def test_an_unknown_scheme_is_refused_without_showing_the_password(ask):
    with pytest.raises(UnknownStore, match=r"redis://, .*sqlite://") as caught:
        ask("mysql://me:secret@db/1?key=secret")
    assert "mysql://db/1" in caught.value.detail
    assert "secret" not in caught.value.detail


def test_a_password_goes_in_and_out_of_a_url():
    assert with_password("redis://db:7000/3", "p@ss") == "redis://:p%40ss@db:7000/3"
    assert with_password("rediss://me@a,b/3?replicas=2", "word") == "rediss://me:word@a,b/3?replicas=2"
    assert without_password("rediss://me:word@a,b/3?replicas=2") == "rediss://a,b/3"
    assert without_password("sqlite:///a.db") == "sqlite:///a.db"
