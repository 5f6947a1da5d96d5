"""The Lua scripts of the Redis store: each file compiles, and arguments go by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitkeeper.gallery.stores.redis import scripts
from gaitkeeper.gallery.stores.redis.link import Address, Link

FOLDER = Path(scripts.__file__).parent / "lua"
NAMES = sorted(
    str(file.relative_to(FOLDER).with_suffix("")) for file in FOLDER.rglob("*.lua") if file.parent.name != "parts"
)


def test_every_script_compiles_and_starts_with_its_flags(redis_server):
    assert "template/enroll" in NAMES
    with redis_server.client() as client:
        for name in NAMES:
            source = scripts.load(name).source
            assert source.startswith("#!lua"), name
            assert "include parts" not in source
            assert "ARGV" not in source.replace("unpack(ARGV)", ""), name
            client.script_load(source)


def test_arguments_are_named_in_the_script():
    assert scripts.load("template/read").parameters == ("template", "data")
    assert scripts.load("template/enroll").parameters[-4:] == ("guarded", "generation", "seen", "by")
    assert scripts.load("names/list").parameters == ()


def test_a_missing_or_unknown_argument_is_refused_before_redis_is_asked():
    link = Link(Address.parse("redis://127.0.0.1:1"))
    for arguments in ({}, {"word": b"x", "words": b"y"}):
        with pytest.raises(TypeError, match="ping takes"):
            link.call("gaitkeeper:ping", "ping", **arguments)
    link.close()


def test_arguments_reach_the_script_in_its_order(redis_server):
    link = Link(Address.parse(redis_server.url))
    assert link.call("names", "names/add", name="ann") == [1]
    assert link.call("names", "names/list") == [b"ann"]
    key = {"template": "t", "memory": 1}
    with pytest.raises(TypeError, match="template/delete"):
        link.call("base", "template/delete", **key)
    assert link.call("base", "template/delete", entry="{}", **key) == [b"none"]
    link.close()
